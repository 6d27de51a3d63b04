"""Limits of a run, as far as they are rules: a process of its own for each, since limits are never taken back."""

import resource
import subprocess
import sys

import pytest

from apb_broker.execution import limits

IMPOSE = "from apb_broker.execution import limits as l; import resource as r; l.impose(l.Limits(), 60.0); print(r.getrlimit(r.RLIMIT_{}))"


@pytest.mark.parametrize(
    ("kind", "before", "after"), [("NOFILE", 500, 500), ("NOFILE", 9999, 4096), ("FSIZE", 1000, 1000), ("CORE", 500, 0)]
)
def test_limit_of_the_worker_stays_where_it_is_less(kind: str, before: int, after: int) -> None:
    """An operator who limits the worker limits its runs."""
    number = getattr(resource, f"RLIMIT_{kind}")
    command = [sys.executable, "-c", IMPOSE.format(kind)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=lambda: resource.setrlimit(number, (before, before))
    )
    assert done.stdout.strip() == f"({after}, {after})"


@pytest.mark.parametrize(
    ("result", "reason", "named"),
    [
        ({"rc": -25}, "non-zero return code", "file_gb"),
        ({"rc": 153}, "non-zero return code", "file_gb"),
        ({}, "[Errno 27] File too large: 'x'", "file_gb"),
        ({"rc": 1}, "MODULE FAILURE (exit status 1: MemoryError)", "memory_gb"),
        ({}, "[Errno 24] Too many open files", "open_files"),
        ({"rc": 1}, "non-zero return code", ""),
        ({}, "InMemoryErrors are none", ""),
    ],
)
def test_task_that_met_a_limit_is_told_which(result: dict[str, object], reason: str, named: str) -> None:
    """By how it ended, or by what it said."""
    expected = f" (more than {named} of settings.run_limits in apb.yml allows)" if named else ""
    assert limits.explanation(result, reason) == expected
