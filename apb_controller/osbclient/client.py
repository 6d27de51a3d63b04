"""Sends requests to brokers, by Open Service Broker API 2.17."""

import asyncio
import json
import time
import uuid
from typing import Any

import httpx
import structlog

from apb_controller.osbclient import connections, troubles
from apb_controller.osbclient.endpoint import Basic, Bearer, Endpoint, Unusable
from apb_controller.rules import answers, steps

__all__ = ["Basic", "Bearer", "Client", "Endpoint"]

VERSION = "2.17"
CONNECT_SECONDS = 10.0  # at most, for TCP and TLS each: nobody's work is waited for here
MOST_OF_A_BODY = 16 * 1024 * 1024  # bytes; a catalog is the longest there is
TOO_LONG = f"the answer is longer than {MOST_OF_A_BODY:,} bytes"
UNREADABLE = "the answer cannot be decoded"

log = structlog.get_logger("apb.controller.osb")


class Client:
    """For all brokers of one controller, in one event loop."""

    def __init__(self, timeout_seconds: float = 60) -> None:
        self._timeout_seconds = timeout_seconds
        # Less than the whole: httpcore closes a half-made TLS connection when its own time has passed, and not when it is cancelled.
        self._timeout = httpx.Timeout(None, connect=min(CONNECT_SECONDS, timeout_seconds / 3))
        self._connections = connections.Connections()

    async def send(self, endpoint: Endpoint, request: steps.Request) -> answers.Answer:
        """What the broker answers, whatever it is, or why it does not. Raises nothing but CancelledError.

        A body that is too long or cannot be decoded is given as none, and `error` says so: with its status the answer still has a meaning.
        """
        identity, began = str(uuid.uuid4()), time.monotonic()
        answer = await self._attempt(endpoint, request, identity)
        _log(endpoint, request, answer, identity, time.monotonic() - began)
        return answer

    async def _attempt(self, endpoint: Endpoint, request: steps.Request, identity: str) -> answers.Answer:
        sending = _Sending()
        try:
            target, headers = endpoint.target(request), _headers(endpoint, request, identity)
            async with self._connections.to(endpoint) as http, asyncio.timeout(self._timeout_seconds):
                made = http.build_request(
                    request.method,
                    target,
                    headers=headers,
                    content=_content(request),
                    timeout=self._timeout,
                    extensions={"trace": sending.trace},
                )
                return await _answer(http, made)
        except Unusable as error:
            return answers.Answer(trouble=answers.Trouble.UNREACHABLE, error=str(error))
        except (httpx.HTTPError, OSError) as error:  # TimeoutError is one
            return troubles.told(endpoint.shown, error, is_sent=sending.has_begun, timeout_seconds=self._timeout_seconds)

    async def close(self) -> None:
        """Ends all connections."""
        await self._connections.close()


class _Sending:
    """Whether a request may have left this machine: until then nobody can have acted on it."""

    def __init__(self) -> None:
        self.has_begun = False

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """What httpcore tells of its steps. A CONNECT to a proxy is not the request."""
        if event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
            self.has_begun = True


async def _answer(http: httpx.AsyncClient, request: httpx.Request) -> answers.Answer:
    response = await http.send(request, stream=True, auth=None, follow_redirects=False)
    try:
        body, error = await _body(response)
    finally:
        await response.aclose()
    return answers.Answer(response.status_code, body, dict(response.headers), error=error)


async def _body(response: httpx.Response) -> tuple[bytes, str]:
    """The body, or none and why."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_OF_A_BODY:
                return b"", TOO_LONG
    except httpx.DecodingError:
        return b"", UNREADABLE
    return bytes(body), ""


def _headers(endpoint: Endpoint, request: steps.Request, identity: str) -> dict[str, str]:
    given = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # what a body grows to cannot be seen before it has
        "User-Agent": "apb-controller",
        "Content-Type": "application/json" if request.body is not None else None,
        "Authorization": endpoint.authorization(),
        "X-Broker-API-Version": VERSION,
        "X-Broker-API-Request-Identity": identity,
        "X-Broker-API-Originating-Identity": request.identity,
    }
    return {name: value for name, value in given.items() if value is not None}


def _content(request: steps.Request) -> bytes | None:
    return None if request.body is None else json.dumps(request.body).encode()


def _log(endpoint: Endpoint, request: steps.Request, answer: answers.Answer, identity: str, seconds: float) -> None:
    """One line; what went wrong is told to all, the rest to those who want to know everything."""
    is_bad = answer.trouble is not None or answer.status >= 400
    tell = log.warning if is_bad else log.debug
    tell(
        "a broker was called",
        broker=endpoint.shown,
        call=request.call.value,
        path=request.path,
        status=answer.status or None,
        trouble=answer.trouble.value if answer.trouble else None,
        error=answer.error or None,
        seconds=round(seconds, 3),
        request_identity=identity,
    )
