"""What can be wrong between a worker and a host: each is told as what it is, in a sentence that names host and cure."""

import contextlib
import selectors
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from apb_broker import execution
from tests.ssh import hosts
from tests.ssh.hosts import Host

PING = {"name": "Ping", "ansible.builtin.ping": {}}
COPY = {"name": "Copy", "ansible.builtin.copy": {"content": "x" * 100_000, "dest": "/mnt/x"}}


@dataclass
class Place:
    """One host, and what its operator wrote down about it."""

    host: Host
    directory: Path
    vault_password: Path
    become_password: str

    def inventory(self, **changes: object) -> Path:
        """As written down, but for these variables."""
        path = self.directory / "hosts.yml"
        become_password = changes.pop("ansible_become_password", self.become_password)
        variables = {name: value for name, value in {**self.host.variables(), **changes}.items() if value is not None}
        written = yaml.safe_dump({"all": {"hosts": {self.host.name: variables}}})
        path.write_text(written + (f"  vars:\n    ansible_become_password: {become_password}\n" if become_password else ""))
        return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A host that was not prepared for anything."""
    directory = tmp_path_factory.mktemp("place")
    access = hosts.access(directory / "access")
    password = directory / "vault-password"
    password.write_text("opens the inventory")
    with hosts.host("gamma", directory / "gamma", access) as made:
        yield Place(made, directory, password, hosts.vault(access.password, password))


@pytest.fixture
def outcome(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., execution.Outcome]:
    """The outcome of a run with one task on the host."""
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(place.vault_password))
    monkeypatch.setenv("ANSIBLE_TIMEOUT", "3")

    def run(task: dict = PING, **changes: object) -> execution.Outcome:
        book = tmp_path / "play.yml"
        book.write_text(yaml.safe_dump([{"hosts": place.host.name, "gather_facts": False, "tasks": [task]}]))
        inventory = str(place.inventory(**changes))
        job = execution.Job("o", 1, "provision", str(book), {}, inventory_file=inventory, lease_seconds=600)
        with execution.start(job) as started, selectors.DefaultSelector() as selector:
            selector.register(started, selectors.EVENT_READ)
            while True:
                selector.select()
                for message in started.read():
                    if isinstance(message, execution.Outcome):
                        assert place.host.access.password not in message.message
                        return message

    return run


def check(told: execution.Outcome, sentence: str, *, transient: bool) -> None:
    assert told.status == "failed"
    assert sentence in told.message
    assert told.transient == transient
    assert "\n" not in told.message


def test_host_is_reached_with_everything_in_order(outcome) -> None:
    """Key, known host, vaulted password for sudo: the ground the others stand on."""
    told = outcome({"name": "Look", "ansible.builtin.command": "id -u", "register": "x", "failed_when": "x.stdout != '0'"})
    assert told.status == "succeeded", told.message


def test_host_without_sshd_is_told(place: Place, outcome) -> None:
    """Up, and refusing."""
    place.host.stop_sshd()
    try:
        check(outcome(), "Host gamma refuses connections: start sshd there", transient=True)
    finally:
        place.host.start_sshd()


def test_host_that_is_gone_is_told(place: Place, outcome) -> None:
    """Nothing answers."""
    place.host.unplug()
    try:
        told = outcome()
    finally:
        place.host.plug()
    assert told.transient
    assert told.message.startswith(("Host gamma does not answer any more", "Host gamma cannot be reached"))


def test_host_that_vanishes_during_a_run_is_not_waited_for(place: Place, outcome) -> None:
    """The connection dies of silence, long before the operation's deadline."""
    unplug = {"name": "Vanish", "ansible.builtin.command": f"ip link set {place.host.device} down", "delegate_to": "localhost"}
    together = {"name": "Both", "block": [PING, unplug, {"name": "Wait", "ansible.builtin.command": "sleep 300"}]}
    try:
        check(outcome(together), "Host gamma", transient=True)
    finally:
        place.host.plug()


def test_host_whose_key_is_not_known_is_told(place: Place, outcome) -> None:
    """Nothing is accepted by itself."""
    known = f"-o UserKnownHostsFile={place.directory}/none"
    check(outcome(ansible_ssh_common_args=known), "Host gamma has a host key that is not known", transient=False)


def test_host_with_another_key_is_told(place: Place, outcome) -> None:
    """It may be an attack: never tried again by itself."""
    hosts.new_key(place.directory / "stranger")
    words = (place.directory / "stranger.pub").read_text().split()
    (place.directory / "wrong").write_text(f"{place.host.address} {words[0]} {words[1]}\n")
    known = f"-o UserKnownHostsFile={place.directory}/wrong"
    check(outcome(ansible_ssh_common_args=known), "Host gamma has another host key than the known one", transient=False)


@pytest.mark.parametrize(("changes", "user"), [({"ansible_ssh_private_key_file": "other"}, "ops"), ({"ansible_user": "nobody"}, "nobody")])
def test_host_that_refuses_the_login_is_told(place: Place, outcome, changes, user) -> None:
    """A wrong key and a user who is not there look alike; an operator may be about to put the key there."""
    if not (place.directory / "other").exists():
        hosts.new_key(place.directory / "other")
    changes = {name: str(place.directory / value) if value == "other" else value for name, value in changes.items()}
    check(outcome(**changes), f"Host gamma refuses the login of '{user}'", transient=True)


@pytest.mark.parametrize(
    ("password", "sentence"),
    [("wrong", "Host gamma refuses the become password"), (None, "Host gamma wants a become password")],
)
def test_host_that_refuses_sudo_is_told(outcome, password, sentence) -> None:
    """Trying a wrong password again would lock the account."""
    check(outcome(ansible_become_password=password), sentence, transient=False)


def test_host_whose_sudo_wants_a_terminal_is_told(place: Place, outcome) -> None:
    """`requiretty` and pipelining exclude each other."""
    rule = place.host.root / "etc/sudoers.d/tty"
    rule.write_text("Defaults requiretty\n")
    rule.chmod(0o440)
    try:
        check(outcome(), "Host gamma lets sudo run on terminals only", transient=False)
        assert outcome(ansible_pipelining=False).status == "succeeded"
    finally:
        rule.unlink()


def test_vaulted_variables_that_cannot_be_opened_are_told(place: Place, outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the password file, and with another's."""
    other = place.directory / "other-password"
    other.write_text("of something else")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(other))
    check(outcome(), "Host gamma has vaulted variables that cannot be opened", transient=False)
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    check(outcome(), "Host gamma has vaulted variables that cannot be opened", transient=False)


def test_host_without_python_is_told(outcome) -> None:
    """Where the inventory says it is."""
    check(outcome(ansible_python_interpreter="/opt/python"), "Host gamma has no Python where Ansible looks for it", transient=False)


@contextlib.contextmanager
def full(place: Place, where: str) -> Iterator[None]:
    """A disk without room."""
    place.host.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "none", where)
    subprocess.run(["dd", "if=/dev/zero", f"of={place.host.root}{where}/filled", "bs=1k", "count=100"], capture_output=True)
    try:
        yield
    finally:
        place.host.run("umount", where)


def test_full_disk_of_instances_is_told(place: Place, outcome) -> None:
    """A module that cannot write what it is to write; room may be made meanwhile."""
    with full(place, "/mnt"):
        check(outcome(COPY), "Host gamma has a full disk", transient=True)


def test_full_disk_of_the_login_user_is_told(place: Place, outcome) -> None:
    """There Ansible puts files on their way."""
    told_of = {"ansible_remote_tmp": "/tmp/full/ansible"}
    place.host.run("mkdir", "-p", "/tmp/full")
    with full(place, "/tmp/full"):
        check(outcome(COPY, **told_of), "Host gamma has a full disk", transient=True)
