"""Directories that are locked for as long as their owner lives, so that anyone of the same user can tell a dead one and remove it."""

import fcntl
import os
import time
from pathlib import Path

_LOCK = "lock"
_UNLOCKED_SECONDS = 60.0  # between mkdir and lock; a directory without a lock that is older was given up half made


def lock(path: Path) -> int:
    """Locks a new directory; the descriptor holds the lock, also where it was handed on to other processes.

    It is locked under another name first: a lock file that nobody holds means that its owner is dead.
    """
    held = os.open(path / f"new-{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    (path / f"new-{_LOCK}").rename(path / _LOCK)
    return held


def is_dead(path: Path) -> bool:
    """Whether it is this user's directory, and nobody holds its lock."""
    try:
        status = path.lstat()
        if status.st_uid != os.getuid() or not path.is_dir() or path.is_symlink():
            return False
        found = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return path.exists() and time.time() - status.st_mtime > _UNLOCKED_SECONDS
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(found)
    return True
