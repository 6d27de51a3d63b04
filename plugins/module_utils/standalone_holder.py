"""Which ansible-playbook works on an instance: written into its state file for as long as that process lives.

A flock would end with the task that took it; this ends with the run, however that ends. Only processes of this machine are known.
"""

from __future__ import annotations

import os
from pathlib import Path


def of_this_run(host: str) -> dict:
    """This run's work for one of its hosts. Called in a task, whose process is a child of ansible-playbook's."""
    pid = os.getppid()
    return {"pid": pid, "started": _started(pid), "boot": _boot(), "host": host}


def is_free(holder: dict | None, mine: dict) -> bool:
    """Whether `mine` may work: nobody else does, or whoever did has ended."""
    return not holder or {name: holder[name] for name in mine} == mine or not _is_alive(holder)


def _is_alive(holder: dict) -> bool:
    return holder["boot"] == _boot() and holder["started"] == _started(holder["pid"])


def _started(pid: int) -> str:
    """When the process started, "" when there is none: process ids are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
