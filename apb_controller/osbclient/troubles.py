"""Why there is no answer, in words for people.

The words are ours, or the operating system's and TLS' own: httpx and h11 repeat headers and bodies in some of theirs. They do not differ
from one try to the next, so that a condition that repeats them stays the same.
"""

import os
import ssl
from collections.abc import Iterator

import httpx

from apb_controller.rules.answers import Answer, Trouble


def told(shown: str, error: Exception, *, is_sent: bool, timeout_seconds: float) -> Answer:
    """What became of a request to the broker at `shown`. `is_sent`: whether its first byte may have gone out."""
    if isinstance(error, TimeoutError) and is_sent:
        return Answer(trouble=Trouble.TIMEOUT, error=f"{shown}: no answer within {timeout_seconds:g} s")
    if is_sent:
        return Answer(trouble=Trouble.BROKEN, error=f"{shown}: {_of_the_answer(error)}")
    return Answer(trouble=Trouble.UNREACHABLE, error=f"{shown}: {_of_the_way(error)}")


def _of_the_answer(error: Exception) -> str:
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer is cut off, or is no HTTP"
    return "the connection ended before the answer did"


def _of_the_way(error: Exception) -> str:
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return "no connection in time"
    if isinstance(error, httpx.ProxyError):
        return "the proxy has made no connection"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {(cause.reason or 'unknown').replace('_', ' ').lower()}"
        if isinstance(cause, OSError) and cause.errno:
            return "the name is not known" if cause.errno < 0 else os.strerror(cause.errno)
    return "no connection"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it, to the depth that there is."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        waiting.extend(cause for cause in (each.__cause__, each.__context__) if cause)
