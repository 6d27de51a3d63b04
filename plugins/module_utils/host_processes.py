"""Processes of an instance and listeners on its ports, as /proc shows them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import host_runs
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

PATIENCE_SECONDS = 20.0
_LISTEN = "0A"


class Listener:
    """A socket that listens on a port, and the process that holds it if we may see it."""

    def __init__(self, port: int, uid: int, pid: int | None):
        self.port, self.uid, self.pid = port, uid, pid

    def __str__(self) -> str:
        if self.pid is None:
            return f"a program of user id {self.uid}"
        return f"{command(self.pid)} with process id {self.pid}"


def listeners(ports: Iterable[int]) -> list[Listener]:
    """Who listens on one of the ports, on whatever address."""
    wanted = set(ports)
    found = {inode: (port, uid) for port, uid, inode in _listening_sockets() if port in wanted}
    holders = _holders(found) if found else {}
    return [Listener(port, uid, holders.get(inode)) for inode, (port, uid) in found.items()]


def _listening_sockets() -> Iterator[tuple[int, int, str]]:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue  # no IPv6
        yield from parse_sockets(lines)


def parse_sockets(lines: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Port, user id and inode of each listening socket in lines of /proc/net/tcp."""
    for line in lines:
        fields = line.split()
        if fields[3] == _LISTEN:
            yield int(fields[1].rpartition(":")[2], 16), int(fields[7]), fields[9]


def _holders(inodes: Iterable[str]) -> dict[str, int]:
    wanted, found = {f"socket:[{inode}]": inode for inode in inodes}, {}
    for pid in pids():
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                inode = wanted.get(str(descriptor.readlink()))
                if inode is not None:
                    found[inode] = pid
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


def pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _text(pid: int, name: str) -> str:
    try:
        return Path("/proc", str(pid), name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def works_in(pid: int | None, home: Path) -> bool:
    """Its working directory is the home, or was before that was removed."""
    return _directory(pid) == str(home.resolve())


def home_in(pid: int | None, homes: Path) -> str | None:
    """The name of that home below `homes` that the process works in, or worked in before it was removed. Not of another container's."""
    directory = Path(_directory(pid) or "/")
    return directory.name if directory.parent == homes.resolve() and not host_runs.is_elsewhere(pid) else None


def _directory(pid: int | None) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)")
    except OSError:
        return ""


def command(pid: int) -> str:
    """What the process is called."""
    return _text(pid, "comm").strip() or "a program"


def end_all_of_user(uid: int) -> None:
    """Kill every process of the user."""
    _end_all(lambda pid: uid in _user_ids(pid), f"user id {uid}")


def end_all_in(home: Path) -> None:
    """Kill the caller's processes that work in the home; an operator's shell there (it has a terminal) stays."""
    _end_all(lambda pid: works_in(pid, home) and not has_terminal(pid), str(home))


def _user_ids(pid: int) -> set[int]:
    status = _text(pid, "status")
    is_zombie = "\nState:\tZ" in status
    line = next((line for line in status.splitlines() if line.startswith("Uid:")), "Uid:")
    return set() if is_zombie else {int(field) for field in line.split()[1:]}


def has_terminal(pid: int) -> bool:
    stat = _text(pid, "stat")
    return stat.rpartition(")")[2].split()[4:5] != ["0"]


def _end_all(belongs, whose: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while left := [pid for pid in pids() if pid != os.getpid() and belongs(pid)]:
        if time.monotonic() > end:
            raise HostError(f"processes {left} of {whose} do not end")
        for pid in left:
            _kill(pid)
        time.sleep(0.05)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
