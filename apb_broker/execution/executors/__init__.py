"""The executors: each a module with `run(job, directory, emit) -> Outcome`, called in the runner, a child of the
supervisor that does nothing else.

An executor may import what it likes, install signal handlers, block and die: supervision, deadlines, cancel, killing
and masking are the supervisor's.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

from apb_broker.execution.job import Job, Outcome, Progress

Emit = Callable[[Progress], None]
Executor = Callable[[Job, Path, Emit], Outcome]

NAMES = ("warm", "cold", "scripted")


def find(name: str) -> Executor:
    """The executor of that name, imported only now: Ansible takes its time."""
    if name not in NAMES:
        raise LookupError(f"there is no executor {name!r}, only {', '.join(NAMES)}")
    executor: Executor = importlib.import_module(f"{__name__}.{name}").run
    return executor
