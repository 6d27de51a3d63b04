"""A run's private directory: on tmpfs, 0700, locked by its supervisor for as long as that lives, so that anyone can
tell a dead one and remove it.
"""

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apb_broker.execution import processes

PREFIX = "apb-run-"
_LOCK = "lock"
_LEAST_ROOM_BYTES = 64 * 1024
_UNLOCKED_SECONDS = 60.0  # between mkdir and lock; a directory without a lock that is older was given up half made


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
            return RunDirectory(path, _lock(path))
        except OSError:
            continue
    raise OSError("no place for a private directory: neither /dev/shm nor any other temporary directory is writable")


def _lock(path: Path) -> int:
    """Locked under another name first: a lock file that nobody holds means that its owner is dead."""
    lock = os.open(path / "new-lock", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (path / "new-lock").rename(path / _LOCK)
    return lock


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
    return [path for root in dict.fromkeys(_roots(run_root)) for path in root.glob(f"{PREFIX}*") if _is_dead(path)]


def _is_dead(path: Path) -> bool:
    try:
        status = path.lstat()
        if status.st_uid != os.getuid() or not path.is_dir() or path.is_symlink():
            return False
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return path.exists() and time.time() - status.st_mtime > _UNLOCKED_SECONDS
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _remove(path: Path) -> None:
    end = processes.boot_clock() + 5
    while (left := processes.with_in_environment(str(path))) and processes.boot_clock() < end:
        for pid in left:
            processes.send(pid, signal.SIGKILL)
        time.sleep(processes.PAUSE_SECONDS)
    shutil.rmtree(path, ignore_errors=True)
