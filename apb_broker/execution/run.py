"""The worker's end of a run: starting its supervisor, hearing from it, renewing its lease. What that does is left to `supervisor`."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from apb_broker.execution import directory, environment, orphans, processes
from apb_broker.execution.job import Assignment, Job, Outcome, Progress, checked, decode_message, encode_assignment
from apb_broker.execution.warm import keeper

_CLOSE_SECONDS = 5.0  # on top of the grace time, before a supervisor that does not end is killed


def start(job: Job, *, leased_at: float | None = None, run_root: Path | None = None) -> "Run":
    """Start the job under a supervisor of its own; raises JobError for one that can never be run.

    Only from the main thread: the kernel tells the supervisor that its worker has died when the *thread* that started
    it ends. `run_root` holds the private directory where there is neither /dev/shm nor $XDG_RUNTIME_DIR. Removes what
    dead supervisors left.

    `leased_at`, by processes.boot_clock(): when the operation was claimed, or now. The run, which has until then and lease_seconds, is not
    begun at all when that is over: this process may have slept, and others took the operation.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("runs are started from the main thread only")
    job = checked(job)
    parent = os.getpid(), None if run_root is None else str(run_root.absolute()), leased_at
    assignment = encode_assignment(Assignment(job, *parent))
    directory.sweep(run_root)
    forked = keeper.supervisor(job.lease_seconds / 4) if job.executor == "warm" else ""
    if isinstance(forked, keeper.Forked):
        supervisor: _Supervisor = forked
    else:
        supervisor = _executed()
        if job.executor == "warm":
            job = replace(job, executor="cold")
            assignment = encode_assignment(Assignment(job, *parent))
    orphans.watch(supervisor.pid)
    return Run(job, supervisor, assignment, run_root, why_cold=forked if isinstance(forked, str) else "")


def _executed() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        # -P: nothing is imported from the current directory
        [sys.executable, "-P", "-m", "apb_broker.execution.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what a traceback would show is told by the outcome, masked
        cwd="/",
        env=environment.of_run(os.environ),
        start_new_session=True,
        bufsize=0,
    )


class _Supervisor(Protocol):
    """A child of this process and the pipes to it."""

    pid: int

    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    def wait(self, timeout: float | None = None) -> object: ...
    def kill(self) -> None: ...


class Run:
    """A started run: select on it, `read()` it until an Outcome comes, `renew()` it meanwhile, `close()` it (or use `with`)."""

    def __init__(self, job: Job, supervisor: _Supervisor, assignment: bytes, run_root: Path | None, *, why_cold: str = "") -> None:
        self.operation_id = job.operation_id
        self.why_cold = why_cold  # why a run that was to be warm is not; empty where it is, or was not to be
        self.pid = supervisor.pid
        self._job = job
        self._supervisor = supervisor
        self._run_root = run_root
        self._received = b""
        self._has_ended = False
        self._end_by = processes.boot_clock() + job.deadline_seconds
        assert supervisor.stdin and supervisor.stdout  # noqa: S101 - they are pipes
        self._orders, self._messages = supervisor.stdin, supervisor.stdout
        self._send(assignment)
        os.set_blocking(self._orders.fileno(), False)
        os.set_blocking(self._messages.fileno(), False)

    def fileno(self) -> int:
        """For selectors: readable when read() has something to give."""
        return self._messages.fileno()

    def read(self) -> list[Progress | Outcome]:
        """What has come since the last call, without waiting. The Outcome is the last message of a run, and always comes."""
        if self._has_ended:
            return []
        found: list[Progress | Outcome] = []
        while (data := self._receive()) is not None:
            *lines, self._received = (self._received + data).split(b"\n")
            found += map(decode_message, lines)
            if found and isinstance(found[-1], Outcome):
                self._end()
                break
            if not data:
                found.append(self._lose())
                break
        return found

    def _receive(self) -> bytes | None:
        try:
            return os.read(self._messages.fileno(), 1 << 16)
        except BlockingIOError:
            return None

    def _lose(self) -> Outcome:
        """The supervisor ended without an outcome: runner and playbook got parent-death signals, the rest is killed here."""
        self._end()
        orphans.kill_if_subreaper()
        directory.sweep(self._run_root)
        return Outcome("lost", message="The run's supervisor was killed")

    def _end(self) -> None:
        self._has_ended = True
        self._supervisor.wait()
        orphans.forget(self.pid)

    def renew(self, at: float | None = None) -> None:
        """The operation's lease was renewed: the run may go on for lease_seconds from `at`, by processes.boot_clock(), or from now.

        Give the time at which the renewal was *sent* to the database, so that the run ends no later than the lease that others see.
        """
        self._send(b"renew %.3f\n" % (processes.boot_clock() if at is None else at))

    def cancel(self) -> None:
        """End the run; its Outcome, `canceled` unless it came to its own end first, follows within cancel_grace_seconds."""
        self._end_by = min(self._end_by, processes.boot_clock())
        self._send(b"cancel\n")

    def kill_if_overdue(self) -> bool:
        """Kill a run whose supervisor does not do it: canceled or beyond its deadline, and beyond all that ending it may take.

        That supervisor is stopped, or hangs. The Outcome, `lost`, is there at once. Says whether it was so.
        """
        patience = self._job.cancel_grace_seconds + processes.UNKILLABLE_SECONDS + _CLOSE_SECONDS
        if self._has_ended or processes.boot_clock() < self._end_by + patience:
            return False
        self._kill()
        return True

    def _kill(self) -> None:
        processes.kill_below(self.pid)
        self._supervisor.kill()

    def _send(self, line: bytes) -> None:
        try:
            while line:
                written = self._orders.write(line)
                if written is None:
                    return  # the pipe is full: a supervisor that doesn't read is one whose lease should run out
                line = line[written:]
        except (BrokenPipeError, ValueError):
            pass  # it has ended: read() tells how

    def close(self) -> None:
        """Free everything. Ends a run that goes on, and waits for that: cancel_grace_seconds and a little more at most."""
        self._orders.close()  # for the supervisor: its worker is gone
        if not self._has_ended:
            self._wait_or_kill()
        self._messages.close()

    def _wait_or_kill(self) -> None:
        try:
            self._messages.close()
            self._supervisor.wait(self._job.cancel_grace_seconds + _CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._end()
        orphans.kill_if_subreaper()
        directory.sweep(self._run_root)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
