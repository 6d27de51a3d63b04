"""Whether what a process has loaded is still what lies on the disk. Which files that are is left to the caller."""

import os
from collections.abc import Iterable

from apb_broker.execution import processes

LOOK_SECONDS = 1.0  # a look is a stat of a thousand files

State = tuple[int, int, int, int] | None


class Watched:
    """Files and directories, also such as do not exist."""

    def __init__(self, paths: Iterable[str], since: float) -> None:
        """`since`, by the wall clock: when reading them began. One that was changed after that may have been read in either state."""
        self._states = {path: _state(path) for path in sorted(set(paths))}
        self._changed = next((path for path, state in self._states.items() if state and state[3] >= since * 1e9), None)
        self._next = processes.boot_clock() + LOOK_SECONDS

    def changed(self) -> str | None:
        """One that is not what it was, if there is one; not more than LOOK_SECONDS old."""
        now = processes.boot_clock()
        if self._changed is None and now >= self._next:
            self._next = now + LOOK_SECONDS
            self._changed = next((path for path, state in self._states.items() if _state(path) != state), None)
        return self._changed


def _state(path: str) -> State:
    try:
        found = os.stat(path)  # noqa: PTH116 - called often
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)
