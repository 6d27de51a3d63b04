"""The processes of `apb up`: each in a session of its own, with a log file, ended with `up`, started again when it dies.

A child gets SIGTERM when `up` dies, however that happens; one that outlives it nevertheless is found by the next `up`
through the file of pids. What serve and worker do is left to them.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from apb_broker.execution.processes import runs_in_group
from apb_broker.machine import files

LOG_LIMIT_BYTES = 10 * 1024 * 1024
FIRST_BACK_OFF_SECONDS, LAST_BACK_OFF_SECONDS = 1.0, 30.0
HEALTHY_SECONDS = 60.0  # who lived that long starts at the first back-off again
POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def dies_with_parent(number: int) -> Callable[[], None]:
    """A preexec_fn: the process gets the signal when the thread that made it ends. What it starts itself does not."""
    parent = os.getpid()

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return prepare


class Child:
    """One process that is to run all the time."""

    def __init__(self, name: str, command: Sequence[str], log_file: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log_file = log_file
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._back_off = FIRST_BACK_OFF_SECONDS
        self._start_at: float | None = None

    def start(self) -> None:
        """Starts it. Raises OSError."""
        files.bound(self.log_file, LOG_LIMIT_BYTES)
        log = files.append_private(self.log_file)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._environment,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )
        finally:
            os.close(log)
        self._started, self._start_at = time.monotonic(), None

    @property
    def pid(self) -> int | None:
        """The pid, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs. A signal is a negative number."""
        return self._process.poll() if self._process else None

    def restart_when_due(self, on_message: Callable[[str], None]) -> bool:
        """Starts it again when it died, after a pause that doubles with each death. True when it did."""
        files.bound(self.log_file, LOG_LIMIT_BYTES)
        if self.exit_code is None:
            return False
        now = time.monotonic()
        if self._start_at is None:
            if now - self._started > HEALTHY_SECONDS:
                self._back_off = FIRST_BACK_OFF_SECONDS
            self._start_at = now + self._back_off
            on_message(
                f"apb {self.name} {self.ending()} and is started again in {self._back_off:.0f} s: {self.last_line()} (log: {self.log_file})"
            )
            self._back_off = min(2 * self._back_off, LAST_BACK_OFF_SECONDS)
            self.signal_group(signal.SIGKILL)  # what it left behind holds its port
        if now < self._start_at:
            return False
        self.start()
        return True

    def ending(self) -> str:
        """How it ended, in words."""
        code = self.exit_code or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        if self.pid is not None and self._process is not None:
            self._process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Sends a signal to it and all that it forked into its group, the leader being dead or alive."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def last_line(self) -> str:
        """The end of its log: usually why it did not start."""
        try:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it gives no reason")


def stop(children: Sequence[Child], grace_seconds: float, impatience: Callable[[], int]) -> None:
    """SIGTERM to all, then SIGKILL to whoever still runs after the grace.

    Who is told to hurry passes it on, once: a worker hands back what it runs, a web server ends its requests. Told again, it kills.
    """
    for child in children:
        child.signal(signal.SIGTERM)
    end, was_told = time.monotonic() + grace_seconds, False
    while any(child.pid for child in children) and time.monotonic() < end and impatience() <= 1:
        if impatience() and not was_told:
            was_told = True
            for child in children:
                child.signal(signal.SIGINT)
        time.sleep(POLL_SECONDS)
    for child in children:
        child.signal_group(signal.SIGKILL)
    while any(child.pid for child in children):
        time.sleep(POLL_SECONDS)


def remember(path: Path, children: Sequence[Child]) -> None:
    """Writes down who runs, for an `up` after this one was killed."""
    identities = {child.name: identity for child in children if child.pid and (identity := _identity(child.pid))}
    files.write_private(path, json.dumps(identities) + "\n")


def end_leftovers(path: Path, grace_seconds: float) -> None:
    """Ends children of a killed `up`, and their groups, so that their ports are free: SIGTERM is on its way to them, SIGKILL follows."""
    try:
        left = json.loads(path.read_text(encoding="utf-8")).values()
        identities = [(int(pid), str(started)) for pid, started in left]
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return
    alive = [pid for pid, started in identities if _identity(pid) == [pid, started]]
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 10.0)):
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
        end = time.monotonic() + patience
        while alive := [pid for pid in alive if runs_in_group(pid)]:
            if time.monotonic() > end:
                break
            time.sleep(POLL_SECONDS)


def _identity(pid: int) -> list[int | str] | None:
    """A pid with its start time, which a recycled pid does not share. None where nothing of its group runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return [pid, f"{boot}/{stat[19]}"] if runs_in_group(pid) else None
