"""Hosts at the other end of SSH, made out of this machine: each with addresses, processes, users and directories of its own.

Nothing of a host outlives its first process, which dies with the test's: files are on its own tmpfs, its network device
ends with its network. So there is nothing to clean up after a test that was killed.
"""

import contextlib
import ctypes
import ipaddress
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import supervisor
import yaml

from tests.e2e.machine import wait

ROOT = Path(__file__).resolve().parents[2]
FIRST_PROCESS = Path(__file__).with_name("host.sh")
PROGRAMS = ("/usr/sbin/sshd", "sudo", "ip", "unshare", "nsenter", "useradd", "ssh", "ssh-keygen", "redis-server")
USER = "ops"
SSHD = """\
Port 22
HostKey /etc/host/host_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
PidFile none
"""
SUPERVISORD = """\
#!/usr/bin/python3
import sys
sys.path.insert(0, "/opt/supervisor")
from supervisor.supervisord import main
main()
"""
STOPPABLE = """\
#!/bin/sh
if rm /run/hang-{program} 2>/dev/null; then touch /run/hanging; sleep 600; fi
exec /usr/sbin/{program}.real "$@"
"""
_PR_SET_PDEATHSIG = 1


def missing() -> str:
    """Why there can be no such hosts here, or ""."""
    if os.geteuid() != 0:
        return "hosts of their own need root (namespaces)"
    absent = [program for program in (*PROGRAMS, "/usr/bin/python3") if shutil.which(program) is None]
    if absent:
        return f"not on this machine: {', '.join(absent)}"
    probe = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, text=True)
    return "" if probe.returncode == 0 else f"no namespaces here: {probe.stderr.strip()}"


@dataclass
class Access:
    """What an operator has in hand: key pair, known host keys, and the password for sudo, all files of a directory."""

    directory: Path
    password: str

    @property
    def key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"


def new_key(path: Path) -> None:
    """A key pair."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path], check=True)


def access(directory: Path) -> Access:
    """The means of an operator, new."""
    directory.mkdir(mode=0o700)
    made = Access(directory, f"su'do {secrets.token_hex(8)}")
    new_key(made.key)
    made.known_hosts.touch()
    return made


class Host:
    """A running host."""

    def __init__(self, name: str, address: str, device: str, starter: "subprocess.Popen[bytes]", access: Access) -> None:
        self.name = name
        self.address = address
        self.access = access
        self.device = device
        self._starter = starter
        [self.first] = wait(lambda: children(starter.pid), 10, "the first process of the host")
        self._namespace = os.readlink(f"/proc/{self.first}/ns/pid")

    @property
    def root(self) -> Path:
        """Its files, seen from here."""
        return Path(f"/proc/{self.first}/root")

    @property
    def directory(self) -> Path:
        """Where its instances live."""
        return self.root / "var/lib/apb/host"

    @property
    def temporary(self) -> Path:
        """Where Ansible puts files on their way, the login user's."""
        return self.root / "home" / USER / ".ansible/tmp"

    def run(self, *command: str) -> str:
        """A command on the host, as its root; what it printed."""
        words = ["nsenter", "--target", str(self.first), "--mount", "--pid", "--net", "--uts", "--ipc", "--wdns=/", "--", *command]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def processes(self) -> dict[int, str]:
        """Its processes, by the number that they have here, and their command lines; zombies have none."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "ns/pid") == self._namespace:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return found

    def pids(self, text: str) -> list[int]:
        """Its processes with a text on their command lines."""
        return [pid for pid, line in self.processes().items() if text in line]

    def users(self) -> set[str]:
        """Its system's users."""
        return {line.split(":")[0] for line in (self.root / "etc/passwd").read_text().splitlines()}

    def ports(self) -> set[int]:
        """Where it listens."""
        lines = [line.split() for line in Path(f"/proc/{self.first}/net/tcp").read_text().splitlines()[1:]]
        return {int(fields[1].split(":")[1], 16) for fields in lines if fields[3] == "0A"}

    def files(self) -> set[str]:
        """What lies in its directory of instances, the fence left out, and what Ansible put into homes."""
        listed = [self.directory / "instances", self.directory / "supervisor/conf.d", self.temporary, self.root / "root/.ansible/tmp"]
        return {str(path.relative_to(self.root)) for place in listed for path in place.rglob("*")}

    def state(self) -> dict[str, object]:
        """All that an instance would leave on it."""
        passing = ("sshd: ", "sleep 0.05")  # connections, and the pause of the first process
        lines = sorted(line for line in self.processes().values() if line and not line.startswith(passing))
        return {"processes": lines, "users": self.users(), "ports": self.ports(), "files": self.files()}

    def make_stoppable(self, *programs: str) -> None:
        """From now on `stop_next` works for these: the programs behind a task of ours hang when they are told to."""
        for name in programs:
            program = self.root / "usr/sbin" / name
            program.rename(program.with_name(f"{name}.real"))
            program.write_text(STOPPABLE.format(program=name))
            program.chmod(0o755)

    def stop_next(self, program: str = "useradd") -> None:
        """The next call of it does not end, those after it do."""
        (self.root / "run/hanging").unlink(missing_ok=True)
        (self.root / "run" / f"hang-{program}").touch()

    def hanging(self) -> list[int]:
        """The call that does not end, once it has begun."""
        return self.pids("sleep 600") if (self.root / "run/hanging").exists() else []

    def stop_sshd(self) -> None:
        """The host is up and refuses connections."""
        (self.root / "run/down").touch()
        for pid in self.pids("sshd: /usr/sbin/sshd"):
            os.kill(pid, signal.SIGKILL)
        wait(lambda: 22 not in self.ports(), 10, "the end of sshd")

    def start_sshd(self) -> None:
        """And accepts them again."""
        (self.root / "run/down").unlink(missing_ok=True)
        wait(lambda: 22 in self.ports(), 10, "sshd")

    def unplug(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        _ip("link", "set", self.device, "down")

    def plug(self) -> None:
        """It does again."""
        _ip("link", "set", self.device, "up")

    def variables(self) -> dict[str, object]:
        """What an inventory says of the host, but for its passwords."""
        return {
            "ansible_host": self.address,
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.access.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.access.known_hosts}",
            "ansible_become": True,
        }

    def remove(self) -> None:
        """Ends it with everything in it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first, signal.SIGKILL)
        self._starter.kill()
        self._starter.wait()
        wait(lambda: not self.processes(), 20, "the end of the host's processes")
        subprocess.run(["ip", "link", "delete", self.device], capture_output=True)  # the kernel does it too, a little later


def children(pid: int) -> list[int]:
    """The processes that a process started, and those that it adopted."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def die_with_us() -> None:
    """For preexec_fn: SIGKILL when the test's process ends, however it does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _describe(directory: Path, access: Access) -> None:
    directory.mkdir(mode=0o700)
    new_key(directory / "host_key")
    (directory / "sshd_config").write_text(SSHD)
    (directory / "authorized_keys").write_text(access.key.with_suffix(".pub").read_text())
    password = directory / "password"
    password.touch(mode=0o600)
    password.write_text(f"{USER}:{access.password}\n")
    unwanted = shutil.ignore_patterns("tests", "__pycache__")
    shutil.copytree(Path(supervisor.__file__).parent, directory / "supervisor/supervisor", ignore=unwanted)
    program = directory / "supervisor/supervisord"
    program.write_text(SUPERVISORD)
    program.chmod(0o755)


def _link(first: int) -> tuple[str, str]:
    """A cable of its own between here and the host: (device here, address there)."""
    taken = [ipaddress.ip_network(route["dst"], strict=False) for route in json.loads(_routes()) if route["dst"] != "default"]
    while True:
        network = ipaddress.ip_network((0x0A << 24 | random.randrange(1 << 22) << 2, 30))
        if not any(network.overlaps(other) for other in taken):
            break
    here, there = network.hosts()
    device = f"apb{secrets.token_hex(5)}"
    _ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", str(first))
    _ip("address", "add", f"{here}/30", "dev", device)
    _ip("link", "set", device, "up")
    subprocess.run(
        ["nsenter", "--target", str(first), "--net", "sh", "-ec", f"ip address add {there}/30 dev eth0; ip link set eth0 up"], check=True
    )
    return device, str(there)


def _routes() -> str:
    return subprocess.run(["ip", "-json", "-4", "route"], capture_output=True, text=True, check=True).stdout


def _is_answering(address: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, 22)) == 0


@contextlib.contextmanager
def host(name: str, directory: Path, access: Access) -> Iterator[Host]:
    """A host that answers by SSH, its key among the known ones; nothing is left of it."""
    _describe(directory, access)
    uid = random.randrange(100_000, 500_000, 100)
    namespaces = ["--mount", "--net", "--pid", "--fork", "--uts", "--ipc", "--kill-child=KILL"]
    with (directory / "log").open("wb") as log:
        starter = subprocess.Popen(
            ["unshare", *namespaces, "sh", str(FIRST_PROCESS), name, str(directory), str(ROOT), str(uid)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_us,
        )
    first = wait(lambda: children(starter.pid), 10, "the first process of the host")[0]
    device, address = _link(first)
    made = Host(name, address, device, starter, access)
    try:
        wait(lambda: _is_answering(address) or _has_died(starter, directory), 20, "sshd on the host")
        public = (directory / "host_key.pub").read_text().split()
        with access.known_hosts.open("a") as known:
            known.write(f"{address} {public[0]} {public[1]}\n")
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def running(names: Iterable[str], directory: Path, access: Access) -> Iterator[list[Host]]:
    """A host for each name."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(host(name, directory / name, access)) for name in names]


def _has_died(starter: "subprocess.Popen[bytes]", directory: Path) -> bool:
    assert starter.poll() is None, (directory / "log").read_text()
    return False


def write_inventory(path: Path, hosts: list[Host], become_password: str, **more: object) -> Path:
    """An inventory of these hosts, in the group `caches`; the password for sudo is already encrypted text, `!vault` and all."""
    described = {"caches": {"hosts": {host.name: {**host.variables(), **more} for host in hosts}}}
    path.write_text(yaml.safe_dump(described) + f"  vars:\n    ansible_become_password: {become_password}\n")
    return path


def vault(text: str, password_file: Path) -> str:
    """The text as `ansible-vault encrypt_string` gives it for an inventory."""
    program = Path(sys.executable).with_name("ansible-vault")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    words = [program, "encrypt_string", "--vault-password-file", password_file]
    done = subprocess.run(words, input=text, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().replace("\n          ", "\n      ")
