"""A host made ready for instances: their directory, and a running supervisord where systemd does not do its work.

Called once per host, outside any run: the end of a run would kill a supervisord started in it. Programs of
supervisord are supervised_program.py's.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.apb.catalog.plugins.module_utils import host_layout
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError
from ansible_collections.apb.catalog.plugins.module_utils.supervisor_client import Supervisor

SPEC = dict(
    directory=dict(type="path", required=True),
    supervisor_places=dict(type="list", elements="path", default=[]),
)
# Instances run as users of their own: they have to pass, and need not look.
MODES = {"": 0o711, "instances": 0o711, "fence": 0o700}
SUPERVISOR_MODES = {"supervisor": 0o700, "supervisor/conf.d": 0o700, "supervisor/logs": 0o700}
LONGEST_DIRECTORY = 71  # of 107 characters of a socket's name 27 are /supervisor/supervisor.sock, 8 supervisord's own while it binds
PATIENCE_SECONDS = 15.0
CONF = """\
; Written by apb. Each instance has a file of its own in conf.d.
[supervisord]
identifier = apb
logfile = %(here)s/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 2
pidfile = %(here)s/supervisord.pid
childlogdir = %(here)s/logs
directory = /
umask = 077
nodaemon = false
strip_ansi = true

[unix_http_server]
file = %(here)s/supervisor.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://%(here)s/supervisor.sock

[include]
files = conf.d/*.conf
"""


def work(params: dict, check_mode: bool) -> dict:
    """What became of the host: changed, diff, supervisor. Raises HostError."""
    root, kind = Path(params["directory"]), host_layout.supervisor()
    _check(params["directory"])
    modes = MODES if kind == "systemd" else {**MODES, **SUPERVISOR_MODES}
    before = _state(root, modes, kind)
    after = {**{str(root / name): f"{mode:04o}" for name, mode in modes.items()}, "supervisor": f"{kind} runs"}
    if not check_mode:
        for name, mode in modes.items():
            _make(root / name, mode)
        if kind == "supervisord":
            _supervise(root / "supervisor", params["supervisor_places"])
    return {"changed": before != after, "diff": {"before": before, "after": after}, "supervisor": kind}


def _check(directory: str) -> None:
    host_layout.check_directory(directory)
    if len(directory) > LONGEST_DIRECTORY:
        raise HostError(f"{directory} is too long for sockets below it: name a directory of at most {LONGEST_DIRECTORY} characters")


def _state(root: Path, modes: dict[str, int], kind: str) -> dict:
    found = {str(root / name): _mode(root / name) for name in modes}
    conf = root / "supervisor" / "supervisord.conf"
    is_done = kind == "systemd" or (_is_current(conf) and Supervisor(conf.with_name("supervisor.sock"), PATIENCE_SECONDS).is_running())
    return {**found, "supervisor": f"{kind} {'runs' if is_done else 'does not run as configured'}"}


def _mode(path: Path) -> str | None:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}" if path.is_dir() else None


def _make(path: Path, mode: int) -> None:
    """The parents of the directory are made for all to pass: instances' users go through them."""
    if not path.exists():
        before = os.umask(0o022)
        path.mkdir(parents=True)
        os.umask(before)
    status = path.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise HostError(f"{path} belongs to another user or may be written by others: name a directory that does not exist yet")
    path.chmod(mode)


def _is_current(conf: Path) -> bool:
    return conf.exists() and conf.read_text(encoding="utf-8") == CONF


def _supervise(folder: Path, places: list[str]) -> None:
    conf = folder / "supervisord.conf"
    if not _is_current(conf):
        conf.write_text(CONF, encoding="utf-8")
        conf.chmod(0o600)
    supervisor = Supervisor(folder / "supervisor.sock", PATIENCE_SECONDS)
    if supervisor.is_running():
        return
    _start(conf, places)
    end = time.monotonic() + PATIENCE_SECONDS
    while not supervisor.is_running():
        if time.monotonic() > end:
            raise HostError(f"supervisord does not answer {PATIENCE_SECONDS:.0f} s after its start: see {folder / 'supervisord.log'}")
        time.sleep(0.05)


def _start(conf: Path, places: list[str]) -> None:
    """It detaches itself. Its environment becomes that of every server: nothing of ours but PATH."""
    path = os.environ.get("PATH", os.defpath)
    environment = {"PATH": path, "HOME": "/", "LANG": "C.UTF-8"}
    command = [_program([*places, str(Path(sys.executable).parent), *path.split(":")]), "-c", str(conf)]
    if host_layout.is_root():
        command += ["--user", "root"]
    before = os.umask(0o077)  # its log is made before it sets its own
    done = subprocess.run(  # noqa: S603 - our own arguments, no shell
        command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    os.umask(before)
    if done.returncode != 0 and "already listening" not in done.stderr + done.stdout:  # another run was faster
        raise HostError(f"supervisord did not start: {(done.stderr or done.stdout).strip()}")


def _program(places: list[str]) -> str:
    found = shutil.which("supervisord", path=":".join(filter(None, places)))
    if found is None:
        raise HostError(
            "supervisord was not found on PATH: run \"python3 -m pip install 'supervisor>=4.3,<5'\", "
            "or set host_instance_supervisor_bin_directory to where it is, then run this again"
        )
    return found
