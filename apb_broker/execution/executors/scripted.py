"""Runs without Ansible, for tests and load: how long one takes and how it ends is written in the job.

settings {"scripted": {...}} or, stronger, the parameter `scripted`:

    outcome        succeeded, failed, transient (failed, may pass), lost (its process dies), hang; or {name: weight}, one is drawn
    delay_seconds  a number, or [least, most]
    published      what a success publishes; {host} {port} {username} {password} in its texts are the instance's and the binding's
    message        why it failed
    progress       texts
    seed           of what is drawn; the operation and its epoch count too, so that a run that is repeated may end otherwise
    record         a file that each run appends a line to when it starts and when it ends, also when it is told to end
    actions        {action: {any of these}}: what is different for one action
"""

import json
import os
import random
import re
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apb_broker.execution import processes
from apb_broker.execution.executors import Emit
from apb_broker.execution.job import Job, Outcome, Progress

PLACEHOLDER = re.compile(r"\{(host|port|username|password)\}")


def run(job: Job, directory: Path, emit: Emit) -> Outcome:
    """Do what the script says."""
    script = script_of(job)
    chance = random.Random(f"{script.get('seed', 0)} {job.operation_id} {job.epoch}")  # noqa: S311 - nothing secret is drawn
    outcome, delay = _drawn(chance, script)
    record = Record(script.get("record"), job)
    record.start()
    for text in script.get("progress", []):
        emit(Progress(text, "localhost", datetime.now(UTC)))
    time.sleep(1e9 if outcome == "hang" else delay)
    record.end(outcome)
    match outcome:
        case "succeeded":
            return Outcome("succeeded", published=filled(script.get("published", {}), job))
        case "failed" | "transient":
            message = script.get("message", "It was told to fail")
            return Outcome("failed", message=message, transient=outcome == "transient")
        case "lost":
            os._exit(1)
    raise ValueError(f"no outcome is called {outcome!r}")


def script_of(job: Job) -> dict[str, Any]:
    """The job's script: what is said for its action wins over what is said for all, a tenant's word over the operator's."""
    said = (job.settings.get("scripted", {}), job.variables.get("apb_parameters", {}).get("scripted", {}))
    script: dict[str, Any] = {}
    for part in said:
        script |= {**part, **part.get("actions", {}).get(job.action, {})}
    return script


def _drawn(chance: random.Random, script: dict[str, Any]) -> tuple[str, float]:
    outcome, delay = script.get("outcome", "succeeded"), script.get("delay_seconds", 0)
    if isinstance(outcome, dict):
        (outcome,) = chance.choices(list(outcome), weights=list(outcome.values()))
    return outcome, chance.uniform(*delay) if isinstance(delay, list) else float(delay)


def filled(value: Any, job: Job) -> Any:
    """The value with what is known of the instance and the binding in its texts; a text that is one placeholder alone keeps its type."""
    if isinstance(value, dict):
        return {name: filled(item, job) for name, item in value.items()}
    if not isinstance(value, str) or "{" not in value:
        return value
    instance, binding = job.variables.get("apb_instance", {}), job.variables.get("apb_binding", {})
    known = {"host": instance.get("host"), "port": next(iter(instance.get("ports", {}).values()), None)}
    known |= {name: binding.get(name) for name in ("username", "password")}
    whole = PLACEHOLDER.fullmatch(value)
    return known[whole[1]] if whole else PLACEHOLDER.sub(lambda found: str(known[found[1]]), value)


class Record:
    """The lines of one run in a file that all runs share: each is one append, which other writers cannot tear."""

    def __init__(self, path: str | None, job: Job) -> None:
        self._path = path
        instance, binding = job.variables.get("apb_instance", {}), job.variables.get("apb_binding", {})
        self._line = {"operation": job.operation_id, "epoch": job.epoch, "action": job.action}
        self._line |= {"instance": instance.get("id"), "binding": binding.get("id")}
        self._line |= {"plan": job.variables.get("apb_plan"), "parameters": job.variables.get("apb_parameters")}

    def start(self) -> None:
        """The run begins. From now on it also tells when it is ended from outside."""
        if self._path is not None:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            self._append("start")
            signal.signal(signal.SIGTERM, self._ended)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def end(self, outcome: str) -> None:
        """The run has come to its own end; what is recorded is not taken back by a signal that comes too late."""
        if self._path is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._append("end", outcome=outcome)

    def _ended(self, _number: int, _frame: object) -> None:
        self._append("end", outcome="ended")
        os._exit(1)

    def _append(self, event: str, **more: str) -> None:
        line = json.dumps({**self._line, "event": event, **more, "at": processes.boot_clock()}) + "\n"
        file = os.open(str(self._path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
