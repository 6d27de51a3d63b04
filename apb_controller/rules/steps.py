"""What the rules ask for: one step, which the shell around them carries out before it asks again with what has become of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from apb_controller.rules.answers import Call

Object = dict[str, Any]
Status = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """A Kubernetes event about the object; reason and message are those of the condition."""

    is_warning: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Request:
    """A call of the broker, without its login."""

    call: Call
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    identity: str | None = None  # X-Broker-API-Originating-Identity
    may_be_async: bool = False


@dataclass(frozen=True)
class Deletion:
    """An object that goes, in the namespace of the one that is looked at. The uid is a precondition: nobody else's goes instead."""

    kind: str
    name: str
    uid: str | None = None


@dataclass(frozen=True)
class Step:
    """Writes, then deletions, then a call or a pause; empty when all is as it should be.

    A write ends the look: its watch event begins the next one. `status` is the whole new status; `metadata` and `spec` are what
    changes in them. With both, the status is written first, so that what is done is known before the object may go.
    """

    status: Status | None = None
    metadata: Object | None = None
    spec: Object | None = None
    events: tuple[Event, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    secret: Object | None = None  # to be written, if it is nobody else's
    request: Request | None = None
    wait_seconds: float | None = None


NOTHING = Step()


@dataclass(frozen=True)
class Limits:
    """How long and how often. Upstream's numbers, but for polling, which users found too slow at 20 minutes."""

    retry_duration: timedelta = timedelta(days=7)
    first_pause: timedelta = timedelta(seconds=1)
    longest_retry_pause: timedelta = timedelta(minutes=20)
    longest_poll_pause: timedelta = timedelta(minutes=1)
    blocked_pause: timedelta = timedelta(minutes=1)
    relist: timedelta = timedelta(hours=24)


class Blocked(Exception):
    """Nothing can be done until something else changes: the reason and message of the condition Ready."""

    def __init__(self, reason: str, message: str, *, is_failure: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.is_failure = is_failure  # Failed as well: it does not change by itself
