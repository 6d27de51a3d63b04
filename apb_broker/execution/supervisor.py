"""The process between a worker and a run: it holds the run's lease, ends it in time, and tells its outcome when nothing of it is left.

    python -m apb_broker.execution.supervisor      stdin: the assignment, then lines `renew BOOT_SECONDS` or `cancel`;
    stdout: progress, then one outcome

It forks the runner, which calls an executor; it never imports Ansible itself. It ends its run when told to, when the
deadline has come, when the lease was not renewed, when there is no room for its files, and when the worker is gone (parent-death signal, or
end of stdin).
"""

import os
import selectors
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from apb_broker.execution import directory, executors, job, limits, masking, processes

TICK_SECONDS = 0.1
RUNNER_END_SECONDS = 0.2
LEASE_GRACE_SECONDS = 2.0  # from the lease's end to SIGKILL; takeover must wait longer than this

PROGRESS_LIMIT = 1000  # messages of a run; each is a row in the database, and a role may loop over any number of tasks

SENTENCE_LENGTH = 500

_NO_ROOM = "The run was ended: no room is left where runs keep their files"
_BUFFER_LIMIT = 1_000_000
_CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Outbox:
    """Messages to the worker. Progress is dropped when the worker doesn't read: the lease must be watched, not a full pipe waited for."""

    def __init__(self, fd: int, masker: masking.Masker) -> None:
        self._fd = fd
        self._masker = masker
        self._buffer = b""
        self._told = 0
        os.set_blocking(fd, False)

    def progress(self, message: job.Progress) -> None:
        """Hand on if there is room; of a run that has very much to tell only the beginning."""
        self._told += 1
        if self._told == PROGRESS_LIMIT:
            message = replace(message, text="What follows is not listed: the run has too many tasks")
        if self._told <= PROGRESS_LIMIT and len(self._buffer) < _BUFFER_LIMIT:
            text = masking.shorten(self._masker.mask(message.text), 200)
            self._buffer += job.encode_message(replace(message, text=text))
        self.flush()

    def flush(self) -> None:
        """Write what can be written now."""
        try:
            self._buffer = self._buffer[os.write(self._fd, self._buffer) :] if self._buffer else b""
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._buffer = b""

    def outcome(self, message: job.Outcome) -> None:
        """Write everything, however long it takes: nothing else is left to do."""
        text = masking.shorten(self._masker.mask(message.message))
        self._buffer += job.encode_message(replace(message, message=text, published=self._masked(message.published)))
        os.set_blocking(self._fd, True)
        while self._buffer:
            self.flush()

    def _masked(self, published: dict[str, Any]) -> dict[str, Any]:
        """Of what was published, the sentences for people; the rest is for the broker, and secret."""
        told: dict[str, Any] = {name: self._sentence(published[name]) for name in ("unreachable",) if name in published}
        if "drift" in published:
            told["drift"] = [self._sentence(found) for found in published["drift"]]
        return {**published, **told}

    def _sentence(self, value: object) -> str:
        return masking.shorten(self._masker.mask(str(value)), SENTENCE_LENGTH)


class Supervisor:
    """One run from its start to its end."""

    def __init__(self, assignment: job.Assignment, orders: bytes, run_directory: directory.RunDirectory, outbox: Outbox) -> None:
        self._job = assignment.job
        self._directory = run_directory
        self._outbox = outbox
        now = processes.boot_clock()
        self._deadline = now + self._job.deadline_seconds
        self._lease_end = (now if assignment.leased_at is None else assignment.leased_at) + self._job.lease_seconds
        self._stopped: job.Outcome | None = None  # why it was ended, if it was
        self._stop_end = 0.0
        self._signaled: set[int] = set()
        self._result: job.Outcome | None = None
        self._orders = orders
        self._events = b""
        self._runner = 0
        self._watched = limits.Watch(self._job.limits)

    def run(self) -> job.Outcome:
        """Start the runner, watch it, and see to it that nothing is left."""
        self._take_orders(b"")
        if processes.boot_clock() >= self._lease_end:
            return job.Outcome("lost", message="The run was not begun: its lease had run out by then")
        events = self._start_runner()
        self._watch(events)
        if not self._stopped:
            processes.await_end(self._runner, RUNNER_END_SECONDS)  # it has closed its pipe, which is the last that it does
        self._let_finish()
        if not processes.kill_children(processes.UNKILLABLE_SECONDS):
            left = ", ".join(str(pid) for pid in processes.descendants(os.getpid()))
            return job.Outcome("lost", message=f"Processes of the run could not be ended: {left}")
        return self._outcome()

    def _outcome(self) -> job.Outcome:
        result = self._result or job.Outcome("lost", message="The runner was killed before its end")
        if self._stopped is None and self._directory.is_full():  # shorter than a tick, and who knows what it could not write
            return job.Outcome("lost", message=_NO_ROOM)
        return result if self._stopped is None or result.status == "succeeded" else self._stopped

    # The runner

    def _start_runner(self) -> int:
        reader, writer = os.pipe()
        supervisor = os.getpid()
        # A SIGTERM before the runner has reset its signals would meet this process's handler in it, and be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
        self._runner = os.fork()
        if self._runner == 0:
            self._be_runner(supervisor, writer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
        os.close(writer)
        return reader

    def _be_runner(self, supervisor: int, events: int) -> NoReturn:
        try:
            _reset_signals()
            processes.die_with_parent(supervisor, signal.SIGKILL)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.dup2(events, 3)
            os.set_inheritable(3, False)
            os.closerange(4, os.sysconf("SC_OPEN_MAX"))
            os.chdir(self._directory.path)
            limits.impose(self._job.limits, self._job.deadline_seconds)
            _write_all(3, job.encode_message(self._execute()))
        finally:
            os._exit(0)

    def _execute(self) -> job.Outcome:
        try:
            execute = executors.find(self._job.executor)
            return execute(self._job, self._directory.path, lambda progress: _write_all(3, job.encode_message(progress)))
        except Exception as error:
            return job.Outcome("lost", message=f"The executor {self._job.executor} broke: {type(error).__name__}: {error}")

    # Watching

    def _watch(self, events: int) -> None:
        """Until the runner has closed its end, or must not be waited for any longer."""
        with selectors.DefaultSelector() as selector:
            selector.register(events, selectors.EVENT_READ, self._read_events)
            selector.register(0, selectors.EVENT_READ, self._read_orders)
            while events in selector.get_map() and not (self._stopped and processes.boot_clock() >= self._latest()):
                for key, _ in selector.select(TICK_SECONDS):
                    if not key.data(key.fd):
                        selector.unregister(key.fd)
                self._outbox.flush()
                self._check_clocks()

    def _read_events(self, fd: int) -> bool:
        data = os.read(fd, 1 << 16)
        *lines, self._events = (self._events + data).split(b"\n")
        for message in map(job.decode_message, lines):
            if isinstance(message, job.Outcome):
                self._result = message
            else:
                self._outbox.progress(message)
        return bool(data)

    def _read_orders(self, fd: int) -> bool:
        data = os.read(fd, 1 << 12)
        self._take_orders(data)
        if not data:
            self._abandon()
        return bool(data)

    def _take_orders(self, data: bytes) -> None:
        *lines, self._orders = (self._orders + data).split(b"\n")
        for order, _, argument in (line.partition(b" ") for line in lines):
            if order == b"renew":
                self._lease_end = max(self._lease_end, float(argument) + self._job.lease_seconds)
            elif order == b"cancel":
                self._stop(job.Outcome("canceled", message="The run was canceled", halted=True))

    def _check_clocks(self) -> None:
        now = processes.boot_clock()
        if _is_told_to_end:
            self._abandon()
        if now >= self._lease_end:
            self._stop(job.Outcome("lost", message="The run was ended: its lease was not renewed in time"))
        if now >= self._deadline:
            message = f"The run was ended: not finished within {self._job.deadline_seconds:g} s"
            self._stop(job.Outcome("failed", message=message, halted=True))
        if excess := self._watched.excess():
            self._stop(job.Outcome("failed", message=f"The run was ended: {excess}", halted=True))
            self._stop_end = now  # each moment of grace would make it worse
        if self._directory.is_full():  # ansible-playbook would lose events, or hang: a thread of it may die of the failing write
            self._stop(job.Outcome("lost", message=_NO_ROOM))
        if self._stopped:
            self._ask_to_end()

    def _abandon(self) -> None:
        self._stop(job.Outcome("lost", message="The run was ended: its worker is gone"))

    # Ending

    def _stop(self, outcome: job.Outcome) -> None:
        """Ask the run to end; it is given the grace time, but never much more than its lease."""
        if self._stopped is None:
            self._stopped = outcome
            self._stop_end = processes.boot_clock() + self._job.cancel_grace_seconds
            self._ask_to_end()

    def _latest(self) -> float:
        return min(self._stop_end, self._lease_end + LEASE_GRACE_SECONDS)

    def _ask_to_end(self) -> None:
        """SIGTERM to what the runner started (ansible-playbook, which ends its tasks), or to the runner before that."""
        parents = processes.parents()
        playbooks = [pid for pid, parent in parents.items() if parent == self._runner]
        self._terminate(playbooks or [self._runner])

    def _terminate(self, pids: list[int]) -> None:
        for pid in pids:
            if pid not in self._signaled:
                self._signaled.add(pid)
                processes.send(pid, signal.SIGTERM)

    def _let_finish(self) -> None:
        """After a stop, what ansible-playbook left gets SIGTERM and the rest of the grace time; otherwise it is killed at once."""
        while self._stopped and processes.has_children() and processes.boot_clock() < self._latest() and not self._watched.excess():
            self._terminate(processes.descendants(os.getpid()))
            time.sleep(processes.PAUSE_SECONDS)


_is_told_to_end = False


def _on_signal(number: int, _frame: object) -> None:
    global _is_told_to_end
    _is_told_to_end = True


def _catch_signals() -> None:
    for number in _CAUGHT:
        signal.signal(number, _on_signal)


def _reset_signals() -> None:
    for number in (*_CAUGHT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _read_assignment(fd: int) -> tuple[job.Assignment, bytes]:
    """The assignment, and what of the orders came with it."""
    chunks = [b""]
    while b"\n" not in chunks[-1]:
        chunks.append(os.read(fd, 1 << 16))
        if not chunks[-1]:
            sys.exit("no assignment on stdin")
    line, _, orders = b"".join(chunks).partition(b"\n")
    return job.decode_assignment(line), orders


def main() -> None:
    """Read the assignment and carry it out."""
    os.umask(0o077)
    _catch_signals()
    assignment, orders = _read_assignment(0)
    processes.die_with_parent(assignment.parent_pid, signal.SIGTERM)
    processes.adopt_orphans()
    outbox = Outbox(1, masking.Masker(assignment.job.secrets))
    outbox.outcome(_supervise(assignment, orders, outbox))


def _supervise(assignment: job.Assignment, orders: bytes, outbox: Outbox) -> job.Outcome:
    run_root = Path(assignment.run_root) if assignment.run_root else None
    try:
        run_directory = directory.create(run_root)
    except OSError as error:
        return job.Outcome("lost", message=str(error))
    try:
        return Supervisor(assignment, orders, run_directory, outbox).run()
    except Exception as error:
        processes.kill_children(processes.UNKILLABLE_SECONDS)
        return job.Outcome("lost", message=f"The supervisor broke: {type(error).__name__}: {error}")
    finally:
        run_directory.remove()


if __name__ == "__main__":
    main()
