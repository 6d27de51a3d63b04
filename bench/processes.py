"""What processes use: processor time with that of all they ever started, and memory by what they are."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

import psutil

SUPERVISOR, WARM = "apb_broker.execution.supervisor", "apb_broker.execution.warm.zygote"
REST_SECONDS, REST_CPU = 0.4, 0.05


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
            if SUPERVISOR in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def await_rest(roots: Iterable[int], longest_seconds: float) -> None:
    """Until these processes do next to nothing: what they load after their start is loaded, or so much time is over."""
    give_up, roots = time.monotonic() + longest_seconds, list(roots)
    before = cpu_seconds(roots)
    while time.monotonic() < give_up:
        time.sleep(REST_SECONDS)
        now = cpu_seconds(roots)
        if now - before < REST_CPU:
            return
        before = now
