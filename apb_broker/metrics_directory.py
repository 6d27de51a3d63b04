"""The directory in which the web processes keep their counters for each other, and the end of those that a killed server left.

It is locked for as long as one of its processes lives: the descriptor is handed on to each.
"""

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "apb-metrics-"
_LOCK = "lock"
_UNLOCKED_SECONDS = 60.0  # between the directory and its lock; one without a lock that is older was given up half made


def create() -> str:
    """A new one of this process's; removes what dead ones left."""
    sweep(Path(tempfile.gettempdir()))
    path = tempfile.mkdtemp(prefix=PREFIX)
    lock = os.open(f"{path}/new-{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)  # stays open until the process ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    Path(path, f"new-{_LOCK}").rename(Path(path, _LOCK))  # now that it is held: one that nobody holds means a dead owner
    return path


def sweep(root: Path) -> None:
    """Remove this user's directories below `root` whose processes are all dead."""
    for path in root.glob(f"{PREFIX}*"):
        if _is_dead(path):
            shutil.rmtree(path, ignore_errors=True)


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
