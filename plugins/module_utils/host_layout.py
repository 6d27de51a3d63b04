"""Where an instance's things lie below the directory of its target, what its system user is called, and who supervises it.

Owns names only: making and removing things is instance_home.py's and supervised_program.py's.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

USER_PREFIX = "apb-"
LONGEST_USER = 32  # useradd's limit
_DIRECTORY = re.compile(r"/[A-Za-z0-9._/-]+")
_SLUG = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Layout:
    """The paths of one instance."""

    def __init__(self, directory: str, slug: str):
        check_directory(directory)
        if not _SLUG.fullmatch(slug):
            raise HostError(f"{slug!r} cannot be the name of an instance: it has to be made of a-z, 0-9 and '-'")
        self.slug = slug
        self.root = Path(directory)
        self.fences = self.root / "fence"
        self.fence = self.fences / slug
        self.home = self.root / "instances" / slug

    @property
    def user(self) -> str:
        """The instance's own system user, where there is one."""
        if len(USER_PREFIX + self.slug) <= LONGEST_USER:
            return USER_PREFIX + self.slug
        return f"{USER_PREFIX}{self.slug[:15]}-{hashlib.sha256(self.slug.encode()).hexdigest()[:12]}"


def check_directory(directory: str) -> None:
    """Raises HostError for paths that unit files, supervisord.conf or a shell would read differently."""
    if not _DIRECTORY.fullmatch(directory) or "/../" in f"{directory}/":
        raise HostError(f"{directory!r} cannot be used: name an absolute directory of letters, digits, '.', '_' and '-'")


def is_root() -> bool:
    return os.geteuid() == 0


def supervisor() -> str:
    """systemd where it runs the host and we may tell it what to do, else supervisord."""
    return "systemd" if is_root() and Path("/run/systemd/system").is_dir() else "supervisord"
