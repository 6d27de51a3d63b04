"""The temporary directories that runs of an instance have on its host: `<where Ansible has its own>/apb-<slug>/<epoch>`.

Ansible removes what it puts there when a task ends; a task that was killed never does, and what it leaves may be a configuration with
passwords. Owns finding and removing these. That runs have such a directory is said where they are made, by `ansible_remote_tmp`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

_OF_RUN = re.compile(r"/apb-[a-z][a-z0-9-]*/[0-9]+/?\Z")
_NAME = re.compile(r"apb-([a-z][a-z0-9-]{0,62})")
_NOBODY = 2**32 - 1  # of /proc/self/loginuid where nobody has logged in
_TRIES = 5


def remove_older(remote_tmp: str, slug: str, epoch: int) -> None:
    """What runs with a lower epoch left. Raises HostError for what is not the login user's or does not go."""
    _remove(remote_tmp, slug, lambda name: name.isdigit() and int(name) < epoch)


def remove_all(remote_tmp: str, slug: str, epoch: int) -> None:
    """All of the instance's but what belongs to runs with a higher epoch: ours too, whose module is read by now. Raises HostError."""
    _remove(remote_tmp, slug, lambda name: not (name.isdigit() and int(name) > epoch))


def found(remote_tmp: str) -> list[tuple[Path, str]]:
    """All that there are, of whatever instance: path and slug."""
    folders = [path for base in _bases(remote_tmp) if base.is_dir() for path in sorted(base.iterdir())]
    return [(path, named[1]) for path in folders if (named := _NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()]


def is_left(remote_tmp: str, slug: str) -> bool:
    """Whether there is one of the instance."""
    return any(os.path.lexists(base / f"apb-{slug}") for base in _bases(remote_tmp))


def _bases(remote_tmp: str) -> dict[Path, set[int]]:
    """Where they lie, and whose they may be: Ansible's files are the login user's, a module's own those of whom it becomes."""
    places: dict[Path, set[int]] = {}
    for user in _users():
        text = re.sub(r"^(~|\$HOME|\$\{HOME\})(?=/|$)", lambda _found, home=user.pw_dir: home, _OF_RUN.sub("", remote_tmp))
        path = Path(text).expanduser() if text.startswith("~") else Path(text)
        if path.is_absolute():
            places.setdefault(path, set()).add(user.pw_uid)
    return places


def _users() -> list[pwd.struct_passwd]:
    """Who we are, and who has logged in to become that."""
    names = [os.environ.get(name, "") for name in ("SUDO_USER", "DOAS_USER")] if os.geteuid() == 0 else []
    users = [pwd.getpwuid(os.geteuid())]
    for name in filter(None, names):
        with contextlib.suppress(KeyError):
            users.append(pwd.getpwnam(name))
    with contextlib.suppress(OSError, ValueError, KeyError):  # by `su`, or by none
        number = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
        if os.geteuid() == 0 and number != _NOBODY:
            users.append(pwd.getpwuid(number))
    return users


def _remove(remote_tmp: str, slug: str, is_wanted) -> None:
    for base, uids in _bases(remote_tmp).items():
        folder = base / f"apb-{slug}"
        owner = _owner(folder, uids)
        if owner is not None:
            with _acting_as(owner):
                _empty(folder, is_wanted)


def _owner(folder: Path, uids: set[int]) -> int | None:
    """Whose it is; None when there is none. Raises HostError for links and strangers': neither run nor role makes such."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in uids:
        raise HostError(
            f"{folder} is not a directory of a user with id {' or '.join(map(str, sorted(uids)))}: "
            "see who made it and remove it, runs have their temporary files there"
        )
    return status.st_uid


@contextlib.contextmanager
def _acting_as(uid: int) -> Iterator[None]:
    """With no rights but that user's, in whose hands everything there is: whatever it leads to, more than that is not removed."""
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        os.setgroups([])
        os.setegid(pwd.getpwuid(uid).pw_gid)
        os.seteuid(uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _empty(folder: Path, is_wanted) -> None:
    """Links are removed, never followed; the directory itself goes when nothing is left in it."""
    problems = [problem for path in sorted(folder.iterdir()) if is_wanted(path.name) and (problem := _clear(path))]
    if problems:
        raise HostError(problems[0])
    with contextlib.suppress(OSError):
        folder.rmdir()


def _clear(path: Path) -> str:
    """Again and again: Ansible may be removing it too, or still be writing. Why it is still there, or ""."""
    errors: list[BaseException] = []
    for _try in range(_TRIES):
        errors.clear()
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=lambda _function, _path, error: errors.append(error[1]))
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        if not os.path.lexists(path):
            return ""
    return f"{path}, left by an earlier run, cannot be removed: {errors[0] if errors else 'something writes to it'}"
