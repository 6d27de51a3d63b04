"""System users of instances: added, removed. Which user belongs to which instance is host_layout.py's."""

from __future__ import annotations

import grp
import pwd
import shutil
import subprocess
import time

from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

PATIENCE_SECONDS = 60.0
_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"


def exists(name: str) -> bool:
    return _lookup(pwd.getpwnam, name)


def _lookup(find, name: str) -> bool:
    try:
        find(name)
    except KeyError:
        return False
    return True


def add(name: str) -> None:
    """A user without home and login, in a group of its own."""
    shell = shutil.which("nologin", path=_SBIN) or "/bin/false"
    group = ["--gid", name] if _lookup(grp.getgrnam, name) else ["--user-group"]
    _run("useradd", "--system", "--no-create-home", "--home-dir", "/", "--shell", shell, *group, "--", name, done=lambda: exists(name))


def remove(name: str) -> None:
    """The user and its group, if there are any; its processes have to be gone."""
    if exists(name):
        _run("userdel", "--", name, done=lambda: not exists(name))
    if _lookup(grp.getgrnam, name):
        _run("groupdel", "--", name, done=lambda: not _lookup(grp.getgrnam, name))


def _run(program: str, *arguments: str, done) -> None:
    """Again and again while it is killed, another program holds the lock of /etc/passwd, or a process of the user is still being reaped."""
    path = shutil.which(program, path=_SBIN)
    if path is None:
        raise HostError(f"{program} was not found: install the package passwd (shadow-utils)")
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        result = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments, no shell
        if done():
            return
        is_passing = result.returncode < 0 or "lock" in result.stderr or "used by process" in result.stderr
        if time.monotonic() > end or not is_passing:
            raise HostError(f"{program} {arguments[-1]}: {result.stderr.strip() or f'exit code {result.returncode}'}")
        time.sleep(0.1)
