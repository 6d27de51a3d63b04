"""The model of the load tests, on histories made by hand: it finds nothing in a good one, and each thing that is wrong in a bad one."""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.load import history, model
from tests.load.history import Exchange, History, Operation, Run

SMALL = {"plan": "small", "parameters": {"label": "a", "size": 1}}
READ = {"plan": "small", "parameters": {"access": "read"}}
CREDENTIALS = {"credentials": {"password": "p"}, "parameters": {"access": "read"}}


def sent(verb: str, at: float, status: int, answer: Any = None, **more: Any) -> Exchange:
    """A request on the instance that took a tenth of a second."""
    body = {"operation": answer} if isinstance(answer, str) else answer or {}
    return Exchange(verb, "i", more.pop("binding", None), at, more.pop("until", at + 0.1), status, body, **more)


def polled(operation: str, at: float, state: str, binding: str | None = None) -> Exchange:
    """A poll of an operation."""
    verb = "poll" if binding is None else "poll_binding"
    return sent(verb, at, 200, {"state": state}, binding=binding, asked={"operation": operation})


def operation(id_: str, kind: str, created_at: float, finished_at: float, state: str = "succeeded", **more: Any) -> Operation:
    """An operation on the instance or its binding."""
    binding = "b" if kind in ("bind", "unbind") else None
    return Operation(id_, kind, "i", binding, state, created_at, finished_at, **more)


def ran(id_: str, kind: str, began: float, ended: float | None, outcome: str | None = "succeeded", epoch: int = 1) -> Run:
    """A run of it."""
    return Run(id_, epoch, kind, "i", "b" if kind in ("bind", "unbind") else None, began, ended, outcome)


def good() -> History:
    """Provision, a refused change of it, an update that is sent twice, a binding made by the second run and removed, the end at 20 s."""
    return History(
        exchanges=[
            sent("fetch", 0, 404),
            sent("provision", 1, 202, "p", asked=SMALL),
            sent("provision", 1.5, 202, "p", asked=SMALL),
            sent("provision", 1.6, 409, {"description": "other"}, asked={**SMALL, "plan": "large"}),
            polled("p", 2, "in progress"),
            polled("p", 4, "succeeded"),
            sent("fetch", 4.5, 200, {"plan_id": "small", "parameters": {"label": "a", "size": 1}}),
            sent("update", 5, 202, "u", asked={"parameters": {"label": "b"}}),
            sent("update", 5.2, 202, "u", asked={"parameters": {"label": "b", "size": 1}}),
            sent("update", 5.4, 422, {"error": "ConcurrencyError", "description": "busy"}, asked={"parameters": {"label": "c"}}),
            polled("u", 7, "succeeded"),
            sent("fetch", 7.5, 200, {"plan_id": "small", "parameters": {"label": "b", "size": 1}}),
            sent("bind", 8, 202, "b1", binding="b", asked=READ),
            sent("fetch_binding", 8.5, 404, binding="b"),
            polled("b1", 12, "succeeded", binding="b"),
            sent("fetch_binding", 12.5, 200, CREDENTIALS, binding="b"),
            sent("unbind", 13, 202, "n", binding="b"),
            polled("n", 15, "succeeded", binding="b"),
            sent("unbind", 15.5, 410, binding="b"),
            sent("provision", 16, 422, {"error": "AsyncRequired", "description": "later"}, asked=SMALL, can_wait=False),
        ],
        runs=[
            ran("p", "provision", 1.2, 3),
            ran("u", "update", 5.1, 6),
            ran("b1", "bind", 8.2, 9, "lost", epoch=2),
            ran("b1", "bind", 10, 11, epoch=3),
            ran("n", "unbind", 13.2, 14),
        ],
        operations=[
            operation("p", "provision", 1.05, 3.1),
            operation("u", "update", 5.05, 6.1),
            operation("b1", "bind", 8.05, 11.1),
            operation("n", "unbind", 13.05, 14.1),
        ],
        quiet_at=20,
        deadline_seconds=60,
        found={"i": {"id": "i", "state": "ready", "plan_id": "small", "parameters": {"label": "b", "size": 1}, "bindings": []}},
    )


def test_good_history_has_no_problems() -> None:
    """What may happen is not complained of."""
    assert model.problems(good()) == []


Change = Callable[[History], Any]


def add(*exchanges: Exchange) -> Change:
    """These requests more."""
    return lambda bad: bad.exchanges.extend(exchanges)


def answer(index: int, **changes: Any) -> Change:
    """One of the answers is another one."""

    def change(bad: History) -> None:
        bad.exchanges[index] = replace(bad.exchanges[index], **changes)

    return change


def of_run(index: int, **changes: Any) -> Change:
    """One of the runs did something else."""

    def change(bad: History) -> None:
        assert bad.runs is not None
        bad.runs[index] = replace(bad.runs[index], **changes)

    return change


def of_operation(index: int, **changes: Any) -> Change:
    """One of the operations is another one."""

    def change(bad: History) -> None:
        bad.operations[index] = replace(bad.operations[index], **changes)

    return change


def in_the_end(**changes: Any) -> Change:
    """The broker has something else."""
    return lambda bad: bad.found["i"].update(changes)  # type: ignore[union-attr]


BAD: dict[str, tuple[Change, str]] = {
    "a run of nothing": (lambda bad: bad.runs.append(ran("x", "update", 17, 18)), "runs: .* belongs to no accepted operation"),
    "a run of another action": (of_run(0, action="update"), "runs: .* belongs to no accepted operation"),
    "a run after a success": (lambda bad: bad.runs.append(ran("p", "provision", 4, 5, epoch=9)), "runs: .* repeats "),
    "a run after a failure": (of_run(2, outcome="failed"), "runs: .* repeats "),
    "two runs of one operation at a time": (of_run(2, ended_at=10.5), "runs: .* began before the end of "),
    "two runs on one instance at a time": (of_run(1, ended_at=8.5), "runs: .* overlaps "),
    "a run that never ends": (of_run(4, ended_at=None, outcome=None), "runs: .* did not end"),
    "a success without effect": (of_operation(1, state="failed"), "runs: .*, but its last run: succeeded"),
    "a success without a run": (lambda bad: bad.runs.pop(0), "runs: .*, but its last run: None"),
    "an operation that never ends": (of_operation(3, state="running", finished_at=None), "operations: .* has not ended"),
    "an operation that takes too long": (lambda bad: setattr(bad, "deadline_seconds", -90), "operations: .* took "),
    "an operation that nobody knows": (answer(7, answer={"operation": "x"}), "operations: .* there is no such operation"),
    "an operation of another kind": (answer(16, answer={"operation": "b1"}), "operations: .* there is no such operation"),
    "an operation that nobody asked for": (
        lambda bad: bad.operations.append(operation("x", "update", 17, 18, "failed")),
        "operations: .* was asked for by nobody",
    ),
    "an instance made twice": (
        lambda bad: (
            bad.operations.append(operation("x", "provision", 17, 18, "failed")),
            add(sent("provision", 17, 202, "x", asked=SMALL))(bad),
        ),
        "operations: .* was accepted while its subject was ready",
    ),
    "a binding of an instance that is not there yet": (
        lambda bad: (of_operation(2, created_at=5.35, finished_at=5.9)(bad), answer(12, sent_at=5.3, answered_at=5.4)(bad)),
        "operations: .* was accepted while its instance was not ready",
    ),
    "one operation for two changes": (answer(8, asked={"parameters": {"label": "z"}}), "operations: .* was the answer to requests for "),
    "an operation that begins again": (add(polled("p", 4.4, "in progress")), "polls: .* goes backwards after "),
    "an operation that fails after it succeeded": (add(polled("p", 4.4, "failed")), "polls: .* the operation is succeeded in the end"),
    "an update that is lost while it is looked at": (
        answer(11, answer={"plan_id": "small", "parameters": {"label": "a", "size": 1}}),
        "every_answer: .* fetch .* not an answer while ready",
    ),
    "an update that is lost in the end": (in_the_end(parameters={"label": "a", "size": 1}), "in_the_end: instance i is "),
    "a plan that changes by itself": (in_the_end(plan_id="large"), "in_the_end: instance i is "),
    "an instance that fails by itself": (in_the_end(state="failed"), "in_the_end: instance i is ready"),
    "an instance that is lost": (lambda bad: bad.found.update(i=None), "in_the_end: instance i is ready"),
    "a binding that comes back": (
        in_the_end(bindings=[{"id": "b", "state": "ready", "parameters": {"access": "read"}}]),
        "in_the_end: binding i/b is absent",
    ),
    "an instance that vanishes for a moment": (add(sent("fetch", 4.6, 404)), "every_answer: .* fetch .* not an answer while ready"),
    "gone, said of what is there": (add(sent("unbind", 12.6, 410, binding="b")), "every_answer: .* not an answer while ready"),
    "not gone, said of what is not": (add(sent("deprovision", 0.2, 202, "p")), "every_answer: .* not an answer while absent"),
    "a second operation for a request sent again": (
        lambda bad: (bad.operations.insert(1, operation("q", "provision", 1.52, 2, "failed")), answer(2, answer={"operation": "q"})(bad)),
        "operations: .* was accepted while its subject was ready",
    ),
    "identical, refused": (add(sent("provision", 4.6, 409, asked=SMALL)), "every_answer: .* not an answer while ready"),
    "different, taken for identical": (
        add(sent("provision", 4.6, 200, asked={**SMALL, "plan": "large"})),
        "every_answer: .* not an answer while ready",
    ),
    "credentials before they are made": (
        answer(12, answer={"operation": "b1", "credentials": {"password": "p"}}),
        "every_answer: .* bind .* not an answer",
    ),
    "a binding without credentials": (answer(15, answer={"parameters": {"access": "read"}}), "every_answer: .* fetch_binding "),
    "a binding with other parameters": (
        answer(15, answer={**CREDENTIALS, "parameters": {"access": "write"}}),
        "every_answer: .* fetch_binding ",
    ),
    "an answer of a broken broker": (add(sent("fetch", 4.6, 500, {"description": "oops"})), "every_answer: .* -> 500 "),
    "a caller that is suddenly unknown": (add(sent("fetch", 4.6, 401)), "every_answer: .* -> 401 "),
    "busy without its code": (answer(9, answer={"description": "busy"}), "every_answer: .* update .* not an answer while updating"),
    "busy while nothing is in progress": (
        add(sent("update", 7.6, 422, {"error": "ConcurrencyError", "description": "busy"}, asked={"parameters": {"label": "x"}})),
        "every_answer: .* not an answer while ready",
    ),
    "a rotation of nothing, refused as one of something": (
        add(sent("bind", 12.6, 400, {"description": "no"}, binding="c", asked={"predecessor": "b"})),
        "every_answer: .* bind i/c ",
    ),
    "an operation that is forgotten": (add(sent("poll", 9, 404, asked={"operation": "p"})), "every_answer: .* poll i "),
    "a failure at once of what succeeded": (
        add(sent("bind", 12.6, 500, {"description": "no"}, binding="b", asked=READ, can_wait=False)),
        "every_answer: .* -> 500 no: not an answer while ready",
    ),
}


@pytest.mark.parametrize("change", BAD)
def test_bad_history_is_found_out(change: str) -> None:
    """One thing that must not happen, in a history that is good otherwise."""
    bad = copy.deepcopy(good())
    apply, problem = BAD[change]
    apply(bad)
    found = "\n".join(model.problems(bad))
    assert found, "nothing was found"
    assert re.search(problem, found), found


def test_halted_operation_and_its_removal_are_good() -> None:
    """A removal is accepted while an update is in progress: that ends, then the removal runs; either order of looking at it is right."""
    made = good()
    made.exchanges += [
        sent("update", 17, 202, "u2", asked={"parameters": {"label": "z"}}),
        sent("deprovision", 17.5, 202, "d"),
        sent("deprovision", 17.6, 202, "d"),
        sent("provision", 17.7, 422, {"error": "ConcurrencyError", "description": "removed"}, asked=SMALL),
        sent("bind", 17.8, 422, {"error": "ConcurrencyError", "description": "removed"}, binding="b", asked=READ),
        polled("d", 19.5, "succeeded"),
        sent("deprovision", 19.7, 410),
    ]
    made.operations += [operation("u2", "update", 17.05, 18, "failed"), operation("d", "deprovision", 17.55, 19)]
    assert made.runs is not None
    made.runs += [ran("u2", "update", 17.1, 17.9, "ended"), ran("d", "deprovision", 18.2, 18.9)]
    made.found["i"] = None
    assert model.problems(made) == []


def test_halted_update_that_succeeds_all_the_same_is_good() -> None:
    """Its removal is accepted before it has ended: until then the instance is what it was, then what the update made of it."""
    made = good()
    made.exchanges += [
        sent("update", 17, 202, "u2", asked={"parameters": {"label": "z"}}),
        sent("deprovision", 17.2, 202, "d"),
        sent("fetch", 17.5, 200, {"plan_id": "small", "parameters": {"label": "b", "size": 1}}),
        sent("fetch", 18.1, 200, {"plan_id": "small", "parameters": {"label": "z", "size": 1}}),
        polled("d", 19.5, "succeeded"),
    ]
    made.operations += [operation("u2", "update", 17.05, 18), operation("d", "deprovision", 17.25, 19)]
    assert made.runs is not None
    made.runs += [ran("u2", "update", 17.1, 17.9), ran("d", "deprovision", 18.2, 18.9)]
    made.found["i"] = None
    assert model.problems(made) == []
    made.exchanges.append(sent("fetch", 18.3, 200, {"plan_id": "small", "parameters": {"label": "y", "size": 1}}))
    assert len(model.problems(copy.deepcopy(made))) == 1


def test_either_answer_is_right_while_a_state_changes() -> None:
    """A request that is under way when an operation ends may see it before or after."""
    for status, body in ((404, {}), (200, {"plan_id": "small", "parameters": {"label": "a", "size": 1}})):
        made = good()
        made.exchanges.append(sent("fetch", 2.9, status, body, until=3.3))
        assert model.problems(made) == []


def test_binding_made_at_once_is_explained_by_its_request() -> None:
    """No answer names the operation of a synchronous bind: the request that waited for it does. Its failure is a 500, and is undone."""
    made = good()
    made.exchanges += [
        sent("bind", 16, 500, {"description": "it failed"}, binding="b", asked=READ, can_wait=False, until=17.5),
        sent("bind", 18, 201, CREDENTIALS, binding="b", asked=READ, can_wait=False, until=19),
    ]
    made.operations += [
        operation("b2", "bind", 16.1, 17.2, "failed"),
        operation("n2", "unbind", 17.3, 17.7, requested_by="apb"),
        operation("b3", "bind", 18.1, 18.7),
    ]
    assert made.runs is not None
    made.runs += [ran("b2", "bind", 16.2, 17.1, "failed"), ran("n2", "unbind", 17.4, 17.6), ran("b3", "bind", 18.2, 18.6)]
    assert made.found["i"] is not None
    made.found["i"]["bindings"] = [{"id": "b", "state": "ready", "parameters": {"access": "read"}}]
    assert model.problems(made) == []


def test_record_of_runs_is_read_with_runs_that_did_not_end(tmp_path: Any) -> None:
    """A line for each start, and one for each end, in any order of runs."""
    start = {"operation": "p", "epoch": 1, "action": "provision", "instance": "i", "binding": None, "plan": "small", "parameters": {}}
    lines = [{**start, "event": "start", "at": 1}, {**start, "epoch": 2, "event": "start", "at": 3}]
    lines.append({**start, "event": "end", "at": 2, "outcome": "lost"})
    (tmp_path / "runs").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    first, second = history.read_runs(tmp_path / "runs")
    assert (first.started_at, first.ended_at, first.outcome) == (1, 2, "lost")
    assert (second.ended_at, second.outcome) == (None, None)
