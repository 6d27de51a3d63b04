"""Machines that workers run on: each with addresses, processes and a state directory of its own, and cables that can be cut.

    database --- one --- alpha        (the same for `two`: no machine sees another worker's, and nothing is forwarded)
                   '---- beta …

A machine shares files with this one, where nobody looks at another's. Nothing of it outlives its first process, which dies with the test's.
"""

import contextlib
import ipaddress
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from apb_broker.execution import processes
from apb_broker.machine.state import StateDirectory
from apb_broker.storage import migrate
from tests.e2e.machine import wait
from tests.integration.collection import postgresql_server
from tests.ssh import hosts, site
from tests.ssh.hosts import Host

FIRST_PROCESS = 'hostname "$1"; ip link set lo up; mount -t tmpfs -o mode=1777 none /dev/shm; while :; do sleep 60; done'
NAMESPACES = ("--mount", "--mount-proc", "--net", "--pid", "--fork", "--uts", "--kill-child=KILL")


@dataclass
class Cable:
    """Between a machine and something else; cut at the other end, so that the machine is told nothing."""

    there: str  # the device at the other end
    first: int | None  # a process of the network it is in; None: this one
    address: str  # of the other end

    def cut(self) -> None:
        """Nothing comes through any more."""
        _ip(self.first, "link", "set", self.there, "down")

    def mend(self) -> None:
        """It does again."""
        _ip(self.first, "link", "set", self.there, "up")


@dataclass
class Machine:
    """One machine, and the worker on it."""

    name: str
    first: int
    log: Path
    state: Path = Path()
    to_database: Cable | None = None
    to_hosts: list[Cable] = field(default_factory=list)
    _worker: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """`apb worker` on it."""
        inside = ["nsenter", "--target", str(self.first), "--mount", "--pid", "--net", "--uts", "--"]
        environment = {**os.environ, "APB_STATE_DIR": str(self.state), site.VAULT: str(self.state / "vault-password"), "NO_COLOR": "1"}
        with self.log.open("wb") as log:
            command = [*inside, sys.executable, "-m", "apb_cli.main", "worker"]
            self._worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=hosts.die_with_us)
        wait(lambda: "worker started" in self.said() or self._has_died(), 60, f"the worker on {self.name}")

    def _has_died(self) -> bool:
        assert self._worker is not None
        assert self._worker.poll() is None, self.said()
        return False

    def said(self) -> str:
        """What its worker logged."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def pid(self) -> int:
        """The worker's process."""
        assert self._worker is not None
        (pid,) = hosts.children(self._worker.pid)
        return pid

    def runs(self) -> list[int]:
        """All processes of the worker's runs."""
        return site.runs_of(self.pid)

    def kill(self) -> None:
        """SIGKILL to the worker and all that it runs, as when the power goes: runs first, since they would end by themselves."""
        for pid in [*self.runs(), self.pid]:
            processes.send(pid, signal.SIGKILL)
        assert self._worker is not None
        self._worker.wait()

    def pause(self) -> list[int]:
        """SIGSTOP to all of it; what has to go on for it to go on: `nsenter` stops with what it has started."""
        assert self._worker is not None
        found = [self.pid, *self.runs()]
        for pid in found:
            processes.send(pid, signal.SIGSTOP)
        return [*found, self._worker.pid]

    def stop(self) -> None:
        """SIGTERM, and the end of the worker."""
        if self._worker is not None and self._worker.poll() is None:
            processes.send(self.pid, signal.SIGTERM)
            self._worker.wait(60)


def _ip(first: int | None, *words: str) -> None:
    """`ip`, in the network of a process, or in this one."""
    inside = [] if first is None else ["nsenter", "--target", str(first), "--net", "--"]
    done = subprocess.run([*inside, "ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def _cable(machine: Machine, other: int | None) -> Cable:
    """A new one, with an address at either end."""
    network = ipaddress.ip_network((0x64 << 24 | 0x40 << 16 | random.randrange(1 << 20) << 2, 30))  # 100.64.0.0/10: nobody's
    here, there = (f"apb{secrets.token_hex(5)}" for _ in range(2))
    here_address, there_address = network.hosts()
    _ip(None, "link", "add", here, "netns", str(machine.first), "type", "veth", "peer", "name", there, "netns", str(other or os.getpid()))
    for first, device, address in ((machine.first, here, here_address), (other, there, there_address)):
        _ip(first, "address", "add", f"{address}/30", "dev", device)
        _ip(first, "link", "set", device, "up")
    return Cable(there, other, str(there_address))


@contextlib.contextmanager
def _running(name: str, directory: Path) -> Iterator[Machine]:
    """A machine without cables."""
    starter = subprocess.Popen(["unshare", *NAMESPACES, "sh", "-ec", FIRST_PROCESS, "sh", name], preexec_fn=hosts.die_with_us)
    try:
        (first,) = wait(lambda: hosts.children(starter.pid), 10, "the first process of the machine")
        namespace = wait(lambda: _own_network(first), 10, "the machine's network")
        assert namespace
        yield Machine(name, first, directory / f"{name}.log")
    finally:
        starter.kill()
        starter.wait()


def _own_network(first: int) -> bool:
    return os.readlink(f"/proc/{first}/ns/net") != os.readlink("/proc/self/ns/net")


def _connect(machine: Machine, to: list[Host]) -> None:
    """Cables to the database and to each host, whose address stays the one that everybody knows."""
    machine.to_database = _cable(machine, None)
    for host in to:
        cable = _cable(machine, host.first)
        _ip(machine.first, "route", "add", host.address, "via", cable.address)
        machine.to_hosts.append(cable)


def _configure(machine: Machine, made: site.Site, directory: Path, database_url: str) -> None:
    """A state directory as an operator makes it on a second machine: copies of files, each with its own paths."""
    machine.state = directory / machine.name
    state = StateDirectory(machine.state)
    state.create()
    shutil.copytree(made.access.directory, machine.state / "access")
    shutil.copy(made.environment[site.VAULT], machine.state / "vault-password")
    for name in ("keys", "admin.password"):
        shutil.copy(made.state / name, machine.state / name)
    inventory = machine.state / "hosts.yml"
    inventory.write_text(made.inventory.read_text().replace(str(made.access.directory), str(machine.state / "access")))
    state.config_file.write_text((made.state / "apb.yml").read_text().replace(str(made.inventory), str(inventory)))
    state.keep_database_url(database_url)


@dataclass
class Fleet:
    """Machines, the hosts they work on, and the URL of the database that they share."""

    machines: list[Machine]
    site: site.Site


def _url(server: postgresql_server.Server, address: str) -> str:
    password = quote(postgresql_server.ADMIN_PASSWORD, safe="")
    return f"postgresql://{postgresql_server.ADMIN}:{password}@{address}:{server.port}/apb"


@contextlib.contextmanager
def fleet(directory: Path, names: tuple[str, ...], on: tuple[str, ...], **settings: int) -> Iterator[Fleet]:
    """Workers' machines by these names, with nothing but a PostgreSQL (by TCP, with passwords) and hosts in common. No worker runs yet."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(_running(name, directory)) for name in names]
        hosts_directory = directory / "site"
        hosts_directory.mkdir()
        server = stack.enter_context(postgresql_server.running())
        server.sql("CREATE DATABASE apb")
        here = stack.enter_context(site.prepared(hosts_directory, on, _url(server, "127.0.0.1"), **settings))
        for machine in made:
            _connect(machine, here.hosts)
        server.listen([cable.address for machine in made if (cable := machine.to_database)])
        migrate.migrate(_url(server, "127.0.0.1"))
        for machine in made:
            assert machine.to_database is not None
            _configure(machine, here, directory, _url(server, machine.to_database.address))
        yield Fleet(made, here)
        for machine in made:
            machine.stop()
