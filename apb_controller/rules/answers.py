"""What a broker's answer means, by the Open Service Broker API 2.17: the outcome that the state machines take.

Whether an answer leaves open what the broker has made (`is_orphan_possible`) is the table of the specification's section
"Orphan Mitigation", row by row.
"""

import enum
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

MOST_OF_AN_ERROR = 1000  # characters of a broker's words that a condition repeats
LONGEST_OPERATION = 10_000


class Call(enum.Enum):
    """What was asked of the broker."""

    CATALOG = "catalog"
    PROVISION = "provision"
    UPDATE = "update"
    DEPROVISION = "deprovision"
    BIND = "bind"
    UNBIND = "unbind"
    LAST_OPERATION = "last_operation"
    GET_BINDING = "get_binding"


class Trouble(enum.Enum):
    """Why there is no answer."""

    TIMEOUT = "timeout"  # the time for the answer has passed
    UNREACHABLE = "unreachable"  # the request never got there
    BROKEN = "broken"  # the request may have got there; the connection ended before the answer did


class Kind(enum.Enum):
    """Which of the ways it went."""

    DONE = "done"
    STARTED = "started"  # 202: the broker works on it
    IN_PROGRESS = "in progress"  # last_operation's three states
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    GONE = "gone"  # 410
    INVALID = "invalid"  # 400: asking the same again is useless
    NOT_FOUND = "not found"  # 404 of last_operation
    REFUSED = "refused"  # another 4xx, or a redirection
    BROKEN_DOWN = "broken down"  # 5xx
    MALFORMED = "malformed"  # a 2xx that makes no sense
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    LOST = "lost"


DELETIONS = (Call.DEPROVISION, Call.UNBIND)
CREATIONS = (Call.PROVISION, Call.BIND)
UNANSWERED = (Kind.TIMEOUT, Kind.UNREACHABLE, Kind.LOST)
_OF_TROUBLE = {Trouble.TIMEOUT: Kind.TIMEOUT, Trouble.UNREACHABLE: Kind.UNREACHABLE, Trouble.BROKEN: Kind.LOST}


@dataclass(frozen=True)
class Answer:
    """What came back: a status with a body and headers (names in lower case), or why nothing did."""

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    trouble: Trouble | None = None
    error: str = ""  # the transport's words; beside a status: why there is no body


@dataclass(frozen=True)
class Outcome:
    """What it means."""

    kind: Kind
    body: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    description: str = ""  # last_operation's
    retry_after: float | None = None  # seconds
    is_orphan_possible: bool = False

    @property
    def operation(self) -> str | None:
        """The broker's name for what it has started."""
        return self.body.get("operation")

    @property
    def is_busy(self) -> bool:
        """Whether the broker refuses only because it works on the thing already (OSB 2.17, "Service Broker Errors")."""
        return self.kind is Kind.REFUSED and self.body.get("error") == "ConcurrencyError"


def classified(call: Call, answer: Answer, now: datetime, *, may_be_async: bool = True) -> Outcome:
    """The outcome. `may_be_async`: whether the request allowed 202."""
    if answer.trouble:
        is_open = call in CREATIONS and answer.trouble is Trouble.TIMEOUT
        return Outcome(_OF_TROUBLE[answer.trouble], error=_shortened(answer.error or answer.trouble.value), is_orphan_possible=is_open)
    retry_after = _seconds(answer.headers.get("retry-after"), now)
    body = _read(answer.body)
    kind, why = _kind(call, answer.status, body, may_be_async)
    if kind is Kind.DONE and body is None:
        body = {}
    words = body if isinstance(body, dict) else {}
    if kind in (Kind.DONE, Kind.STARTED, Kind.GONE):
        return Outcome(kind, words, retry_after=retry_after)
    if kind in (Kind.IN_PROGRESS, Kind.SUCCEEDED, Kind.FAILED):
        return Outcome(kind, words, description=_shortened(_text(words.get("description"))), retry_after=retry_after)
    error = why or http_error(answer.status, words)
    if kind is Kind.MALFORMED and answer.error:
        error = f"Status: {answer.status}; {answer.error}"
    return Outcome(kind, words, _shortened(error), retry_after=retry_after, is_orphan_possible=_leaves_open(call, answer.status, kind))


def http_error(status: int, body: Mapping[str, Any]) -> str:
    """The broker's error in upstream's form, which dashboards know."""
    error, description = (_text(body.get(name)) or "<nil>" for name in ("error", "description"))
    return f"Status: {status}; ErrorMessage: {error}; Description: {description}; ResponseError: <nil>"


def _leaves_open(call: Call, status: int, kind: Kind) -> bool:
    """OSB 2.17, "Orphan Mitigation": what is not listed there as ambiguous leaves nothing open."""
    if call not in (*CREATIONS, *DELETIONS):
        return False
    if kind is Kind.MALFORMED and status in (201, 202):
        return call in CREATIONS or status == 201  # 201 is "other 2xx" to a deletion
    if kind is Kind.MALFORMED:
        return status != 200
    return status >= 500


def _kind(call: Call, status: int, body: Any, may_be_async: bool) -> tuple[Kind, str]:
    """The kind, and the reason where the broker gives none."""
    if 200 <= status < 300:
        why = _flaw(call, status, body, may_be_async)
        if why:
            return Kind.MALFORMED, why
        if call is Call.LAST_OPERATION:
            return Kind(body["state"]), ""
        return (Kind.STARTED if status == 202 else Kind.DONE), ""
    if status == 410 and call in (*DELETIONS, Call.LAST_OPERATION):
        return Kind.GONE, ""
    if status == 400:
        return Kind.INVALID, ""
    if status == 404 and call is Call.LAST_OPERATION:
        return Kind.NOT_FOUND, ""
    return (Kind.BROKEN_DOWN if status >= 500 else Kind.REFUSED), ""


def _flaw(call: Call, status: int, body: Any, may_be_async: bool) -> str:
    """Why a 2xx is none that the specification knows; empty if it is."""
    if call is Call.LAST_OPERATION:
        return _flaw_of_state(status, body)
    expected = {*_EXPECTED[call], *({202} if may_be_async and call in _ASYNCHRONOUS else ())}
    if status not in expected:
        return f"Status: {status}; the broker may not answer so to {call.value}"
    if call in DELETIONS and status == 200:
        return ""  # deleted, whatever else it says
    if not isinstance(body, dict):
        return f"Status: {status}; the body is no JSON object"
    if status == 202 and not _is_operation(body.get("operation")):
        return f"Status: {status}; operation must be a text of at most {LONGEST_OPERATION:,} characters"
    if call in (Call.BIND, Call.GET_BINDING) and status != 202 and not isinstance(body.get("credentials") or {}, dict):
        return f"Status: {status}; credentials must be an object"
    return ""


_EXPECTED = {
    Call.CATALOG: (200,),
    Call.PROVISION: (200, 201),
    Call.UPDATE: (200,),
    Call.DEPROVISION: (200,),
    Call.BIND: (200, 201),
    Call.UNBIND: (200,),
    Call.GET_BINDING: (200,),
}
_ASYNCHRONOUS = (Call.PROVISION, Call.UPDATE, Call.DEPROVISION, Call.BIND, Call.UNBIND)


def _flaw_of_state(status: int, body: Any) -> str:
    state = body.get("state") if isinstance(body, dict) else None
    if status == 200 and state in ("in progress", "succeeded", "failed"):
        return ""
    return f'Got invalid state in LastOperationResponse: "{_text(state)}"'


def _is_operation(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= LONGEST_OPERATION)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body) if body.strip() else None
    except (ValueError, RecursionError):
        return None


def _seconds(header: str | None, now: datetime) -> float | None:
    """Retry-After: seconds, or a date."""
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return float(header)
    try:
        return max(0.0, math.ceil((parsedate_to_datetime(header) - now).total_seconds()))
    except (ValueError, TypeError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_OF_AN_ERROR else text[: MOST_OF_AN_ERROR - 1] + "…"
