"""`apb worker` that keeps a journal of what it does, and waits at chosen points for a fault: python worker.py STATE_DIR JOURNAL HOLDS.

The journal's lines are what the suite judges by: nothing that a role or a run says is believed. Each start looks by itself whether anything
of an earlier run on the same instance still lives. A file HOLDS/<instance>.<action>.<point> makes the worker stand still at that point:

    claimed    the operation is ours, nothing is started
    started    its supervisor is
    published  its outcome is known and not written
    finished   it is written, and not yet forgotten here
"""

import json
import os
import sys
import time
from pathlib import Path

from apb_broker.lifecycle import health, operations
from apb_broker.worker import loop, main
from tests.faults.remains import alive_of, born

LONGEST_HOLD_SECONDS = 20
RETRY_SECONDS = (1, 2, 3, 4)  # instead of up to a minute: the suite has many operations to see to their end


class Journal:
    """One line an event; each is one append, which other writers cannot tear."""

    def __init__(self, path, holds):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path, self._holds = Path(path), Path(holds)
        self._works = {}

    def note(self, event, work, **more):
        """An event of a claimed operation."""
        self._works[work.operation_id] = work
        line = {"event": event, "operation": work.operation_id, "epoch": work.epoch, "action": work.kind, "instance": work.instance_id}
        line |= {"binding": work.binding_id, "worker": os.getpid(), "at": time.monotonic(), **more}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def hold(self, point, work):
        """Stands still while it is told to."""
        wanted = self._holds / f"{work.instance_id}.{work.kind}.{point}"
        held = wanted.with_name(f"{wanted.name}.held")
        try:
            wanted.rename(held)
        except FileNotFoundError:
            return
        end = time.monotonic() + LONGEST_HOLD_SECONDS
        while held.exists() and time.monotonic() < end:
            time.sleep(0.005)

    def of(self, operation_id):
        """The claimed operation of that id; None when it never came so far."""
        return self._works.get(operation_id)

    def older_supervisors(self, work):
        """The supervisors of earlier runs that may stand in the way of this one, and when each was born."""
        lines = [json.loads(line) for line in self._path.read_text().splitlines()]
        mine = [line for line in lines if line["event"] == "started" and line["instance"] == work.instance_id]
        side_by_side = [line for line in mine if None not in (line["binding"], work.binding_id) and line["binding"] != work.binding_id]
        return {line["supervisor"]: line["born"] for line in mine if line not in side_by_side}


def arm(journal):
    """Puts journal and points where they are wanted."""
    worker_start, worker_read, finish = loop.Worker._start, loop.Worker._read, operations.finish

    def start(self, work, leased_at):
        if work.kind == health.VERIFY:  # a look is no operation, and may go on beside one until it is halted
            worker_start(self, work, leased_at)
            return
        journal.note("claimed", work)
        journal.hold("claimed", work)
        older = journal.older_supervisors(work)
        worker_start(self, work, leased_at)
        if work.operation_id in self._running:
            pid = self._running[work.operation_id].run.pid
            older.pop(pid, None)  # what had this number is dead
            # What lives now lives beside this run, whose supervisor has just been started.
            journal.note("started", work, supervisor=pid, born=born(pid), overlapping=alive_of(older))
            journal.hold("started", work)

    def read(self, running):
        before = len(running.pending_lines)
        worker_read(self, running)
        for line in running.pending_lines[before:]:
            journal.note("task", running.work, text=line)

    def finish_slowly(broker, operation_id, epoch, result, lines=()):
        work = journal.of(operation_id)
        if work is None:
            return finish(broker, operation_id, epoch, result, lines)
        journal.note("published", work, status=result.status)
        journal.hold("published", work)
        is_accepted = finish(broker, operation_id, epoch, result, lines)
        journal.note("finished", work, status=result.status, accepted=is_accepted)
        journal.hold("finished", work)
        return is_accepted

    loop.Worker._start = start
    loop.Worker._read = read
    operations.finish = finish_slowly
    operations.RETRY_SECONDS = RETRY_SECONDS


if __name__ == "__main__":
    arm(Journal(*sys.argv[2:]))
    main.run(Path(sys.argv[1]))
