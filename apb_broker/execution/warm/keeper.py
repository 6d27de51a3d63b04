"""The worker's end of its warm process: starts it, asks it for supervisors, gives it up when it does not answer and starts it anew.

Wherever there is none, runs are cold: nobody waits for it but for an answer, and not long for that.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from apb_broker.execution import environment, orphans, processes
from apb_broker.execution.warm import titles

ANSWER_SECONDS = 3.0  # a fork takes 0.01 s; the worker does nothing else meanwhile
START_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0  # before it is started anew, twice as long after each failure
END_SECONDS = 2.0

PROGRAM = ("-P", "-m", "apb_broker.execution.warm.zygote")

NOT_KEPT = "this process keeps no warm one"
STARTING = "the warm process is still loading"


class Forked:
    """A supervisor that the warm process forked, a child of this process: what subprocess gives for one that was executed."""

    def __init__(self, pid: int, orders: int, messages: int) -> None:
        self.pid = pid
        self.stdin = os.fdopen(orders, "wb", buffering=0)
        self.stdout = os.fdopen(messages, "rb", buffering=0)
        self._has_ended = False

    def wait(self, timeout: float | None = None) -> None:
        """Until it has ended. Raises subprocess.TimeoutExpired."""
        end = None if timeout is None else processes.boot_clock() + timeout
        while not self._has_ended:
            try:
                self._has_ended = os.waitpid(self.pid, 0 if end is None else os.WNOHANG)[0] == self.pid
            except ChildProcessError:
                self._has_ended = True  # somebody else took its status
            if not self._has_ended and end is not None:
                if processes.boot_clock() > end:
                    raise subprocess.TimeoutExpired("supervisor", timeout or 0)
                time.sleep(processes.PAUSE_SECONDS)

    def kill(self) -> None:
        """SIGKILL, while it lives."""
        if not self._has_ended:
            processes.send(self.pid, signal.SIGKILL)


class Keeper:
    """The warm process of this one, while there is one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._environment: dict[str, str] = {}
        self._is_ready = False
        self.why_not = STARTING  # where it is not ready: the reason
        self._started_at = 0.0
        self._failures = 0
        self._next_start = 0.0

    @property
    def pid(self) -> int | None:
        """That of the warm process."""
        return self._process.pid if self._process else None

    @property
    def is_ready(self) -> bool:
        """Whether it would be asked now."""
        return self._is_ready

    def tend(self) -> None:
        """Start it if it is time to, hear whether it is ready, notice its death. Never waits."""
        if self._process is None:
            if processes.boot_clock() >= self._next_start:
                self._start()
        elif environment.of_run(os.environ) != self._environment:
            self._restart("the environment of this process was changed since")
        elif not self._is_ready:
            self._take(self._hear(0.0), "it ended while it loaded")
            if self._process and not self._is_ready and processes.boot_clock() > self._started_at + START_SECONDS:
                self._fail(f"it was not ready within {START_SECONDS:.0f} s")
        elif self._process.poll() is not None:
            self._fail(f"it ended with status {self._process.returncode}")

    def _start(self) -> None:
        self._environment = environment.of_run(os.environ)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(  # noqa: S603 - a program of this installation
                [sys.executable, *PROGRAM, titles.ROOM_ARGUMENT],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={**self._environment, titles.ROOM_VARIABLE: titles.ROOM_VALUE},
                start_new_session=True,
            )
        self._connection = ours
        self._started_at = processes.boot_clock()
        orphans.watch(self._process.pid)

    def supervisor(self, patience_seconds: float) -> Forked | str:
        """One for a run that is to begin; or why there is none. Waits for at most that long."""
        self.tend()
        if not self._is_ready or self._connection is None:
            return self.why_not
        its_orders, orders = os.pipe()
        messages, its_messages = os.pipe()
        try:
            answer = self._ask([its_orders, its_messages], min(patience_seconds, ANSWER_SECONDS))
        finally:
            os.close(its_orders)
            os.close(its_messages)
        if pid := answer.get("pid"):
            self._failures = 0
            return Forked(pid, orders, messages)
        os.close(orders)
        os.close(messages)
        return self.why_not

    def _ask(self, descriptors: list[int], patience_seconds: float) -> dict[str, Any]:
        assert self._connection  # noqa: S101 - it is ready
        try:
            socket.send_fds(self._connection, [b"run"], descriptors)
        except OSError as error:
            self._fail(f"it does not listen: {error.strerror}")
            return {}
        answer = self._hear(patience_seconds)
        self._take(answer, "it ended")
        if answer is None:
            self._fail(f"it did not answer within {patience_seconds:g} s")
        return answer or {}

    def _hear(self, patience_seconds: float) -> dict[str, Any] | None:
        """Its next message; empty at its end, None if there is none in time."""
        if self._connection is None or not select.select([self._connection], [], [], patience_seconds)[0]:
            return None
        try:
            data = self._connection.recv(1 << 16)
        except OSError:
            data = b""
        return dict(json.loads(data)) if data else {}

    def _take(self, message: dict[str, Any] | None, at_its_end: str) -> None:
        match message:
            case {"ready": _}:
                self._is_ready = True
            case {"unfit": why}:
                self._fail(str(why))
                self._next_start = processes.boot_clock() + LONGEST_PAUSE_SECONDS
            case {"stale": path} if not self._is_ready:
                self._fail(f"{path} was changed while it loaded")
            case {"stale": path}:
                self._restart(f"{path} was changed since")
            case {"pid": _} | None:
                pass
            case _:
                self._fail(at_its_end)

    def _restart(self, why: str) -> None:
        """What is wrong with it is not wrong with the next one."""
        self._end()
        self.why_not = f"{why}: the warm process is loading anew"
        self._start()

    def _fail(self, why: str) -> None:
        self._end()
        self.why_not = f"there is no warm process: {why}"
        pause = min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS)
        self._failures += 1
        self._next_start = processes.boot_clock() + pause

    def _end(self) -> None:
        process, self._process, self._is_ready = self._process, None, False
        if self._connection:
            self._connection.close()
            self._connection = None
        if process:
            process.kill()
            process.wait()
            orphans.forget(process.pid)

    def close(self) -> None:
        """End it. Runs that it began go on."""
        self._end()
        self.why_not = NOT_KEPT


_keeper: Keeper | None = None


def keep() -> Keeper:
    """See to it that this process, a sub-reaper from now on, has a warm one; to be called again and again. Never waits."""
    global _keeper
    if _keeper is None:
        processes.adopt_orphans()
        _keeper = Keeper()
    _keeper.tend()
    return _keeper


def end() -> None:
    """There is none from now on."""
    global _keeper
    if _keeper is not None:
        _keeper.close()
        _keeper = None


def supervisor(patience_seconds: float) -> Forked | str:
    """A supervisor that the warm process of this one forked, or why there is none."""
    return _keeper.supervisor(patience_seconds) if _keeper else NOT_KEPT
