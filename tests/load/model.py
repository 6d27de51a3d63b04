"""What a history has to satisfy, whatever happened in it: `problems(history)` is empty, or says what cannot have been.

No update is lost, nothing is run twice, everything that was accepted ends, an operation's state only goes forward, every answer fits a
state that the instance or binding may have been in, and what is there in the end is what the operations that succeeded made.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.load import answers, timeline
from tests.load.history import ENDS, IN_PROGRESS, Exchange, History, Operation, Run

REPEATABLE = ("lost", "transient", "ended")
SLACK_SECONDS = 90  # on top of an operation's deadline: grace times, and a machine that does other things too


def problems(history: History) -> list[str]:
    """What cannot have been, each in one sentence."""
    checks = (runs, operations, polls, every_answer, in_the_end)
    return [f"{check.__name__}: {problem}" for check in checks for problem in check(history)]


# Runs


def runs(history: History) -> Iterator[str]:
    """Each run is of an accepted operation, is the only one there, and was needed."""
    known = {each.id: each for each in history.operations}
    for run in history.runs or []:
        operation = known.get(run.operation)
        if operation is None or (operation.kind, operation.instance, operation.binding) != (run.action, run.instance, run.binding):
            yield f"{run} belongs to no accepted operation"
        if run.ended_at is None:
            yield f"{run} did not end"
    for operation in history.operations if history.runs is not None else []:
        yield from _runs_of(history, operation)
    yield from _overlaps(history.runs or [])


def _runs_of(history: History, operation: Operation) -> Iterator[str]:
    found = history.runs_of(operation)
    for first, second in pairwise(found):
        if first.outcome not in REPEATABLE:
            yield f"{second} repeats {first}"
        if second.started_at < (first.ended_at or float("inf")):
            yield f"{second} began before the end of {first}"
    last = found[-1].outcome if found else None
    if (last == "succeeded") != (operation.state == "succeeded"):
        yield f"{operation}, but its last run: {last}"


def _overlaps(found: list[Run]) -> Iterator[str]:
    """Two runs on one instance at a time are of two bindings of it."""
    ordered = sorted(found, key=lambda run: run.started_at)
    for index, first in enumerate(ordered):
        for second in ordered[index + 1 :]:
            if second.started_at >= (first.ended_at or float("inf")):
                break
            of_bindings = first.binding is not None and second.binding is not None and first.binding != second.binding
            if first.instance == second.instance and not of_bindings:
                yield f"{second} overlaps {first}"


# Operations


def operations(history: History) -> Iterator[str]:
    """What was answered with an operation is one of that kind there; all end in time; none came from nowhere."""
    known = {each.id: each for each in history.operations}
    for exchange in history.exchanges:
        found = known.get(exchange.operation or "")
        if exchange.status == 202 and (
            found is None or (found.kind, found.instance, found.binding) != (exchange.verb, exchange.instance, exchange.binding)
        ):
            yield f"{exchange}: there is no such operation"
    for operation in history.operations:
        if operation.state not in ENDS or operation.finished_at is None:
            yield f"{operation} has not ended"
        elif operation.finished_at - operation.created_at > history.deadline_seconds + SLACK_SECONDS:
            yield f"{operation} took {operation.finished_at - operation.created_at:.0f} s"
        if not _is_explained(history, operation):
            yield f"{operation} was asked for by nobody"
    yield from _steps(history)


def _is_explained(history: History, operation: Operation) -> bool:
    """Somebody asked for it; or the broker takes back a binding that nobody got the credentials of."""
    return bool(timeline.requests_for(history, operation)) or (operation.requested_by == "apb" and operation.kind == "unbind")


def _steps(history: History) -> Iterator[str]:
    """Each operation was accepted in a state that allows it."""
    for instance, binding in history.subjects:
        line = timeline.of_instance(history, instance) if binding is None else timeline.of_binding(history, instance, binding)
        yield from line.problems
    for operation in history.operations:
        if operation.kind == "bind":
            states = timeline.of_instance(history, operation.instance).states
            begun_by = timeline.accepted_by(history, operation)
            if not any(state.name == "ready" and state.since <= begun_by and state.until >= operation.created_at for state in states):
                yield f"{operation} was accepted while its instance was not ready"


def polls(history: History) -> Iterator[str]:
    """Per operation: in progress, then one end, which stays."""
    ends: dict[str, tuple[float, Exchange]] = {}
    final = {each.id: each.state for each in history.operations}
    for exchange in sorted(history.exchanges, key=lambda each: each.answered_at):
        operation = exchange.asked.get("operation")
        if not exchange.verb.startswith("poll") or operation is None or exchange.status != 200:
            continue
        state = exchange.answer.get("state")
        if state in ENDS:
            ends.setdefault(operation, (exchange.answered_at, exchange))
            if state != final.get(operation):
                yield f"{exchange}: the operation is {final.get(operation)} in the end"
    for exchange in history.exchanges:
        ended_at, first = ends.get(exchange.asked.get("operation", ""), (float("inf"), None))
        if exchange.verb.startswith("poll") and exchange.sent_at > ended_at and exchange.answer.get("state") == IN_PROGRESS:
            yield f"{exchange}: goes backwards after {first}"


# Answers


def every_answer(history: History) -> Iterator[str]:
    """Each fits a state that may have been seen."""
    lines = {
        (instance, binding): timeline.of_instance(history, instance) if binding is None else timeline.of_binding(history, instance, binding)
        for instance, binding in history.subjects
    }
    for exchange in history.exchanges:
        instance = lines[exchange.instance, None]
        if not _is_right(history, exchange, instance, lines):
            line = lines[exchange.instance, exchange.binding]
            yield f"{exchange}: not an answer while {_names(line, exchange)}, its instance being {_names(instance, exchange)}"


def _names(line: timeline.Timeline, exchange: Exchange) -> str:
    return " or ".join(dict.fromkeys(state.name for state in line.seen_by(exchange)))


Lines = dict[tuple[str, str | None], timeline.Timeline]


def _is_right(history: History, exchange: Exchange, instance: timeline.Timeline, lines: Lines) -> bool:
    if exchange.verb.startswith("poll"):
        return answers.poll(exchange, may_be_unknown=_may_be_unknown(history, exchange))
    if exchange.binding is not None:
        return _is_right_of_binding(exchange, lines[exchange.instance, exchange.binding], instance, lines)
    answer = answers.OF_INSTANCE[exchange.verb]
    more: dict[str, Any] = {}
    if exchange.verb in ("update", "deprovision"):
        bindings = (line for (owner, binding), line in lines.items() if owner == exchange.instance and binding is not None)
        more["bindings_are_busy"] = any(line.is_busy_during(exchange) for line in bindings)
    return any(answer(state, exchange, **more) for state in instance.seen_by(exchange))


def _is_right_of_binding(exchange: Exchange, line: timeline.Timeline, instance: timeline.Timeline, lines: Lines) -> bool:
    if exchange.verb == "fetch_binding":
        return any(answers.fetch_binding(state, exchange) for state in line.seen_by(exchange))
    if exchange.verb == "bind" and exchange.status == 400 and exchange.asked.get("predecessor"):
        predecessor = lines.get((exchange.instance, exchange.asked["predecessor"]))
        return predecessor is None or any(state.name != "ready" for state in predecessor.seen_by(exchange))
    answer = getattr(answers, exchange.verb if exchange.can_wait else f"{exchange.verb}_at_once")
    return any(answer(state, around, exchange) for state in line.seen_by(exchange) for around in instance.seen_by(exchange))


def _may_be_unknown(history: History, exchange: Exchange) -> bool:
    """No operation on this subject was told of before it was asked."""
    if exchange.asked.get("operation") is not None:
        return False
    there = history.operations_on(exchange.instance, exchange.binding)
    return all(timeline.accepted_by(history, operation) > exchange.sent_at for operation in there)


# The end

STORED = {"ready": "ready", "broken": "failed", "stuck": "failed"}


def in_the_end(history: History) -> Iterator[str]:
    """What the broker has is what the operations that succeeded made, in their order."""
    for instance, found in history.found.items():
        last = timeline.of_instance(history, instance).states[-1]
        if (found is None) != (last.name == "absent"):
            yield f"instance {instance} is {last.name}, but the broker has {found}"
        elif found is not None:
            yield from _differences(f"instance {instance}", last, found, (found["plan_id"], found["parameters"]))
            yield from _bindings_in_the_end(history, instance, found)


def _differences(what: str, last: timeline.State, found: dict[str, Any], attributes: timeline.Attributes) -> Iterator[str]:
    if found["state"] != STORED.get(last.name):
        yield f"{what} is {last.name}, but the broker says {found['state']}"
    if last.attributes != attributes and last.attributes != timeline.UNKNOWN:
        yield f"{what} is {last.attributes}, but the broker has {attributes}"


def _bindings_in_the_end(history: History, instance: str, found: dict[str, Any]) -> Iterator[str]:
    for name, count in Counter(each["id"] for each in found["bindings"]).items():
        if count > 1 or (instance, name) not in set(history.subjects):
            yield f"binding {instance}/{name}: {count} of it, asked for by nobody"
    kept = {each["id"]: each for each in found["bindings"]}
    for binding in (binding for owner, binding in history.subjects if owner == instance and binding is not None):
        last = timeline.of_binding(history, instance, binding).states[-1]
        if (last.name == "absent") != (binding not in kept):
            yield f"binding {instance}/{binding} is {last.name}, but the broker has {kept.get(binding)}"
        elif binding in kept:
            parameters = (last.attributes or timeline.UNKNOWN)[1]
            shown = kept[binding]["parameters"] if parameters is not None else None
            yield from _differences(f"binding {instance}/{binding}", last, kept[binding], ((last.attributes or ("",))[0], shown))
