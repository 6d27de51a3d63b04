"""One worker process: a single thread that waits on its runs, on the queue and on signals.

Runs are children of the main thread, so that they die with it. Whatever the database says wins: a run whose lease
is not ours any more is killed, and a result that cannot be written stays here until it can, or until it is not ours.
"""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from apb_broker import execution
from apb_broker.lifecycle import due, fleet, health, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work
from apb_broker.lifecycle.outcomes import Result
from apb_broker.storage import queue
from apb_broker.storage.errors import Unavailable
from apb_broker.storage.listening import Listener
from apb_broker.worker import jobs

POLL_SECONDS = 1.0
REPORT_SECONDS = 0.2  # what a run tells is written in transactions, not line by line
ENROLL_SECONDS = 3600.0  # all instances are read then
LEFT_SECONDS = 120.0  # longer than any pause before an operation is run again
HAND_BACK_SECONDS = 5.0  # on top of cancel_grace_seconds: then a worker that is to stop goes, whatever the database does

log = structlog.get_logger("apb.worker")


@dataclass
class Running:
    """An operation of ours: its run, and the result once there is one."""

    work: Work
    run: execution.Run
    job: execution.Job
    halted: Result | None = None  # how it ended, while a second run ends on a remote host what it has left there
    result: Result | None = None
    pending_lines: list[str] = field(default_factory=list)
    leased_at: float = 0.0  # by execution.boot_clock()
    report_at: float = 0.0  # when they are written at the latest


class Worker:
    """Claims up to `concurrency` operations at a time and sees each to its end."""

    def __init__(self, broker: Broker, listener: Listener, owner: str) -> None:
        self._broker = broker
        self._listener = listener
        self._owner = owner
        self._running: dict[str, Running] = {}
        self._stop_at: float | None = None  # when what is not finished is handed back
        self._leave_at = float("inf")  # when nothing is waited for any longer
        self._failed_here: dict[str, float] = {}  # when, by operation
        self._next_claim = 0.0
        self._next_orphans = 0.0
        self._next_renewal = 0.0
        self._next_sweep = 0.0
        self._next_enrollment = 0.0
        self._next_heartbeat = 0.0
        self._has_told = False
        self._told_cold = {""}  # reasons
        self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Works until SIGTERM or SIGINT, then drains: finishes within drain_seconds, or hands back. A second signal: hands back now."""
        self._catch_signals()
        execution.become_subreaper()
        self._keep_warm()
        log.info("worker started", owner=self._owner, concurrency=self._broker.settings.concurrency)
        while not self._may_leave():
            self._with_database(self._tell)
            self._with_database(self._claim)
            self._wait()
            self._keep_warm()
            for running in list(self._running.values()):
                self._read(running)
                self._with_database(lambda running=running: self._write(running))  # type: ignore[misc]
            self._with_database(self._renew)
            self._with_database(self._sweep)
            self._drain()
            self._look_for_orphans()
        self._leave()
        log.info("worker stopped", owner=self._owner)

    @property
    def _stopping(self) -> bool:
        return self._stop_at is not None

    def _keep_warm(self) -> None:
        if self._broker.settings.executor == "warm":
            execution.keep_warm()

    def _may_leave(self) -> bool:
        return self._stopping and (not self._running or time.monotonic() > self._leave_at)

    def _leave(self) -> None:
        """Runs are ended, if any are left; their operations are taken over when their leases are."""
        for running in self._running.values():
            log.error("operation not handed back: the database does not answer", **_ids(running.work))
            running.run.close()
        execution.end_warm()
        self._with_database(lambda: fleet.report_stopped(self._broker, self._owner))
        self._listener.close()

    def _catch_signals(self) -> None:
        def stop(signal_number: int, _frame: object) -> None:
            now = time.monotonic()
            self._stop_at = now + self._broker.settings.drain_seconds if self._stop_at is None else min(self._stop_at, now)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)

    def _with_database(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Unavailable as error:
            log.warning("the database does not answer", reason=str(error))
            time.sleep(0.2)  # everything here tries again; not in a tight loop

    def _claim(self) -> None:
        # Not before it is known that our keys are the database's.
        if not self._has_told or time.monotonic() < self._next_claim:
            return
        while not self._stopping and self._count(looks=False) < self._broker.settings.concurrency:
            asked_at = execution.boot_clock()  # before the database is: between any two statements here this process may sleep
            work = operations.claim(self._broker, self._owner, self._left())
            if work is None:
                self._next_claim = time.monotonic() + POLL_SECONDS
                self._claim_look()
                return
            self._start(work, asked_at)

    def _claim_look(self) -> None:
        """Only where nothing that was asked for is left to do, and beside the operations: none ever waits for a place."""
        while not self._stopping and self._count(looks=True) < self._broker.settings.verify_concurrency:
            asked_at = execution.boot_clock()
            work = health.claim(self._broker, self._owner)
            if work is None:
                return
            self._start(work, asked_at)

    def _left(self) -> list[str]:
        """What this worker could not do lately, for whatever reason that may pass: another may have a way where it has none."""
        recent = time.monotonic() - LEFT_SECONDS
        self._failed_here = {id_: at for id_, at in self._failed_here.items() if at > recent}
        return list(self._failed_here)

    def _count(self, *, looks: bool) -> int:
        return sum((running.work.kind == health.VERIFY) == looks for running in self._running.values())

    def _start(self, work: Work, leased_at: float) -> None:
        if execution.boot_clock() >= leased_at + self._broker.settings.lease_seconds:
            log.warning("not begun: the lease was over, as this process had slept", **_ids(work), kind=work.kind, epoch=work.epoch)
            return
        tell = log.debug if work.kind == health.VERIFY else log.info
        tell("operation claimed", **_ids(work), kind=work.kind, epoch=work.epoch)
        try:
            job = jobs.build(self._broker, work)
            run = execution.start(job, leased_at=leased_at)
        except (jobs.Unrunnable, execution.JobError, OSError) as error:
            log.error("operation cannot be run", **_ids(work), reason=str(error))
            if work.kind == health.VERIFY:
                self._finish_look(work, Result("failed", message=str(error), transient=True))
            else:
                operations.finish(self._broker, work.operation_id, work.epoch, Result("failed", message=str(error)))
            return
        self._running[work.operation_id] = Running(work, run, job, leased_at=leased_at)
        if run.why_cold not in self._told_cold:
            self._told_cold.add(run.why_cold)
            log.info("this run is a cold one, and so are others for the same reason", **_ids(work), reason=run.why_cold)

    def _wait(self) -> None:
        """Until a run says something, something is queued, a signal comes, or it is time to poll."""
        self._listener.connect()
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup[0], selectors.EVENT_READ)
            if self._listener.fileno() >= 0:
                selector.register(self._listener, selectors.EVENT_READ)
            for running in self._running.values():
                if running.result is None:
                    selector.register(running.run, selectors.EVENT_READ)
            selector.select(timeout=self._rest_seconds())
        if heard := self._listener.drain():
            self._next_claim = 0.0
            if queue.CANCEL in heard or self._count(looks=True):  # a renewal tells what is to be halted; a look is by any operation
                self._next_renewal = 0.0
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup[0], 4096)

    def _rest_seconds(self) -> float:
        """How long nothing has to be done unless something happens."""
        reports = [running.report_at for running in self._running.values() if running.pending_lines]
        return max(0.0, min([POLL_SECONDS, *(at - time.monotonic() for at in reports)]))

    def _read(self, running: Running) -> None:
        if running.result is not None:
            return
        if running.run.kill_if_overdue():
            log.error("run killed: its supervisor did not end it in time", **_ids(running.work))
        for message in running.run.read():
            if isinstance(message, execution.Progress):
                if not running.pending_lines:
                    running.report_at = time.monotonic() + REPORT_SECONDS
                running.pending_lines.append(message.text)
            else:
                self._end(running, message)

    def _end(self, running: Running, outcome: execution.Outcome) -> None:
        result = Result(outcome.status, outcome.published, outcome.message, outcome.transient)
        if running.halted is not None:
            if outcome.status != "succeeded":
                running.pending_lines.append(f"What it has left working on its host was not ended: {outcome.message}")
            running.result = running.halted
        elif not outcome.halted or self._stopping or not self._end_on_host(running, result):
            running.result = result

    def _end_on_host(self, running: Running, result: Result) -> bool:
        """A module on a remote host goes on when its run is halted, and with it what it holds there. Says whether there is such a host."""
        job = jobs.ending(running.job)
        if job is None:
            return False
        try:
            run = execution.start(job, leased_at=running.leased_at)
        except OSError as error:
            log.error("run on a host not ended there", **_ids(running.work), reason=str(error))
            return False
        running.run.close()
        running.run, running.halted = run, result
        return True

    def _write(self, running: Running) -> None:
        """Progress and results, as the owner; gives up what another worker owns by now."""
        work = running.work
        if work.kind == health.VERIFY:
            self._write_look(running)
            return
        if running.result is None:
            self._report(running)
            return
        if not operations.finish(self._broker, work.operation_id, work.epoch, running.result, running.pending_lines):
            log.warning("result refused: another worker owns the operation", **_ids(work), epoch=work.epoch)
        self._log_progress(running)
        log.info("operation run", **_ids(work), kind=work.kind, outcome=running.result.status, reason=running.result.message)
        if running.result.may_be_repeated:
            self._failed_here[work.operation_id] = time.monotonic()
        running.run.close()
        del self._running[work.operation_id]

    def _report(self, running: Running) -> None:
        if running.pending_lines and time.monotonic() >= running.report_at:
            operations.report(self._broker, running.work.operation_id, running.work.epoch, running.pending_lines)
            self._log_progress(running)

    def _log_progress(self, running: Running) -> None:
        for line in running.pending_lines:
            log.info("progress", **_ids(running.work), text=line)
        running.pending_lines = []

    def _write_look(self, running: Running) -> None:
        """A look has no log of its own; it keeps what it found, and tells what has changed."""
        if running.result is None:
            return
        self._finish_look(running.work, running.result)
        running.run.close()
        del self._running[running.work.operation_id]
        self._next_claim = 0.0  # of which nobody is notified: the next look

    def _finish_look(self, work: Work, result: Result) -> None:
        change = health.finish(self._broker, work, result)
        if change is not None:
            tell = log.info if change.after == "ok" else log.warning
            tell("health changed", instance_id=change.instance_id, before=change.before, after=change.after, reason=change.message)

    def _renew(self) -> None:
        if not self._running or time.monotonic() < self._next_renewal:
            return
        asked_at = execution.boot_clock()  # before the database is asked: its delay never extends what the supervisor grants
        held = self._held()
        self._next_renewal = time.monotonic() + self._broker.settings.lease_seconds / 5
        for id_, running in self._running.items():
            if running.result is not None:
                continue
            if id_ in held:
                running.leased_at = asked_at
                running.run.renew(at=asked_at)
            # It is to be canceled, once, or is another worker's by now, and our result will be refused.
            if id_ not in held or (held[id_] and running.halted is None):
                running.run.cancel()

    def _held(self) -> dict[str, bool]:
        """Whether to halt it, by the operation's id, of all whose leases are ours still."""
        looks = {running.work.instance_id: id_ for id_, running in self._running.items() if running.work.kind == health.VERIFY}
        asked = {id_: running.work.epoch for id_, running in self._running.items() if running.work.kind != health.VERIFY}
        held = operations.renew(self._broker, asked) if asked else {}
        if looks:
            found = health.renew(self._broker, {instance: self._running[id_].work.epoch for instance, id_ in looks.items()})
            held |= {looks[instance]: is_disturbed for instance, is_disturbed in found.items()}
        return held

    def _sweep(self) -> None:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + POLL_SECONDS
            due.serve(self._broker)
        if time.monotonic() >= self._next_enrollment:
            health.enroll(self._broker)
            self._next_enrollment = time.monotonic() + ENROLL_SECONDS

    def _look_for_orphans(self) -> None:
        if time.monotonic() >= self._next_orphans:
            execution.look_for_orphans()
            self._next_orphans = time.monotonic() + POLL_SECONDS

    def _tell(self) -> None:
        if time.monotonic() >= self._next_heartbeat:
            fleet.report_alive(self._broker, self._owner, self._count(looks=False))
            self._next_heartbeat = time.monotonic() + fleet.HEARTBEAT_SECONDS
            self._has_told = True

    def _drain(self) -> None:
        if self._stop_at is not None and self._leave_at == float("inf") and time.monotonic() >= self._stop_at:
            self._leave_at = time.monotonic() + self._broker.settings.cancel_grace_seconds + HAND_BACK_SECONDS
            for running in self._running.values():
                running.run.cancel()


def _ids(work: Work) -> dict[str, str | None]:
    return {"operation_id": work.operation_id, "instance_id": work.instance_id, "binding_id": work.binding_id}
