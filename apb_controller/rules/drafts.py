"""A status while it is being changed, with the events that belong to the change."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from apb_controller.rules import conditions, times
from apb_controller.rules.answers import Outcome
from apb_controller.rules.steps import Blocked, Event, Limits, Status, Step

OPERATION = ("currentOperation", "operationStartTime", "lastOperation", "inProgressProperties")
TRIES = ("attempts", "nextAttemptTime")
MOST_DOUBLINGS = 30


class Draft:
    """The new status of one object. Methods change it; `step` hands it out, unless nothing has changed."""

    def __init__(self, status: Mapping[str, Any] | None, now: datetime) -> None:
        self.before: Status = dict(status or {})
        self.status: Status = _copied(self.before)
        self.now = now
        self.events: list[Event] = []

    def set(self, **fields: Any) -> None:
        """Gives fields their values; None takes a field away."""
        for name, value in fields.items():
            if value is None:
                self.status.pop(name, None)
            else:
                self.status[name] = value

    def condition(self, kind: str, state: str, reason: str, message: str) -> None:
        """Sets a condition."""
        self._conditions(conditions.with_condition(self.status.get("conditions"), kind, state, reason, message, self.now))

    def drop(self, kind: str) -> None:
        """Takes a condition away."""
        self._conditions(conditions.without(self.status.get("conditions"), kind))

    def ready(self, state: str, reason: str, message: str) -> None:
        """Sets the condition Ready."""
        self.condition("Ready", state, reason, message)

    def fail(self, reason: str, message: str, failure: str, final: str | None = None) -> None:
        """Ready says what went wrong, Failed that it is not tried again, both with an event. `final`: what Failed says, if it is more."""
        self.ready("False", reason, message)
        self.warn(reason, message)
        self.condition("Failed", "True", failure, final or message)
        if (failure, final or message) != (reason, message):
            self.warn(failure, final or message)

    def is_true(self, kind: str) -> bool:
        """Whether a condition is True."""
        return conditions.is_true(self.status.get("conditions"), kind)

    def message(self, kind: str) -> str:
        """The message of a condition; empty if there is none."""
        return str((conditions.found(self.status.get("conditions"), kind) or {}).get("message", ""))

    def reason(self, kind: str) -> str:
        """The reason of a condition; empty if there is none."""
        return str((conditions.found(self.status.get("conditions"), kind) or {}).get("reason", ""))

    def warn(self, reason: str, message: str) -> None:
        """Adds a warning."""
        self.events.append(Event(True, reason, message))

    def tell(self, reason: str, message: str) -> None:
        """Adds an event that is no warning."""
        self.events.append(Event(False, reason, message))

    def begin(self, operation: str, properties: Mapping[str, Any]) -> None:
        """An operation is about to be asked for. A retry of the same keeps the time of its start."""
        again = self.status.get("currentOperation") == operation and "operationStartTime" in self.status
        start = self.status["operationStartTime"] if again else times.written(self.now)
        self.set(currentOperation=operation, operationStartTime=start, inProgressProperties=dict(properties))

    def end(self) -> None:
        """No operation is in progress any more."""
        self.set(**dict.fromkeys((*OPERATION, *TRIES)), asyncOpInProgress=False)

    def start_polling(self, operation: str | None, limits: Limits, retry_after: float | None) -> None:
        """The broker works on it from now on."""
        self.set(asyncOpInProgress=True, lastOperation=operation, operationStartTime=times.written(self.now), attempts=0)
        self.poll_later(limits, retry_after)

    def stop_polling(self) -> None:
        """The broker works on it no more; the operation goes on."""
        self.set(asyncOpInProgress=False, lastOperation=None)

    def try_later(self, limits: Limits, outcome: Outcome | None = None) -> None:
        """Counts an attempt, and says when the next one is: later each time, and not before the broker wants to be asked.

        A broker that is busy with the thing is asked as often as one that is polled: what it works on may be what is waited for.
        """
        pause = self._pause(limits, limits.longest_poll_pause if outcome and outcome.is_busy else limits.longest_retry_pause)
        self._next(max(pause, timedelta(seconds=(outcome.retry_after if outcome else None) or 0)), limits)

    def poll_later(self, limits: Limits, retry_after: float | None = None) -> None:
        """Says when the broker is asked again: when it wants to be, otherwise later each time."""
        pause = self._pause(limits, limits.longest_poll_pause)
        self._next(pause if retry_after is None else timedelta(seconds=retry_after), limits)

    def _pause(self, limits: Limits, longest: timedelta) -> timedelta:
        return min(limits.first_pause * 2.0 ** min(int(self.status.get("attempts") or 0), MOST_DOUBLINGS), longest)

    def _next(self, pause: timedelta, limits: Limits) -> None:
        """Whole seconds, upwards: a moment that is written down is not earlier than it was meant."""
        seconds = math.ceil(min(max(pause, limits.first_pause), limits.retry_duration).total_seconds())
        moment = times.written(self.now + timedelta(seconds=seconds))
        self.set(attempts=int(self.status.get("attempts") or 0) + 1, nextAttemptTime=moment)

    def has_taken(self, span: timedelta) -> bool:
        """Whether the operation began longer ago than that."""
        return times.has_passed(self.status.get("operationStartTime"), span, self.now)

    def may_have_been_sent(self, leading_since: datetime | None) -> bool:
        """Whether the recorded request may be one that a controller sent before it died: then a refusal says nothing about it."""
        if leading_since is None or self.status.get("outcomeUncertain"):
            return False
        recorded = times.read(self.status.get("nextAttemptTime") or self.status.get("operationStartTime"))
        return recorded is not None and recorded <= leading_since

    def pause(self) -> float:
        """Seconds until the next attempt; 0 if it is due."""
        moment = times.read(self.status.get("nextAttemptTime"))
        return max(0.0, (moment - self.now).total_seconds()) if moment else 0.0

    def blocked(self, why: Blocked, limits: Limits) -> Step:
        """Tells why nothing can be done, once; then it is looked at again after a pause."""
        told = conditions.found(self.before.get("conditions"), "Ready") or {}
        is_removal = self.status.get("currentOperation") == "Deprovision" and not self.status.get("orphanMitigationInProgress")
        self.ready("Unknown" if is_removal else "False", why.reason, why.message)
        if why.is_failure:
            self.condition("Failed", "True", why.reason, why.message)
        if (told.get("reason"), told.get("message")) != (why.reason, why.message):
            self.warn(why.reason, why.message)
        return self.step() if self.is_changed else Step(wait_seconds=None if why.is_failure else limits.blocked_pause.total_seconds())

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return self.status != self.before

    def step(self, **more: Any) -> Step:
        """The step that writes it."""
        return Step(status=self.status if self.is_changed else None, events=tuple(self.events), **more)

    def _conditions(self, new: list[conditions.Condition]) -> None:
        self.set(conditions=new, lastConditionState=conditions.last_state(new))


def _copied(value: Any) -> Any:
    """Of what JSON can say, which takes a quarter of what copy.deepcopy needs: each look at each object does it."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
