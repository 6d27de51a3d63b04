"""The system user PostgreSQL runs as when apb runs as root (PostgreSQL refuses uid 0). Ordinary users run it themselves."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apb_broker.machine.errors import DatabaseError

NAME = "apb-postgres"


@dataclass(frozen=True)
class Account:
    """A user and group that own files and run programs."""

    name: str
    uid: int
    gid: int

    def process_options(self) -> dict[str, Any]:
        """Arguments of subprocess that run a program as this account, with nothing of ours around it."""
        options: dict[str, Any] = {"cwd": "/", "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}, "umask": 0o077}
        if os.geteuid() == 0:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, path: Path) -> None:
        """Gives a file or directory to this account."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def barrier(self, directory: Path) -> Path | None:
        """The first directory on the way that this account may not pass, or None. Looked at for root's system user only."""
        if os.geteuid() != 0:
            return None  # who made the directory has passed them all
        for step in [*reversed(directory.parents), directory]:
            status = step.stat()
            shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
            if not status.st_mode >> shift & 0o1:
                return step
        return None


def of_postgres() -> Account:
    """Who PostgreSQL runs as: the user itself, or for root a system user, made on first need. Raises DatabaseError."""
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        _add()
        entry = pwd.getpwnam(NAME)
    return Account(NAME, entry.pw_uid, entry.pw_gid)


def _add() -> None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    cure = f"add a system user {NAME} or set DATABASE_URL"
    if program is None:
        raise DatabaseError(f"PostgreSQL cannot run as root and there is no useradd here: {cure}")
    command = [program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", NAME]
    added = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    try:
        pwd.getpwnam(NAME)
    except KeyError:
        raise DatabaseError(f"useradd could not add {NAME} ({added.stderr.strip()}): {cure}") from None
