"""The state directory: one JSON file per instance, readable by its owner only, each written whole or not at all.

Owns where and how files lie. What is in them is standalone_actions.py's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError

DEFAULT = "~/.local/state/apb/instances"
SUFFIX = ".json"


class States:
    """The state files of one directory. Nothing is made before the first write."""

    def __init__(self, directory: str | None):
        self.directory = Path(directory or DEFAULT).expanduser().absolute()

    def path(self, name: str) -> Path:
        """The file of the instance of this name."""
        return self.directory / f"{name}{SUFFIX}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time between reading and writing. Raises StandaloneError for a directory that others can read."""
        self._make()
        descriptor = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        if not self.directory.exists():
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            self.directory.mkdir(mode=0o700, exist_ok=True)
        status = self.directory.stat()
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise StandaloneError(
                f"{self.directory} is to hold secrets, but others can read it: run 'chmod 700 {self.directory}' as its owner, "
                "or name another directory by apb_state_directory"
            )

    def read(self, name: str) -> dict | None:
        """What is known of the instance, None when nothing is. Raises StandaloneError for a file that is not ours."""
        path = self.path(name)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StandaloneError(f"{path} is no state file (it is not JSON): restore or remove it") from error
        if not isinstance(found, dict) or found.get("apb") != 1:
            raise StandaloneError(f"{path} is no state file of this version: restore it, or use the version of apb.catalog that wrote it")
        return found

    def others(self, name: str) -> list[dict]:
        """What is known of all instances but this."""
        if not self.directory.is_dir():
            return []
        names = sorted(path.name.removesuffix(SUFFIX) for path in self.directory.glob(f"[!.]*{SUFFIX}"))
        return [found for other in names if other != name and (found := self.read(other)) is not None]

    def write(self, name: str, record: dict) -> None:
        """Keep this of the instance, also over a power loss."""
        new = self.directory / f".{name}.new"
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path(name))
        self._sync()

    def remove(self, name: str) -> None:
        """Forget the instance."""
        self.path(name).unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
