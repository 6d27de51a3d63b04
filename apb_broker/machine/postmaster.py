"""The running server of a data directory, found by postmaster.pid and proved by /proc: a number alone proves nothing.

A server and all its children work inside their data directory: so a recycled pid is told from ours.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apb_broker.machine.errors import DatabaseError

READY = "ready"
PID_LINE, STATUS_LINE = 0, 7
POLL_SECONDS = 0.02
ORPHANS_SECONDS = 30.0


@dataclass(frozen=True)
class Postmaster:
    """A server that lives: its pid and what it says of itself (starting, ready, stopping)."""

    pid: int
    status: str


def find(data: Path) -> Postmaster | None:
    """The live server of this data directory."""
    pid, status = _read(data)
    return Postmaster(pid, status) if pid and _works_in(pid, data) else None


def remove_stale_files(data: Path, socket_directory: Path, pause: Callable[[float], object] = time.sleep) -> None:
    """Makes way after a power loss or a kill. Call when `find` finds nothing.

    Children of a killed server are waited for: PostgreSQL refuses to start beside them. It sees itself that a pid is
    dead, but takes a process of the same user that got the number meanwhile for the old server; then the files go,
    and with them its own guard against such children. Raises DatabaseError when one of those stays.
    """
    pid, _status = _read(data)
    if not pid:
        return
    end = time.monotonic() + ORPHANS_SECONDS
    while left := [other for other in _processes() if _works_in(other, data)]:
        if time.monotonic() > end:
            raise DatabaseError(f"processes of a killed PostgreSQL still work in {data}: end {', '.join(map(str, left))} and start again")
        pause(POLL_SECONDS)
    if Path(f"/proc/{pid}").exists():
        (data / "postmaster.pid").unlink(missing_ok=True)
        for lock in socket_directory.glob(".s.PGSQL.*.lock"):
            lock.unlink(missing_ok=True)


def stop(data: Path, timeout_seconds: float) -> None:
    """Fast shutdown, then (after the time-out) an immediate one, whose recovery the next start does. Raises DatabaseError."""
    for number, patience in ((signal.SIGINT, timeout_seconds), (signal.SIGQUIT, 10.0)):
        found = find(data)
        if found is None or _signal_and_wait(found.pid, data, number, patience):
            return
    raise DatabaseError(f"PostgreSQL in {data} does not stop: see its log")


def _signal_and_wait(pid: int, data: Path, number: int, timeout_seconds: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not _works_in(pid, data):  # looked at again under the descriptor: the pid cannot change hands any more
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        return bool(select.select([descriptor], [], [], timeout_seconds)[0])
    finally:
        os.close(descriptor)


def _read(data: Path) -> tuple[int, str]:
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return 0, ""
    except OSError as error:
        raise DatabaseError(f"{data}/postmaster.pid cannot be read: {error.strerror}") from error
    pid = lines[PID_LINE].strip() if lines else ""
    return int(pid) if pid.isdigit() else 0, lines[STATUS_LINE].strip() if len(lines) > STATUS_LINE else ""


def _works_in(pid: int, data: Path) -> bool:
    process = Path(f"/proc/{pid}")
    try:
        if (process / "comm").read_text(encoding="utf-8", errors="replace").strip() != "postgres":
            return False
        try:
            return (process / "cwd").samefile(data)
        except PermissionError:
            return _looks_like(process, data)
    except OSError:
        return False  # it ended, or belongs to somebody else


def _looks_like(process: Path, data: Path) -> bool:
    """Without CAP_SYS_PTRACE, as root in a container, another user's cwd is hidden: a server names its data, its orphans lack a server."""
    if process.stat().st_uid != data.stat().st_uid:
        return False
    arguments = (process / "cmdline").read_bytes().split(b"\0")
    if not arguments[0].startswith(b"postgres: "):
        return os.fsencode(data) in arguments
    parent = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
    return Path(f"/proc/{parent}/comm").read_text(encoding="utf-8", errors="replace").strip() != "postgres"


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names only
