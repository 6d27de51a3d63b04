"""The playbooks with nothing but ansible-core, the built collection and its requirements.txt; and the roles in ordinary plays."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import ansible.release
import pytest
import redis

from tests.integration.collection.conftest import ROOT, Host, Played, await_true

PARTS = (
    "galaxy.yml",
    "README.md",
    "LICENSE",
    "LICENSES",
    "CHANGELOG.md",
    "changelogs",
    "requirements.txt",
    "meta",
    "plugins",
    "roles",
    "playbooks",
)
ASKED = {"apb_service": "redis", "apb_plan": "redis-standard", "apb_requested": {"memory": 0.2}}


def cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "apb-tests"


@pytest.fixture(scope="session")
def clean_environment():
    """A virtual environment with ansible-core and requirements.txt alone, made once for what is asked for."""
    wanted = f"{sys.version} {ansible.release.__version__} {(ROOT / 'requirements.txt').read_text()}"
    place = cache() / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            install(place)
            (place / "complete").touch()
    return place


def install(place):
    packages = [f"ansible-core=={ansible.release.__version__}", "-r", str(ROOT / "requirements.txt")]
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    if Path(uv).exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, place], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", place / "bin/python", *packages], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([place / "bin/pip", "install", "-q", *packages], check=True)


@pytest.fixture(scope="session")
def collections(clean_environment, tmp_path_factory):
    """The collection as it is published, installed where nothing else is."""
    made = tmp_path_factory.mktemp("collection")
    copy = made / "source"
    copy.mkdir()
    for part in PARTS:
        copier = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copier(ROOT / part, copy / part)
    galaxy = [sys.executable, "-m", "ansible.cli.galaxy", "collection"]  # building by allow-list takes a library more: distlib
    environment = {"PATH": os.environ["PATH"], "HOME": str(made)}
    subprocess.run([*galaxy, "build", str(copy), "--output-path", str(made)], check=True, env=environment, capture_output=True)
    (tarball,) = made.glob("apb-catalog-*.tar.gz")
    ours = [str(clean_environment / "bin/ansible-galaxy"), "collection", "install", str(tarball), "--offline", "--no-deps", "-p", str(made)]
    subprocess.run(ours, check=True, env=environment, capture_output=True)
    return made


@dataclass
class Alone:
    """A person with Ansible, this machine as the host, and a state directory."""

    host: Host
    states: Path
    name: str
    first_port: int

    def variables(self, given):
        ours = {"apb_name": self.name, "apb_state_directory": str(self.states), "apb_directory": str(self.host.directory)}
        return {**ours, "apb_port_range": f"{self.first_port}-{self.first_port + 9}", **given}

    def play(self, action, *arguments, **given):
        return self.host.play(action, self.variables(given), arguments=arguments)

    def play_file(self, text, *arguments, **given):
        """An ordinary play of the person's own."""
        file = self.host.directory / f"{uuid.uuid4().hex}.yml"
        file.write_text(text)
        variables = [f"-e{name}={value}" for name, value in self.variables(given).items() if name != "apb_name"]
        command = [*self.host.ansible, str(file), *variables, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(), cwd=self.host.directory, timeout=180)
        return Played(done.returncode, done.stdout + done.stderr)

    def start(self, action, **given):
        """The playbook in a process that is not waited for."""
        file = self.host.directory / f"{uuid.uuid4().hex}.json"
        file.touch(0o600)
        file.write_text(json.dumps({**self.host.settings, **self.variables(given)}))
        command = [*self.host.ansible, f"apb.catalog.{action}", "-e", f"@{file}"]
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
            cwd=self.host.directory,
            start_new_session=True,
        )

    def environment(self):
        base = {"PATH": os.environ["PATH"], "HOME": str(self.host.directory), "LC_ALL": "C.UTF-8", "ANSIBLE_LOCALHOST_WARNING": "false"}
        return {**base, "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false", **self.host.environment}

    @property
    def file(self):
        return self.states / f"{self.name}.json"

    @property
    def state(self):
        return json.loads(self.file.read_text())

    def home(self, name=None):
        return (
            self.host.directory
            / "instances"
            / json.loads((self.states / f"{name or self.name}.json").read_text())["instance"]["names"]["slug"]
        )

    def client(self, credentials):
        names = ("host", "port", "username", "password")
        return redis.Redis(**{name: credentials[name] for name in names}, decode_responses=True, socket_timeout=10)


@pytest.fixture(scope="session")
def clean_host(managed_host, clean_environment, collections):
    """The prepared machine, driven from the clean environment."""
    host = Host(managed_host.directory, managed_host.settings, (str(clean_environment / "bin/ansible-playbook"),))
    host.environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_FORCE_COLOR": "false",
    }
    return host


@pytest.fixture
def alone(clean_host, tmp_path):
    """A person with a state directory of their own; whatever it knows at the end is removed."""
    made = Alone(clean_host, tmp_path / "instances", "cache", free_ports(10))
    yield made
    for file in made.states.glob("[!.]*.json"):
        made.play("deprovision", apb_name=file.stem)


def free_ports(count):
    """The first of as many ports as nobody listens on just now."""
    for first in range(23000, 31000, count):
        with contextlib.ExitStack() as taken:
            try:
                for port in range(first, first + count):
                    taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


def changes(played):
    """Of the recap of Ansible's own output."""
    return sum(
        int(line.split("changed=")[1].split()[0]) for line in played.text.splitlines() if "changed=" in line and "unreachable=" in line
    )


def test_instance_lives_its_whole_life(alone):
    """Provision, again, bind, use, update, unbind, refused, deprovision: nothing is left."""
    provisioned = alone.play("provision", **ASKED)
    assert provisioned.code == 0, provisioned.text
    first = alone.state
    again = alone.play("provision", **ASKED)
    assert (again.code, changes(again)) == (0, 0), again.text
    assert alone.state["instance"] == first["instance"]
    assert alone.state["epoch"] > first["epoch"]

    bound = alone.play("bind", apb_binding_name="web", apb_requested={"access": "readwrite"})
    assert bound.code == 0, bound.text
    credentials = alone.state["bindings"]["web"]["credentials"]
    assert str(alone.file) in bound.text
    assert "$.bindings['web'].credentials" in bound.text
    with alone.client(credentials) as client:
        assert client.set("greeting", "hello")
        updated = alone.play("update", apb_requested={"memory": 0.3})
        assert updated.code == 0, updated.text
        assert client.get("greeting") == "hello"
    assert alone.state["parameters"] == {"memory": 0.3}
    assert alone.play("verify").code == 0

    assert alone.play("unbind", apb_binding_name="web").code == 0
    with alone.client(credentials) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    home = alone.home()
    deprovisioned = alone.play("deprovision")
    assert deprovisioned.code == 0, deprovisioned.text
    assert not home.exists()
    assert [path.name for path in alone.states.iterdir()] == [".lock"]
    for action in ("unbind", "deprovision"):
        again = alone.play(action, apb_binding_name="web")
        assert (again.code, changes(again)) == (0, 0), again.text
        assert "is not known here" in again.text


@pytest.mark.parametrize(
    ("requested", "told"),
    [
        ({"memory": 5}, "parameter 'memory': 5 is above the maximum of 4 GB"),
        ({"memory": 0.25}, "parameter 'memory': 0.25 is not a multiple of 0.1 GB"),
        ({"memry": 1}, "parameter 'memry' is unknown; allowed: host, memory, password"),
    ],
)
def test_parameters_are_refused_with_the_brokers_words(alone, requested, told):
    """Nothing is bent, and nothing is kept of what is refused."""
    refused = alone.play("provision", **{**ASKED, "apb_requested": requested})
    assert refused.code == 2
    assert told in refused.text
    assert not alone.file.exists()


def test_instance_is_changed_by_update_only(alone):
    """Provisioning with other parameters, another plan or another service changes nothing."""
    assert alone.play("provision", **ASKED).code == 0
    before = alone.file.read_text()
    other = alone.play("provision", **{**ASKED, "apb_requested": {"memory": 0.4}})
    assert "instance cache exists with other parameters: use apb.catalog.update" in other.text
    elsewhere = alone.play("deprovision", apb_host="another")
    assert "instance cache lives on host localhost, not on another" in elsewhere.text
    fixed = alone.play("update", apb_requested={"host": "new.example.com"})
    assert "parameter 'host': \"new.example.com\" cannot be given: it stays as it was created" in fixed.text
    assert {other.code, elsewhere.code, fixed.code} <= {1, 2, 4}
    assert alone.file.read_text() == before


def test_secrets_are_in_the_file_alone(alone):
    """Readable by its owner, and not in the most talkative output of any action."""
    password = f"canary-{uuid.uuid4().hex}"
    said = alone.play("provision", "-vvv", **{**ASKED, "apb_requested": {"memory": 0.1, "password": password}})
    assert said.code == 0, said.text
    bound = alone.play("bind", "-vvv", apb_binding_name="web")
    assert bound.code == 0, bound.text
    state = alone.state
    secrets = [*state["instance"]["secrets"].values(), state["bindings"]["web"]["password"]]
    assert password in secrets
    ended = [alone.play(action, "-vvv", apb_binding_name="web") for action in ("verify", "update", "unbind")]
    assert [played.code for played in ended] == [0, 0, 0]
    assert not [secret for secret in secrets for played in (said, bound, *ended) if secret in played.text]
    assert oct(alone.states.stat().st_mode & 0o777) == "0o700"
    assert {oct(path.stat().st_mode & 0o777) for path in alone.states.iterdir()} == {"0o600"}


def test_check_mode_keeps_and_changes_nothing(alone):
    """It says what would change, for a new instance and for an existing one."""
    new = alone.play("provision", "--check", **ASKED)
    assert new.code == 0, new.text
    assert changes(new) > 0
    assert not alone.states.exists()
    assert alone.play("provision", **ASKED).code == 0
    before = alone.file.read_text()
    more = alone.play("update", "--check", apb_requested={"memory": 0.4})
    assert more.code == 0, more.text
    assert changes(more) > 0
    bound = alone.play("bind", "--check", apb_binding_name="web")
    assert bound.code == 0, bound.text
    assert changes(bound) > 0
    assert alone.file.read_text() == before


def test_killed_run_is_gone_on_with(alone):
    """Killed when the state file is there and the server is not yet: the same command makes the same instance. Meanwhile it is busy."""
    run = alone.start("provision", **ASKED)
    try:
        await_true(alone.file.exists, seconds=60)
        begun = alone.state["instance"]
        os.kill(run.pid, signal.SIGSTOP)
        busy = alone.play("provision", **ASKED)
        assert f"instance cache is busy: provision by process {run.pid}" in busy.text
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    done = alone.play("provision", **ASKED)
    assert done.code == 0, done.text
    assert (alone.state["instance"], alone.state["state"]) == (begun, "ready")


def test_templates_of_tenants_stay_text(alone):
    """What a file of the tenant's holds is data, whatever it looks like."""
    mark = alone.host.directory / f"executed-{uuid.uuid4().hex}"
    password = "{{ lookup('pipe', 'touch " + str(mark) + "') }}"
    request = alone.host.directory / f"{uuid.uuid4().hex}.json"
    request.write_text(json.dumps({"memory": 0.1, "password": password}))
    done = alone.play("provision", **{**ASKED, "apb_requested": f"@{request}"})
    assert done.code == 0, done.text
    assert alone.state["instance"]["secrets"]["default_password"] == password
    port = alone.state["instance"]["ports"]["client"]
    with redis.Redis(port=port, password=password) as client:
        assert client.ping()
    assert not mark.exists()


PLAY = """
- hosts: localhost
  gather_facts: false
  vars: {amount: 0.2}
  roles:
    - {role: apb.catalog.redis, apb_plan: redis-standard, apb_name: one, apb_requested: {memory: "{{ amount }}"}}
    - {role: apb.catalog.redis, apb_plan: redis-standard, apb_name: two, apb_requested: {memory: 0.3}}
  tasks:
    - ansible.builtin.include_role: {name: apb.catalog.redis}
      vars: {apb_action: bind, apb_name: two, apb_binding_name: web, apb_requested: {access: read}}
"""


def test_ordinary_play_has_several_instances(alone):
    """Each has its own port and memory; a second play changes nothing; the playbooks know them too."""
    played = alone.play_file(PLAY, **alone.host.settings)
    assert played.code == 0, played.text
    one, two = (json.loads((alone.states / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one["instance"]["ports"] != two["instance"]["ports"]
    assert (one["parameters"], two["parameters"]) == ({"memory": 0.2}, {"memory": 0.3})
    with alone.client(two["bindings"]["web"]["credentials"]) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.set("a", "1")
    again = alone.play_file(PLAY, **alone.host.settings)
    assert (again.code, changes(again)) == (0, 0), again.text
    for name in ("one", "two"):
        assert alone.play("deprovision", apb_name=name).code == 0


def test_busy_port_fails_and_does_not_move(alone):
    """Another program's port is told, and the instance keeps what it was given."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", alone.first_port))
        other.listen()
        failed = alone.play("provision", **ASKED)
        assert failed.code == 2
        assert f"port {alone.first_port} is taken" in failed.text
    assert alone.play("provision", **ASKED).code == 0
    assert alone.state["instance"]["ports"] == {"client": alone.first_port}
