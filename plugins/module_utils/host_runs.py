"""What earlier runs left working on this host: their modules go on when the connection is cut, and nobody waits for them.

Playbooks give each task on a remote host APB_INSTANCE and APB_EPOCH in its environment; what a supervisor starts has
neither. Which epochs count is left to the caller. Processes of a container that runs here are those of another host.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

INSTANCE, EPOCH = "APB_INSTANCE", "APB_EPOCH"
PATIENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.02


def end_older(slug: str, epoch: int) -> None:
    """Kill what runs of the instance with a lower epoch left, with all that it started, and wait for the end of it.

    Raises HostError for processes that do not end. Processes whose environment we may not read are not found: without
    root those of other users.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while found := _stop_older(slug, epoch):
        for pid, started in found.items():
            if _started(pid) == started:
                _send(pid, signal.SIGKILL)
        while left := [pid for pid, started in found.items() if _started(pid) == started]:
            if time.monotonic() > end:
                raise HostError(f"processes {left} of an earlier run of {slug} do not end: end them, or restart the host")
            time.sleep(_PAUSE_SECONDS)


def _stop_older(slug: str, epoch: int) -> dict[int, str]:
    """All are stopped before the first is killed: otherwise one could start another, whose parent would be gone when we look."""
    found: dict[int, str] = {}
    while new := {pid: started for pid, started in _trees({**_older(slug, epoch), **found}).items() if pid not in found}:
        for pid in new:
            _send(pid, signal.SIGSTOP)
        found.update(new)
    return found


def _older(slug: str, epoch: int) -> dict[int, str]:
    """The processes that older runs of the instance made, and when each began, which tells it from a later one of its number."""
    own, found = _own(), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in own:
            pid = int(entry.name)
            started = _started(pid)
            if started and _is_older(pid, slug, epoch):
                found[pid] = started
    return found


def _is_older(pid: int, slug: str, epoch: int) -> bool:
    found = _mark(pid)
    return found is not None and found[0] == slug and found[1] < epoch


def _mark(pid: int) -> tuple[str, int] | None:
    """The instance and the epoch of the run that made the process; None: none did, or it ended, or we may not see."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    given = dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)
    number = given.get(EPOCH.encode(), b"")
    if is_elsewhere(pid) or INSTANCE.encode() not in given or not number.isdigit():
        return None
    return given[INSTANCE.encode()].decode(errors="replace"), int(number)


def is_elsewhere(pid: int | None) -> bool:
    """Whether the process is another container's; also of one that ended or that we may not look at."""
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()
    except OSError:
        return True


def marked() -> dict[int, tuple[str, int]]:
    """All processes that runs on this host made, ours and those we were started by aside: process id to (instance, epoch)."""
    own = _own()
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid: found for pid in pids if pid not in own and _started(pid) and (found := _mark(pid)) is not None}


def _own() -> set[int]:
    """This process and those it was started by."""
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        pid = _parent(pid)
    return found


def _trees(roots: dict[int, str]) -> dict[int, str]:
    """The roots that still live, and all below them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    own, found = _own(), {pid: started for pid, started in roots.items() if _started(pid) == started}
    todo = list(found)
    while todo:
        for pid in children.get(todo.pop(), []):
            if pid not in own and pid not in found:
                found[pid] = _started(pid)
                todo.append(pid)
    return {pid: started for pid, started in found.items() if started}


def _parent(pid: int) -> int:
    return int((_fields(pid) or ["", "0"])[1])


def _started(pid: int) -> str:
    """When the process began, in the kernel's ticks; "" when it has ended."""
    fields = _fields(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the state on: the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _send(pid: int, signal_number: int) -> None:
    try:
        os.kill(pid, signal_number)
    except (ProcessLookupError, PermissionError):
        return
