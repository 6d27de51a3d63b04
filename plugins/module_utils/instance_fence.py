"""The fence of an instance: the highest epoch that ever worked on it, so that a stray old run cannot undo a new one.

It outlives the instance as a tombstone; tombstones older than a week may go. The caller holds the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

TOMBSTONE_SECONDS = 7 * 24 * 3600


@contextlib.contextmanager
def locked(fences: Path) -> Iterator[None]:
    """One at a time on this host: comparing and recording an epoch, and adding and removing system users."""
    descriptor = os.open(fences / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check(fence: Path, epoch: int) -> int:
    """The remembered epoch (0: none). Raises HostError when it is higher."""
    remembered = _read(fence)
    if epoch < remembered:
        raise HostError(f"refused: epoch {epoch} is older than {remembered}, which has worked on {fence.name} here")
    return remembered


def _read(fence: Path) -> int:
    try:
        return int(fence.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except ValueError as error:
        raise HostError(f"{fence} does not hold an epoch: restore or remove it") from error


def record(fence: Path, epoch: int) -> None:
    """Remember the epoch, also over a power loss."""
    new = fence.with_name(f".{fence.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{epoch}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(fence)


def names(fences: Path) -> list[str]:
    """The instances that were ever worked on here, as far as they are not forgotten."""
    return sorted(fence.name for fence in fences.iterdir() if not fence.name.startswith(".")) if fences.is_dir() else []


def prune(fences: Path, is_left: Callable[[str], bool]) -> None:
    """Forget instances that are gone since a week: no run of theirs is still alive. One of which something is left stays known as ours."""
    for name in names(fences):
        if time.time() - (fences / name).stat().st_mtime > TOMBSTONE_SECONDS and not is_left(name):
            (fences / name).unlink()
