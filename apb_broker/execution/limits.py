"""How much of the worker's machine one run may take: the kernel holds each of its processes to it, the supervisor all of them together.

The kernel's limits are inherited by ansible-playbook, by modules on local connections and by whatever they start. Servers
of instances are children of supervisord or systemd, not of the run, and what runs on a host behind SSH is that host's:
neither is limited here. What becomes of a run that is found to take too much is left to `supervisor`.
"""

import math
import os
import re
import resource
import signal
from dataclasses import dataclass
from typing import Any

from apb_broker.execution import processes

LOOK_SECONDS = 0.5  # a look reads all of /proc
GB = 2**30

_SIGNS = (
    ("file_gb", signal.SIGXFSZ, r"\bFile too large\b"),
    ("memory_gb", None, r"\bMemoryError\b|\bCannot allocate memory\b"),
    ("open_files", None, r"\bToo many open files\b"),
)


@dataclass(frozen=True)
class Limits:
    """What a run may take. `memory_gb` is held by the kernel for each process, by the supervisor for their sum."""

    processes: int = 500
    open_files: int = 4096  # of each process
    memory_gb: float = 2.0
    file_gb: float = 4.0  # each file's size


def impose(limits: Limits, deadline_seconds: float) -> None:
    """On this process and all that it will start. What the worker itself is limited to stays, where that is less.

    RLIMIT_DATA, not RLIMIT_AS: programs in Go and Java reserve far more addresses than they ever use. Time of the
    processor ends what would outlive its supervisor; a process may have a thread on each processor until its deadline.
    """
    wanted = {
        resource.RLIMIT_CORE: 0,  # a core dump is a file of secrets
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_DATA: int(limits.memory_gb * GB),
        resource.RLIMIT_FSIZE: int(limits.file_gb * GB),
        resource.RLIMIT_CPU: math.ceil(deadline_seconds * (os.cpu_count() or 1)),
    }
    if os.getuid() != 0:  # root is not held to it, and it counts all that a user runs: a backstop, the count is the supervisor's
        wanted[resource.RLIMIT_NPROC] = processes.tasks_of_user() + 2 * limits.processes
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


class Watch:
    """Looks now and then at everything below this process, a run's supervisor."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._next = processes.boot_clock() + LOOK_SECONDS

    def excess(self) -> str | None:
        """In words, what the run takes too much of; None: nothing, or it is not yet time to look again."""
        now = processes.boot_clock()
        if now < self._next:
            return None
        self._next = now + LOOK_SECONDS
        resident = processes.resident_below(os.getpid())
        if len(resident) > self._limits.processes:
            return f"it had {len(resident)} processes, settings.run_limits.processes in apb.yml allows {self._limits.processes}"
        memory_gb = _taken(resident, self._limits.memory_gb)
        if memory_gb > self._limits.memory_gb:
            return f"it took {memory_gb:.2f} GB of memory, settings.run_limits.memory_gb in apb.yml allows {self._limits.memory_gb:g}"
        return None


def _taken(resident: dict[int, int], limit_gb: float) -> float:
    """GB of these processes together. Looked at closely only when it matters: forks share most of what each seems to have."""
    total = sum(resident.values())
    if total > limit_gb * GB:
        total = sum(found if (found := processes.own_bytes(pid)) is not None else size for pid, size in resident.items())
    return total / GB


def explanation(result: dict[str, Any], reason: str) -> str:
    """Which limit a task on this machine has met, by its result and reason, as an addition to the latter; empty when it met none."""
    status = result.get("rc")
    for name, number, words in _SIGNS:
        was_killed = number is not None and status in (-number, 128 + number)  # by itself, or by a shell that tells of it
        if was_killed or re.search(words, reason):
            return f" (more than {name} of settings.run_limits in apb.yml allows)"
    return ""
