"""Who runs a test's programs: the user of the tests, and an ordinary user when that is root; and what they left running."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Person:
    """Runs Python programs as one user."""

    name: str
    python: str
    options: dict = field(default_factory=dict)

    @property
    def is_root(self):
        """Whether PostgreSQL has to run as somebody else."""
        return self.name == "root"

    def own(self, path):
        """Gives a directory to this person."""
        if "user" in self.options:
            os.chown(path, self.options["user"], self.options["group"])

    def start(self, program, *arguments, environment=None):
        """A running program; its stdout and stderr are one pipe."""
        command = [self.python, "-c", program, *map(str, arguments)]
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True, "cwd": "/"}
        return subprocess.Popen(command, env=self.environment() | (environment or {}), **self.options, **settings)

    def run(self, program, *arguments):
        """The output of a program that succeeds."""
        with self.start(program, *arguments) as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output.strip()

    def environment(self):
        """What a program needs to import this installation."""
        paths = f"{ROOT}:{ROOT / 'build'}:{sysconfig.get_path('purelib')}"
        return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


def myself():
    """The user of the tests."""
    return Person("root" if os.geteuid() == 0 else "ordinary", sys.executable)


def ordinary():
    """An ordinary user, and why there is none when there is none. A Python below root's home is closed to it."""
    if os.geteuid() != 0:
        return None, "the tests' own user is an ordinary one"
    entry = pwd.getpwnam("nobody")
    person = Person("ordinary", SYSTEM_PYTHON, {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []})
    try:
        version = person.run("import sys, psycopg, yaml, apb_broker.machine.postgres; print('%d.%d' % sys.version_info[:2])")
    except (OSError, AssertionError) as error:
        return None, f"{SYSTEM_PYTHON} cannot run this installation as nobody: {str(error)[-200:]}"
    ours = "{}.{}".format(*sys.version_info)
    if version != ours:
        return None, f"{SYSTEM_PYTHON} is Python {version}, this installation is for {ours}"
    return person, version


def end_all_below(path):
    """Kills what a test left."""
    for pid in pids_below(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def pids_below(path):
    """Processes that work below a directory or name it."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and int(process.name) != os.getpid() and _belongs(process, path):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _belongs(process, path):
    if str(path).encode() in (process / "cmdline").read_bytes():
        return True
    return (process / "cwd").readlink().is_relative_to(path)
