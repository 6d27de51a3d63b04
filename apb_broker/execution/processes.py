"""Process trees as /proc shows them, and their end. Who may be killed is left to the caller.

Killing a tree is safe against forks because its root is a sub-reaper: an orphan becomes the root's child, so a root
that waits in vain for children has none left anywhere below.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STATE, _PARENT, _GROUP, _SESSION, _THREADS, _RESIDENT_PAGES = 0, 1, 2, 3, 17, 21  # places in _statuses()
_LIBC = ctypes.CDLL(None, use_errno=True)

PAUSE_SECONDS = 0.01
UNKILLABLE_SECONDS = 30.0  # how long to wait for processes that SIGKILL does not end: in the kernel, or another user's


def boot_clock() -> float:
    """Seconds that go on while the machine sleeps and that all processes of it share: leases are measured with it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def adopt_orphans(*, adopt: bool = True) -> None:
    """From now on descendants whose parent died become children of this process; or no longer do."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Get the signal when the parent (the thread that made this process) ends, and end at once when it already has."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent_pid:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _statuses() -> Iterator[tuple[int, list[bytes]]]:
    """Each process of this namespace, zombies included, and what its `stat` says behind its name: the state first, see proc(5)."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - names only, called often
        if name.isdigit():
            try:
                stat = Path("/proc", name, "stat").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            yield int(name), stat[stat.rindex(b")") + 2 :].split()


def parents() -> dict[int, int]:
    """Each process of this namespace and its parent, zombies included."""
    return {pid: int(status[_PARENT]) for pid, status in _statuses()}


def resident_below(root: int) -> dict[int, int]:
    """All processes below `root`, and the bytes of memory that each has; what several share counts for each."""
    statuses = dict(_statuses())
    below = _below(root, {pid: int(status[_PARENT]) for pid, status in statuses.items()})
    return {pid: int(statuses[pid][_RESIDENT_PAGES]) * resource.getpagesize() for pid in below}


def own_bytes(pid: int) -> int | None:
    """The bytes of memory of a process, where what several share counts for each in part. Takes longer; None where it is not told."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return None


def tasks_of_user() -> int:
    """How many processes and threads this process's user has, as the kernel counts them against RLIMIT_NPROC."""
    found = 0
    for pid, status in _statuses():
        with contextlib.suppress(OSError):
            found += int(status[_THREADS]) * (Path(f"/proc/{pid}").stat().st_uid == os.getuid())
    return found


def runs_in_group(group: int) -> bool:
    """Whether anything of a process group still runs, and may hold files and ports: a thread of one whose first thread ended, too."""
    return any(
        int(status[_GROUP]) == group and (status[_STATE] not in (b"Z", b"X") or int(status[_THREADS]) > 1) for _pid, status in _statuses()
    )


def descendants(root: int, spare: Collection[int] = ()) -> list[int]:
    """All processes below `root`, parents first, without the trees of those in `spare`."""
    return _below(root, parents(), spare)


def _below(root: int, parents: Mapping[int, int], spare: Collection[int] = ()) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        below = [pid for pid in children.get(todo.pop(), []) if pid not in spare]
        found += below
        todo += below
    return found


def send(pid: int, signal_number: int) -> None:
    """Send a signal to a process that may have ended or belong to another user."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal_number)


def kill_below(root: int, spare: Collection[int] = ()) -> None:
    """SIGKILL to everything below `root`; stopped first, again and again, so that nothing forks away meanwhile.

    Stopped in whole groups, too: the kernel lets no fork escape a signal to a group, while one that forks without end
    is quicker than any list of processes.
    """
    stopped: dict[int, None] = {}
    while new := [pid for pid in descendants(root, spare) if pid not in stopped]:
        for group in _groups_of(set(new)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGSTOP)
        for pid in new:
            send(pid, signal.SIGSTOP)
            stopped[pid] = None
    for pid in stopped:
        send(pid, signal.SIGKILL)


def _groups_of(pids: Collection[int]) -> set[int]:
    """The process groups of these, but for those in the caller's own session: a group lies in one session, and so in one tree."""
    found = {int(status[_GROUP]): int(status[_SESSION]) for pid, status in _statuses() if pid in pids}
    return {group for group, session in found.items() if session != os.getsid(0)}


def has_children() -> bool:
    """Whether any child of this process is left, after burying the dead ones. Only for processes that own all their children."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return True
        except ChildProcessError:
            return False


def has_other_children(known: Collection[int]) -> bool:
    """Whether this process has children besides those known, zombies included. Always, where the kernel does not list them (proc(5))."""
    try:
        return any(
            int(pid) not in known for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_bytes().split()
        )
    except OSError:
        return True


def await_end(child: int, patience_seconds: float) -> None:
    """Until a child of this process has ended, which is left to be buried; or for that long."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(child)
        try:
            select.select([descriptor], [], [], patience_seconds)
        finally:
            os.close(descriptor)


def kill_children(patience_seconds: float) -> bool:
    """Kill and bury all descendants of this process, a sub-reaper that owns all its children. False: some could not be killed."""
    end = boot_clock() + patience_seconds
    while has_children():
        if boot_clock() > end:
            return False
        kill_below(os.getpid())
        time.sleep(PAUSE_SECONDS)
    return True


def with_in_environment(text: str) -> list[int]:
    """This user's processes that were started with `text` somewhere in their environment."""
    wanted, found = text.encode(), []
    for pid in parents():
        try:
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            continue  # it ended, or belongs to somebody else
    return found
