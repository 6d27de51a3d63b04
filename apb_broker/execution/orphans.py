"""What a supervisor that was killed leaves behind: its processes become the worker's children (the worker is a
sub-reaper) and are killed here.

A worker owns its children: those that are neither live supervisors nor named in `spare` are orphans.
"""

import os
import time
from collections.abc import Collection

from apb_broker.execution import processes

_live_supervisors: set[int] = set()
_spared: set[int] = set()
_is_subreaper = False

PATIENCE_SECONDS = 30.0


def become_subreaper(*, spare: Collection[int] = ()) -> None:
    """Call once at the start of a worker; `spare` are children of other kinds that it already has.

    From now on a lost run's leftovers are killed before `lost` is told.
    """
    global _is_subreaper
    processes.adopt_orphans()
    _spared.update(spare)
    _is_subreaper = True


def kill_orphans(*, spare: Collection[int] = ()) -> bool:
    """Kill every descendant of this process outside live supervisors' trees and `spare`. False: some are left after 30 s.

    Takes the exit status of every such child: not for processes that use subprocess for other things without naming them.
    """
    end = processes.boot_clock() + PATIENCE_SECONDS
    kept = _live_supervisors | _spared | set(spare)
    while _bury(kept):
        if processes.boot_clock() > end:
            return False
        processes.kill_below(os.getpid(), kept)
        time.sleep(processes.PAUSE_SECONDS)
    return True


def look_for_orphans() -> None:
    """Kill orphans if the kernel lists any. For looking often: all of /proc is not read, and one may be missed until the next look."""
    if processes.has_other_children(_live_supervisors | _spared):
        kill_orphans()


def _bury(kept: Collection[int]) -> bool:
    left = processes.descendants(os.getpid(), kept)
    for pid in left:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue  # a grandchild, or gone
    return bool(left)


def watch(pid: int) -> None:
    """A supervisor, or the warm process: its tree is not touched."""
    _live_supervisors.add(pid)


def forget(pid: int) -> None:
    """It was waited for: what it left is fair game."""
    _live_supervisors.discard(pid)


def kill_if_subreaper() -> None:
    """After a lost run; a process that never called become_subreaper keeps all its children."""
    if _is_subreaper:
        kill_orphans()
