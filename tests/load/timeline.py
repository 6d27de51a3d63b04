"""The states that an instance or binding went through, made from the operations that were accepted on it, in their order.

Nobody outside knows when exactly a state began: it began no earlier than the transaction that wrote it, and no later than somebody was
told of it. So states overlap, and whoever asks meanwhile may see either.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.load.history import ENDS, Exchange, History, Operation

Attributes = tuple[str | None, Any]  # an instance's plan and parameters; a binding's predecessor and parameters
UNKNOWN: Attributes = ("?", None)  # of what was made within a request that others were sent beside

# What an operation of a kind may be accepted in, what the subject is meanwhile, and what it is after success and after failure.
KINDS = {
    "provision": (("absent", "broken"), "provisioning", "ready", "broken"),
    "update": (("ready",), "updating", "ready", "ready"),
    "deprovision": (("provisioning", "ready", "broken", "updating", "stuck"), "removing", "absent", "stuck"),
    "bind": (("absent", "broken"), "binding", "ready", "broken"),
    "unbind": (("binding", "ready", "broken", "stuck"), "unbinding", "absent", "stuck"),
}
BUSY = ("provisioning", "updating", "removing", "binding", "unbinding")


@dataclass
class State:
    """What an instance or binding was for a while: from some time between `since` and `begun_by` on, until `until` at the latest."""

    name: str
    since: float
    begun_by: float
    operation: Operation | None = None  # in progress, or the last one
    attributes: Attributes | None = None  # what it is, as far as it exists
    desired: Attributes | None = None  # what the operation in progress makes of it
    earlier: Attributes | None = None  # what it is until an operation has ended that is halted, but may succeed all the same
    until: float = float("inf")

    def may_be_seen_by(self, exchange: Exchange) -> bool:
        """Whether the broker may have looked at it while it answered."""
        return self.since <= exchange.answered_at and self.until >= exchange.sent_at


@dataclass
class Timeline:
    """The states of one subject, oldest first, and what cannot have been."""

    states: list[State]
    problems: list[str] = field(default_factory=list)

    def seen_by(self, exchange: Exchange) -> Iterator[State]:
        """The states that this answer may speak of."""
        return (state for state in self.states if state.may_be_seen_by(exchange))

    def is_busy_during(self, exchange: Exchange) -> bool:
        """Whether an operation may have been in progress."""
        return any(state.name in BUSY for state in self.seen_by(exchange))


def of_instance(history: History, instance: str) -> Timeline:
    """An instance's states."""
    return _timeline(history, history.operations_on(instance, None))


def of_binding(history: History, instance: str, binding: str) -> Timeline:
    """A binding's states. The removal of its instance ends it, whatever it was."""
    wanted = [
        each
        for each in history.operations
        if each.instance == instance and (each.binding == binding or (each.kind == "deprovision" and each.state == "succeeded"))
    ]
    return _timeline(history, wanted, is_binding=True)


def _timeline(history: History, operations: list[Operation], *, is_binding: bool = False) -> Timeline:
    line = Timeline([State("absent", float("-inf"), float("-inf"))])
    for operation in operations:
        if is_binding and operation.kind == "deprovision":
            line.states.append(State("absent", operation.finished_at or float("inf"), ended_by(history, operation), operation))
        else:
            _accept(history, line, operation)
            _end(history, line, operation)
    return _closed(line)


def _accept(history: History, line: Timeline, operation: Operation) -> None:
    before = line.states[-1]
    allowed, meanwhile, _, _ = KINDS[operation.kind]
    if before.name not in allowed:
        line.problems.append(f"{operation} was accepted while its subject was {before.name}")
    desired = _desired(history, line, operation, before.attributes)
    if before.name == "broken" and desired != before.attributes and UNKNOWN not in (desired, before.attributes):
        line.problems.append(f"{operation} tries again with {desired}, the first time it was {before.attributes}")
    attributes = desired if operation.kind in ("provision", "bind") else before.attributes
    earlier = line.states[-2].attributes if operation.kind == "deprovision" and before.since > operation.created_at else None
    line.states.append(State(meanwhile, operation.created_at, accepted_by(history, operation), operation, attributes, desired, earlier))


def _end(history: History, line: Timeline, operation: Operation) -> None:
    if operation.state not in ENDS:
        return
    current = line.states[-1]
    _, _, success, failure = KINDS[operation.kind]
    name = success if operation.state == "succeeded" else failure
    attributes = current.desired if operation.state == "succeeded" else current.attributes
    since = operation.finished_at or operation.created_at
    line.states.append(State(name, since, ended_by(history, operation), operation, None if name == "absent" else attributes))


def _closed(line: Timeline) -> Timeline:
    """A state ends when any later one begins: a removal does not wait for the end of what it halts."""
    begun_by = float("inf")
    for state in reversed(line.states):
        state.until, begun_by = begun_by, min(begun_by, state.begun_by)
    return line


def accepted_by(history: History, operation: Operation) -> float:
    """By when somebody knew that it was accepted."""
    told = [each.answered_at for each in history.answers_with(operation)]
    return min([*told, *(run.started_at for run in history.runs_of(operation)), history.quiet_at])


def ended_by(history: History, operation: Operation) -> float:
    """By when somebody knew that it had ended."""
    return min([*(each.answered_at for each in history.polls_of(operation) if each.answer.get("state") in ENDS), history.quiet_at])


def _desired(history: History, line: Timeline, operation: Operation, before: Attributes | None) -> Attributes | None:
    """What the operation leads to, by each request that it was the answer to: they have to agree."""
    if operation.kind in ("deprovision", "unbind"):
        return before
    wanted = [_wanted(history, operation, each.asked, before) for each in requests_for(history, operation)]
    different = [each for each in wanted if each != wanted[0]]
    if different and history.answers_with(operation):
        line.problems.append(f"{operation} was the answer to requests for {wanted[0]} and for {different[0]}")
    return wanted[0] if wanted and not different else UNKNOWN


def requests_for(history: History, operation: Operation) -> list[Exchange]:
    """The requests that this operation was the answer to; for one that no answer names, those that were waiting for it."""
    return history.answers_with(operation) or [
        each
        for each in history.exchanges
        if (each.verb, each.instance, each.binding, each.can_wait) == (operation.kind, operation.instance, operation.binding, False)
        and each.sent_at <= operation.created_at <= each.answered_at
        and each.status not in (400, 409, 410, 422)
    ]


def _wanted(history: History, operation: Operation, asked: dict[str, Any], before: Attributes | None) -> Attributes:
    if operation.kind == "provision":
        return asked["plan"], asked["parameters"]
    if operation.kind == "update":
        return changed(before or UNKNOWN, asked)
    return asked.get("predecessor"), _bind_parameters(history, operation, asked)


def changed(before: Attributes, asked: dict[str, Any]) -> Attributes:
    """An instance's attributes after an update: what is not said stays."""
    return asked.get("plan") or before[0], {**(before[1] or {}), **asked.get("parameters", {})}


def _bind_parameters(history: History, operation: Operation, asked: dict[str, Any]) -> Any:
    """Those asked for; a rotation's are those of the last binding that was made under its predecessor's id."""
    if asked.get("predecessor") is None:
        return asked["parameters"]
    earlier = history.operations[: history.operations.index(operation)]
    made = [each for each in earlier if (each.kind, each.instance, each.binding) == ("bind", operation.instance, asked["predecessor"])]
    requests = requests_for(history, made[-1]) if made else []
    found = [_bind_parameters(history, made[-1], each.asked) for each in requests]
    return found[0] if found and all(each == found[0] for each in found) else None
