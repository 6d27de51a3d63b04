"""What processes use: processor time with that of all they ever started, and memory by what they are."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import psutil

SUPERVISOR = "apb_broker.execution.supervisor"


def trees(roots: Iterable[int]) -> Iterator[psutil.Process]:
    """These processes and all below them."""
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            yield process
            yield from process.children(recursive=True)


def cpu_seconds(roots: Iterable[int]) -> float:
    """What these processes and all that they ever started have used.

    A process that ends leaves its time, and that of its children, to whoever waits for it (times, getrusage): so the sum over those that
    live, each with what it was left, misses nothing of a tree whose parents wait for their children, however short they lived.
    """
    used = 0.0
    for process in trees(roots):
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(process.cpu_times()[:4])  # of its own and left to it: user, system
    return used


def memory_mb(roots: Iterable[int], kind: Callable[[psutil.Process], str | None]) -> dict[str, dict[str, float]]:
    """{kind: {"pss", "rss", "processes"}} in MB: PSS counts what several share once, RSS in each. None of a kind: not counted."""
    found: dict[str, dict[str, float]] = {}
    for process in trees(roots):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            name, memory = kind(process), process.memory_full_info()
            if name is not None:
                figures = found.setdefault(name, {"pss": 0.0, "rss": 0.0, "processes": 0})
                figures["pss"] += memory.pss / 2**20
                figures["rss"] += memory.rss / 2**20
                figures["processes"] += 1
    return found


def runs(roots: Iterable[int]) -> list[int]:
    """The runs' supervisors below these processes: none is left when what a run used is told."""
    found = []
    for process in trees(roots):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if SUPERVISOR in process.cmdline():
                found.append(process.pid)
    return found
