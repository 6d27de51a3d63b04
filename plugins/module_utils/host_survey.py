"""What apb has on a host: directories, programs or units, system users, processes, temporary directories of runs,
and who listens on the ports that are for instances.

Owns how each thing is told from what is not ours: its name fits, and either it lies below apb's directory here, or the fence there knows
the instance, which tells it from another broker's. What a thing should be there for is the caller's to know.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import (
    host_layout,
    host_processes,
    host_runs,
    host_temporary,
    instance_fence,
    supervised_program,
)
from ansible_collections.apb.catalog.plugins.module_utils.supervisor_client import Supervisor

SPEC = dict(
    directory=dict(type="path", required=True),
    slugs=dict(type="list", elements="str", required=True),
    ports=dict(type="list", elements="int", default=[]),
)
PATIENCE_SECONDS = 15.0
UNITS = Path("/etc/systemd/system")
_UNIT = re.compile(r"apb-(.+)\.service")


def work(params: dict, check_mode: bool, remote_tmp: str | None = None) -> dict:
    """Changed (never), things [{kind, name, slug, detail}], and expects: what each live instance has to have. Raises HostError."""
    host_layout.check_directory(params["directory"])
    root, slugs = Path(params["directory"]), re.compile("|".join(f"(?:{pattern})" for pattern in params["slugs"]) or "$.")
    known = {name for name in instance_fence.names(root / "fence") if slugs.fullmatch(name)}
    directories = list(_directories(root / "instances", slugs))
    known |= {thing["slug"] for thing in directories}
    things = [*directories, *_programs(root, slugs, known), *_users(root, known), *_processes(root / "instances", slugs, known)]
    things += _temporary(remote_tmp, known) if remote_tmp else []
    if params["ports"]:
        first, last = params["ports"]
        things += _listeners(root, range(first, last + 1), known)
    return {"changed": False, "things": things, "expects": {"instance": _expected(), "binding": []}}


def _expected() -> list[str]:
    supervised = "unit" if host_layout.supervisor() == "systemd" else "program"
    return ["directory", supervised, *(["user"] if host_layout.is_root() else [])]


def thing(kind: str, name: str, slug: str | None, detail: str = "") -> dict:
    """One thing that is there."""
    return {"kind": kind, "name": name, "slug": slug, "detail": detail}


def _directories(homes: Path, slugs: re.Pattern) -> Iterator[dict]:
    for path in sorted(homes.iterdir()) if homes.is_dir() else []:
        if slugs.fullmatch(path.name):
            yield thing("directory", str(path), path.name)


def _programs(root: Path, slugs: re.Pattern, known: set[str]) -> Iterator[dict]:
    folder = root / "supervisor"
    states = {}
    if folder.is_dir():
        supervisor = Supervisor(folder / "supervisor.sock", PATIENCE_SECONDS)
        states = supervisor.states() if supervisor.is_running() else {}
    described = {path.stem for path in folder.glob("conf.d/*.conf")}
    for name in sorted(filter(slugs.fullmatch, described | set(states))):
        yield thing("program", name, name, f"of supervisord in {folder}: {states.get(name, 'not running')}")
    for path in supervised_program.logs(folder, "*"):
        name = path.name.partition(".log")[0]
        if slugs.fullmatch(name):
            yield thing("log", str(path), name)
    yield from _units(root, known)


def _units(root: Path, known: set[str]) -> Iterator[dict]:
    """Those of this directory: systemd knows one set of units, and there may be other directories."""
    for path in sorted(UNITS.glob("apb-*.service")):
        named = _UNIT.fullmatch(path.name)
        if named and named[1] in known and f"WorkingDirectory={root}/" in _text(path):
            yield thing("unit", path.name, named[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _users(root: Path, known: set[str]) -> Iterator[dict]:
    """A system user belongs to no directory: the instance has to be one that was worked on below ours."""
    present = {entry.pw_name for entry in pwd.getpwall()}
    for slug in sorted(known):
        user = host_layout.Layout(str(root), slug).user
        if user in present:
            yield thing("user", user, slug)


def _processes(homes: Path, slugs: re.Pattern, known: set[str]) -> Iterator[dict]:
    for pid in host_processes.pids():
        slug = host_processes.home_in(pid, homes)
        if slug is not None and slugs.fullmatch(slug) and not host_processes.has_terminal(pid):
            yield thing("process", str(pid), slug, f"{host_processes.command(pid)}, works in {homes / slug}")
    for pid, (slug, epoch) in host_runs.marked().items():
        if slug in known:
            yield {**thing("run", str(pid), slug, f"{host_processes.command(pid)}, of the run with epoch {epoch}"), "epoch": epoch}


def _temporary(remote_tmp: str, known: set[str]) -> Iterator[dict]:
    for path, slug in host_temporary.found(remote_tmp):
        if slug in known:
            yield thing("temporary directory", str(path), slug)


def _listeners(root: Path, ports: range, known: set[str]) -> Iterator[dict]:
    users = {host_layout.Layout(str(root), slug).user: slug for slug in known}
    uids = {entry.pw_uid: users[entry.pw_name] for entry in pwd.getpwall() if entry.pw_name in users}
    found = {listener.port: listener for listener in host_processes.listeners(ports)}
    for port, listener in sorted(found.items()):
        slug = host_processes.home_in(listener.pid, root / "instances") or uids.get(listener.uid)
        yield {**thing("port", str(port), slug, f"{listener} listens on it"), "port": port}
