"""The home of an instance on its host: fence, system user, directory, and ports that are its own.

Owns the order: nothing is touched before the fence let the epoch pass and what older runs left working has ended, and
the fence stays when the rest goes. What those runs left in Ansible's temporary directory goes with them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import (
    host_layout,
    host_processes,
    host_runs,
    host_temporary,
    instance_fence,
    system_users,
)
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

SPEC = dict(
    directory=dict(type="path", required=True),
    slug=dict(type="str", required=True),
    epoch=dict(type="int", required=True),
    ports=dict(type="list", elements="int", default=[]),
    state=dict(type="str", choices=["present", "claimed", "stopped", "absent"], default="present"),
)
MODE = 0o700


def work(params: dict, check_mode: bool, remote_tmp: str | None = None) -> dict:
    """What became of the home: changed, diff, path, user, supervisor. Raises HostError.

    `remote_tmp` is Ansible's option, as this run has it: whose `~` is meant is found out here.
    """
    layout = host_layout.Layout(params["directory"], params["slug"])
    before = _state(layout)
    if layout.fences.is_dir():
        if not check_mode:
            host_runs.end_older(params["slug"], params["epoch"])  # one of them may hold the lock
        with instance_fence.locked(layout.fences):
            remembered = instance_fence.check(layout.fence, params["epoch"])
            if not check_mode and params["epoch"] > remembered:
                instance_fence.record(layout.fence, params["epoch"])
                host_runs.end_older(params["slug"], params["epoch"])  # what it began meanwhile; from now on it is refused
            if remote_tmp and not check_mode:
                host_temporary.remove_older(remote_tmp, params["slug"], params["epoch"])
            _WORK[params["state"]](layout, params, check_mode)
            if params["state"] == "absent" and not check_mode:
                _forget(layout, params, remote_tmp)
    elif params["state"] == "present":
        raise HostError(f"{layout.root} is not prepared for instances: run the playbook apb.catalog.prepare_host for this host first")
    after = _wanted(layout, params["state"], before)
    result = {"changed": before != after, "diff": {"before": before, "after": after}}
    return {**result, "path": str(layout.home), "user": _user(layout), "supervisor": host_layout.supervisor()}


def _user(layout: host_layout.Layout) -> str:
    return layout.user if host_layout.is_root() else pwd.getpwuid(os.geteuid()).pw_name


def _state(layout: host_layout.Layout) -> dict:
    found = {"directory": None, "user": None}
    if layout.home.is_dir():
        status = layout.home.stat()
        found["directory"] = {"path": str(layout.home), "owner": _name(status.st_uid), "mode": f"{stat.S_IMODE(status.st_mode):04o}"}
    if host_layout.is_root() and system_users.exists(layout.user):
        found["user"] = layout.user
    return found


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _wanted(layout: host_layout.Layout, state: str, before: dict) -> dict:
    if state in ("claimed", "stopped"):
        return before
    if state == "absent":
        return {"directory": None, "user": None}
    directory = {"path": str(layout.home), "owner": _user(layout), "mode": f"{MODE:04o}"}
    return {"directory": directory, "user": layout.user if host_layout.is_root() else None}


def _make(layout: host_layout.Layout, params: dict, check_mode: bool) -> None:
    if host_layout.is_root():
        _check_way(layout.home.parent)
    _check_ports(layout, params["ports"])
    if check_mode:
        return
    if host_layout.is_root() and not system_users.exists(layout.user):
        system_users.add(layout.user)
    layout.home.mkdir(mode=MODE, exist_ok=True)
    layout.home.chmod(MODE)
    _remove_halves(layout.home)
    if host_layout.is_root():
        user = pwd.getpwnam(layout.user)
        os.chown(layout.home, user.pw_uid, user.pw_gid)


def _remove_halves(home: Path) -> None:
    """Files that a killed run was just writing: Ansible gives them their name when they are whole (basic.AnsibleModule.atomic_move)."""
    for path in home.glob(".ansible_tmp*"):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


def _check_way(folder: Path) -> None:
    for path in (folder, *folder.parents):
        if not path.stat().st_mode & stat.S_IXOTH:
            raise HostError(f"{path} cannot be entered by other users: instances run as users of their own, so run 'chmod o+x {path}'")


def _check_ports(layout: host_layout.Layout, ports: list[int]) -> None:
    """A server that finds its port taken just ends; say before who took it."""
    own_uid = pwd.getpwnam(layout.user).pw_uid if host_layout.is_root() and system_users.exists(layout.user) else None
    for listener in host_processes.listeners(ports):
        if listener.uid != own_uid and not host_processes.works_in(listener.pid, layout.home):
            raise HostError(
                f"port {listener.port} is taken: {listener} listens on it; "
                "end that program, or keep the port out of this target's port range"
            )


def _leave(layout: host_layout.Layout, params: dict, check_mode: bool) -> None:
    """Claimed: the fence knows the epoch, and that is all."""


def _stop(layout: host_layout.Layout, params: dict, check_mode: bool) -> None:
    if check_mode:
        return
    if not host_layout.is_root():
        host_processes.end_all_in(layout.home)
    elif system_users.exists(layout.user):
        host_processes.end_all_of_user(pwd.getpwnam(layout.user).pw_uid)


def _remove(layout: host_layout.Layout, params: dict, check_mode: bool) -> None:
    _stop(layout, params, check_mode)
    if check_mode:
        return
    # Before the user: its id may be given to another user, who must not find files here.
    if layout.home.exists():
        shutil.rmtree(layout.home)
    if host_layout.is_root():
        system_users.remove(layout.user)


def _forget(layout: host_layout.Layout, params: dict, remote_tmp: str | None) -> None:
    """The last trace of its runs, and then fences of those of which there is none."""
    if remote_tmp:
        host_temporary.remove_all(remote_tmp, params["slug"], params["epoch"])
    instance_fence.prune(layout.fences, lambda slug: _is_left(host_layout.Layout(params["directory"], slug), remote_tmp))


def _is_left(layout: host_layout.Layout, remote_tmp: str | None) -> bool:
    has_user = host_layout.is_root() and system_users.exists(layout.user)
    return layout.home.exists() or has_user or (remote_tmp is not None and host_temporary.is_left(remote_tmp, layout.slug))


_WORK = {"present": _make, "claimed": _leave, "stopped": _stop, "absent": _remove}
