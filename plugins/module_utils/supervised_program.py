"""A server as a program of the host's supervisord: its section of the configuration, running by it, or gone.

supervisord itself is started by the playbook prepare_host, never here: what a run starts ends with the run. When
supervisord is killed its programs would live on and no new one could adopt them; so each ends with it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import host_layout
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError
from ansible_collections.apb.catalog.plugins.module_utils.supervisor_client import ALIVE, Supervisor

SPEC = dict(
    directory=dict(type="path", required=True),
    name=dict(type="str", required=True),
    command=dict(type="list", elements="str"),
    environment=dict(type="dict", default={}),
    working_directory=dict(type="path"),
    user=dict(type="str"),
    stop_seconds=dict(type="int", default=60),
    state=dict(type="str", choices=["present", "absent"], default="present"),
)
REQUIRED_IF = [("state", "present", ["command", "working_directory"])]

# The signal comes when supervisord ends. It may have ended before that was asked for: then the parent is another one by now.
# Where /proc is hidden from other users the parent cannot be looked at, and is taken for the right one.
_WITH_SUPERVISOR = """p="$(tr '\\0' ' ' 2>/dev/null </proc/$PPID/cmdline)"; case "$p" in ''|*{conf}*) exec "$@";; esac; exit 1"""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What supervisord's files cannot express: line ends, and a comment sign after a blank, quoted or not.
_INEXPRESSIBLE = re.compile(r"[\x00-\x1f\x7f]|\s[;#]|^[;#]")


def work(params: dict, check_mode: bool) -> dict:
    """What became of the program: changed, diff, state. Raises HostError."""
    folder, name = Path(params["directory"]), params["name"]
    host_layout.check_directory(params["directory"])
    file = folder / "conf.d" / f"{name}.conf"
    supervisor = Supervisor(folder / "supervisor.sock", params["stop_seconds"] + 20)
    if params["state"] == "absent":
        return _absent(supervisor, file, name, check_mode)
    return _present(supervisor, file, section(params), name, check_mode)


def _present(supervisor: Supervisor, file: Path, text: str, name: str, check_mode: bool) -> dict:
    if not supervisor.is_running():
        raise HostError(f"supervisord does not run in {file.parent.parent}: run the playbook apb.catalog.prepare_host for this host first")
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    state = supervisor.state(name)
    changed = before != text or state not in ALIVE
    if not check_mode:
        if before != text:
            _write(file, text)
        changed = _run(supervisor, name, state) or changed
    return {"changed": changed, "diff": _diff(before, text, state, "RUNNING" if state not in ALIVE else state)}


def _run(supervisor: Supervisor, name: str, state: str | None) -> bool:
    """Bring the program to what its file says. A run killed after writing the file is seen here too."""
    is_outdated = name in supervisor.reread()
    if is_outdated:
        supervisor.remove(name)
    if is_outdated or state is None:
        supervisor.add(name)
        return True
    if state not in ALIVE:
        supervisor.start(name)
        return True
    return False


def _absent(supervisor: Supervisor, file: Path, name: str, check_mode: bool) -> dict:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    is_supervised = supervisor.is_running()
    state = supervisor.state(name) if is_supervised else None
    if not check_mode:
        file.unlink(missing_ok=True)  # first: a supervisord that starts now must not find it
        if state is not None:
            supervisor.remove(name)
        if is_supervised and before:
            supervisor.reread()
        for log in logs(file.parent.parent, name):
            log.unlink(missing_ok=True)
    return {"changed": bool(before) or state is not None, "diff": _diff(before, "", state, None)}


def logs(folder: Path, name: str) -> list[Path]:
    """What the program said, in a file of now and files of before."""
    return sorted((folder / "logs").glob(f"{name}.log*"))


def _diff(before: str, after: str, state_before: str | None, state_after: str | None) -> dict:
    return {"before": f"{before}state: {state_before}\n", "after": f"{after}state: {state_after}\n"}


def _write(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)


def section(params: dict) -> str:
    """The program's section of supervisord's configuration. Raises HostError for what it cannot express."""
    folder, name = params["directory"], params["name"]
    fields = {
        "command": _command(f"{folder}/supervisord.conf", params["command"]),
        "directory": params["working_directory"],
        "environment": _environment(params["environment"]),
        "user": params["user"] if os.geteuid() == 0 else None,
        "umask": "077",
        "autostart": "true",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "1000000",  # each attempt waits a second longer; a port or disk that is free again tomorrow is used tomorrow
        "stopwaitsecs": str(params["stop_seconds"]),
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"{folder}/logs/{name}.log",
        "stdout_logfile_maxbytes": "5MB",
        "stdout_logfile_backups": "2",
    }
    lines = [f"{field} = {_value(field, value)}" for field, value in fields.items() if value]
    return "\n".join([f"[program:{name}]", *lines, ""])


def _command(conf: str, command: list[str]) -> str:
    program = shutil.which(command[0])
    if program is None:
        raise HostError(f"{command[0]} was not found on PATH, or may not be run")
    shell = ["/bin/sh", "-c", _WITH_SUPERVISOR.format(conf=conf), "sh"]
    return shlex.join([_setpriv(), "--pdeathsig", "TERM", "--", *shell, program, *command[1:]])


def _setpriv() -> str:
    path = shutil.which("setpriv") or shutil.which("setpriv", path="/usr/bin:/bin")
    if path is None:
        raise HostError("setpriv was not found: install the package util-linux (2.33 or newer)")
    return path


def _environment(environment: dict) -> str:
    pairs = {str(name): str(value) for name, value in environment.items()}
    for name, value in pairs.items():
        if not _NAME.fullmatch(name) or '"' in value or "\\" in value:
            raise HostError(f"environment variable {name!r} cannot be given to a server: its name or value holds special characters")
    return ",".join(f'{name}="{value}"' for name, value in sorted(pairs.items()))


def _value(field: str, value: str) -> str:
    if _INEXPRESSIBLE.search(value):
        raise HostError(f"{field} of a server cannot hold line ends, or ';' or '#' after a blank: {value!r}")
    return value.replace("%", "%%")
