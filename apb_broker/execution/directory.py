"""A run's private directory: on tmpfs, 0700, locked by its supervisor for as long as that lives, so that anyone can
tell a dead one and remove it.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apb_broker import locked_directory
from apb_broker.execution import processes

PREFIX = "apb-run-"
_LEAST_ROOM_BYTES = 64 * 1024


@dataclass(frozen=True)
class RunDirectory:
    """An existing, locked directory of this process's run."""

    path: Path
    lock: int  # file descriptor; held by the supervisor alone

    def is_full(self) -> bool:
        """Whether there is no room left in which a run could keep anything."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize < _LEAST_ROOM_BYTES or (found.f_files > 0 and found.f_favail == 0)

    def remove(self) -> None:
        """Remove it with all its contents."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def create(run_root: Path | None) -> RunDirectory:
    """A new private directory in the first place that takes one: /dev/shm, $XDG_RUNTIME_DIR, run_root, the system's temporary directory."""
    for root in _roots(run_root):
        try:
            path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
            return RunDirectory(path, locked_directory.lock(path))
        except OSError:
            continue
    raise OSError("no place for a private directory: neither /dev/shm nor any other temporary directory is writable")


def _roots(run_root: Path | None) -> Iterator[Path]:
    if _is_tmpfs("/dev/shm"):  # noqa: S108 - mkdtemp inside it
        yield Path("/dev/shm")  # noqa: S108
    if os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(os.environ["XDG_RUNTIME_DIR"])
    yield run_root or Path(tempfile.gettempdir())


def _is_tmpfs(mount_point: str) -> bool:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return any(mount[1] == mount_point and mount[2] == "tmpfs" for mount in mounts)


def sweep(run_root: Path | None) -> None:
    """Remove this user's directories whose supervisor is dead, and kill what still runs with their names in its environment."""
    for path in dead(run_root):
        _remove(path)


def dead(run_root: Path | None) -> list[Path]:
    """This user's directories whose supervisor is dead."""
    return [path for root in dict.fromkeys(_roots(run_root)) for path in root.glob(f"{PREFIX}*") if locked_directory.is_dead(path)]


def _remove(path: Path) -> None:
    end = processes.boot_clock() + 5
    while (left := processes.with_in_environment(str(path))) and processes.boot_clock() < end:
        for pid in left:
            processes.send(pid, signal.SIGKILL)
        time.sleep(processes.PAUSE_SECONDS)
    shutil.rmtree(path, ignore_errors=True)
