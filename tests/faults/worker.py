"""A worker that is killed, with its run, at a chosen point: python worker.py STATE_DIR KIND POINT.

POINT: claimed, started, changed (the first task that changes the host has ended), published (its outcome is known but not
written). Kills are SIGKILL, to every process of the run first and to itself last, as when a machine's memory runs out.
"""

import os
import sys
from pathlib import Path
from typing import Any

import psutil

from apb_broker import execution
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from apb_broker.worker import loop, main

# The task after the first one that changes the host: when it begins, the first has ended.
AFTER_FIRST_CHANGE = 2


def die() -> None:
    """Kills the run's processes, then this one."""
    for process in psutil.Process().children(recursive=True):
        process.kill()
    os.kill(os.getpid(), 9)


def arm(kind: str, point: str) -> None:
    """Puts the kill where it is wanted, for operations of that kind."""
    worker_start, worker_read, finish = loop.Worker._start, loop.Worker._read, operations.finish
    seen: list[str] = []

    def start(self: loop.Worker, work: operations.Work) -> None:
        if work.kind == kind and point == "claimed":
            die()
        worker_start(self, work)
        if work.kind == kind and point == "started":
            die()

    def read(self: loop.Worker, running: loop.Running) -> None:
        worker_read(self, running)
        seen.extend(running.pending_lines)
        if running.work.kind == kind and point == "changed" and len(seen) >= AFTER_FIRST_CHANGE:
            die()

    def finish_or_die(broker: Any, operation_id: str, epoch: int, result: Result) -> bool:
        with broker.database.unit() as unit:
            row = unit.operation(operation_id)
        if row is not None and row.kind == kind and point == "published":
            die()
        return finish(broker, operation_id, epoch, result)

    loop.Worker._start = start  # type: ignore[method-assign]
    loop.Worker._read = read  # type: ignore[method-assign]
    operations.finish = finish_or_die


if __name__ == "__main__":
    assert execution.Run  # the real executor, nothing scripted
    arm(sys.argv[2], sys.argv[3])
    main.run(Path(sys.argv[1]))
