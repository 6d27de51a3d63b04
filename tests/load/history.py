"""What happened under load: each request with its answer, what each run did, and what the broker says of its operations in the end.

Times are seconds of the clock that runs and clients share (boot time). Whether it may happen so is left to `model`.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

IN_PROGRESS = "in progress"
ENDS = ("succeeded", "failed")


def clock() -> float:
    """Now."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. `asked` are plan, parameters and predecessor, as far as they were sent; a poll's operation."""

    verb: str  # provision update deprovision fetch poll bind unbind fetch_binding poll_binding
    instance: str
    binding: str | None
    sent_at: float
    answered_at: float
    status: int
    answer: dict[str, Any]
    asked: dict[str, Any] = field(default_factory=dict)
    can_wait: bool = True  # accepts_incomplete=true
    client: int = 0

    @property
    def operation(self) -> str | None:
        """The operation of a 202."""
        return self.answer.get("operation") if self.status == 202 else None

    def __str__(self) -> str:
        where = self.instance if self.binding is None else f"{self.instance}/{self.binding}"
        told = self.answer.get("operation") or self.answer.get("error") or self.answer.get("state") or self.answer.get("description", "")
        wait = "" if self.can_wait else " at once"
        span = f"{self.sent_at:.3f}-{self.answered_at:.3f}"
        return f"{span} client {self.client}: {self.verb} {where}{wait} {json.dumps(self.asked)} -> {self.status} {told}"


@dataclass(frozen=True)
class Run:
    """What one run really did."""

    operation: str
    epoch: int
    action: str
    instance: str
    binding: str | None
    started_at: float
    ended_at: float | None = None
    outcome: str | None = None  # succeeded failed transient lost ended
    plan: str | None = None
    parameters: dict[str, Any] | None = None

    def __str__(self) -> str:
        where = self.instance if self.binding is None else f"{self.instance}/{self.binding}"
        end = "?" if self.ended_at is None else f"{self.ended_at:.3f}"
        return f"{self.started_at:.3f}-{end} run {self.epoch} of {self.operation} ({self.action} {where}): {self.outcome}"


@dataclass(frozen=True)
class Operation:
    """An operation as the admin API lists it. Times are those at which the transactions began that wrote them: it was no earlier."""

    id: str
    kind: str
    instance: str
    binding: str | None
    state: str
    created_at: float
    finished_at: float | None
    requested_by: str = "admin"

    def __str__(self) -> str:
        where = self.instance if self.binding is None else f"{self.instance}/{self.binding}"
        return f"operation {self.id} ({self.kind} {where}, {self.state})"


@dataclass
class History:
    """All of it, complete before it is looked into.

    `operations` are in the order in which they were accepted; from `quiet_at` on nothing was in progress any more.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    runs: list[Run] | None = field(default_factory=list)  # None: this executor does not record them
    operations: list[Operation] = field(default_factory=list)
    quiet_at: float = float("inf")
    deadline_seconds: float = float("inf")
    found: dict[str, dict[str, Any] | None] = field(default_factory=dict)  # instances by the admin API in the end; None: there is none

    def operations_on(self, instance: str, binding: str | None) -> list[Operation]:
        """The operations of one instance itself, or of one binding."""
        return [each for each in self.operations if (each.instance, each.binding) == (instance, binding)]

    def runs_of(self, operation: Operation) -> list[Run]:
        """Its runs, oldest first."""
        return self._runs.get(operation.id, [])

    def answers_with(self, operation: Operation) -> list[Exchange]:
        """The requests for such a thing that were answered with it."""
        wanted = (operation.kind, operation.instance, operation.binding)
        return [each for each in self._answers.get(operation.id, []) if (each.verb, each.instance, each.binding) == wanted]

    def polls_of(self, operation: Operation) -> list[Exchange]:
        """The polls that named it."""
        return self._polls.get(operation.id, [])

    @cached_property
    def subjects(self) -> list[tuple[str, str | None]]:
        """Each instance, and each binding of it, that was ever asked for."""
        found = {(each.instance, binding) for each in self.exchanges for binding in (None, each.binding)}
        return sorted(found, key=lambda pair: (pair[0], pair[1] or ""))

    @cached_property
    def _runs(self) -> dict[str, list[Run]]:
        return _grouped((run.operation, run) for run in sorted(self.runs or [], key=lambda run: run.epoch))

    @cached_property
    def _answers(self) -> dict[str, list[Exchange]]:
        return _grouped((each.operation, each) for each in self.exchanges if each.operation is not None)

    @cached_property
    def _polls(self) -> dict[str, list[Exchange]]:
        named = ((each.asked.get("operation"), each) for each in self.exchanges if each.verb.startswith("poll"))
        return _grouped((operation, each) for operation, each in named if operation is not None)

    def save(self, path: Path) -> None:
        """For people, when a check failed."""
        path.write_text(json.dumps(asdict(self), indent=1, default=str))


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def read_runs(path: Path) -> list[Run]:
    """The record that the scripted executor made: a line when a run starts, one when it ends."""
    started: dict[tuple[str, int], dict[str, Any]] = {}
    ended: dict[tuple[str, int], dict[str, Any]] = {}
    for line in map(json.loads, path.read_text().splitlines() if path.exists() else []):
        (started if line["event"] == "start" else ended)[line["operation"], line["epoch"]] = line
    return [_run(line, ended.get(key, {})) for key, line in started.items() if line["action"] != "verify"]  # nobody asked for a look


def _run(start: dict[str, Any], end: dict[str, Any]) -> Run:
    names = ("operation", "epoch", "action", "instance", "binding", "plan", "parameters")
    return Run(**{name: start[name] for name in names}, started_at=start["at"], ended_at=end.get("at"), outcome=end.get("outcome"))


def read_operations(listed: Iterable[dict[str, Any]]) -> list[Operation]:
    """Operations as the admin API lists those of one instance, newest first."""
    offset = time.time() - clock()

    def moment(text: str | None) -> float | None:
        return None if text is None else datetime.fromisoformat(text).timestamp() - offset

    return [
        Operation(
            line["id"],
            line["kind"],
            line["instance_id"],
            line["binding_id"],
            line["state"],
            moment(line["created_at"]) or 0.0,
            moment(line["finished_at"]),
            line["requested_by"],
        )
        for line in reversed(list(listed))
    ]
