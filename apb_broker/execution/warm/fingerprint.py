"""Whether what a process has loaded is still what lies on the disk. Which files that are is left to the caller."""

import os
from collections.abc import Iterable

from apb_broker.execution import processes

LOOK_SECONDS = 1.0  # a look is a stat of a thousand files

State = tuple[int, int, int] | None


class Watched:
    """Files and directories, also such as do not exist."""

    def __init__(self, paths: Iterable[str], since: float) -> None:
        """`since`, by the wall clock: when reading them began. One that was changed after that may have been read in either state."""
        found = {path: _found(path) for path in sorted(set(paths))}
        self._states = {path: _state(each) for path, each in found.items()}
        self._changed = next((path for path, each in found.items() if each and each.st_ctime_ns >= since * 1e9), None)
        self._next = processes.boot_clock() + LOOK_SECONDS

    def changed(self) -> str | None:
        """One that is not what it was, if there is one; not more than LOOK_SECONDS old."""
        now = processes.boot_clock()
        if self._changed is None and now >= self._next:
            self._next = now + LOOK_SECONDS
            self._changed = next((path for path, state in self._states.items() if _state(_found(path)) != state), None)
        return self._changed


def _found(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - called often
    except OSError:
        return None


def _state(found: os.stat_result | None) -> State:
    # Not the time of change of the inode: it changes too when another environment gets a hard link to the same file.
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
