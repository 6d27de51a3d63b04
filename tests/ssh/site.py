"""What the tests of remote hosts do with a broker: workers that are started and killed, operations that are waited for."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from apb_broker import assembly
from apb_broker.execution import processes
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from apb_broker.storage.tables import Progress
from apb_broker.worker import jobs
from tests import scenarios
from tests.e2e.machine import free_ports, wait
from tests.ssh import hosts
from tests.ssh.hosts import Host

VAULT = "ANSIBLE_VAULT_PASSWORD_FILE"
CONFIG = """\
apb: 1
listen: 127.0.0.1:0
users: [{{name: admin, password_file: admin.password, roles: [platform, operator]}}]
roles: [{{name: apb.catalog.redis}}]
targets:
  far: {{mode: host, inventory: {inventory}, group: caches, ports: {ports}}}
offers: [{{plan: redis/redis-standard, mode: host, targets: [far]}}]
settings: {{concurrency: {concurrency}, lease_seconds: 3, grace_seconds: 4, cancel_grace_seconds: 3, max_attempts: {attempts}}}
"""


@dataclass
class Site:
    """Hosts, and a state directory for processes of the broker."""

    state: Path
    hosts: list[Host]
    inventory: Path
    environment: dict[str, str]
    access: hosts.Access

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """`apb worker`."""
        return subprocess.Popen([sys.executable, "-m", "apb_cli.main", "worker"], env=self.environment)

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """A worker for as long as it is needed."""
        process = self.start_worker()
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    @contextlib.contextmanager
    def broker(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
        """The site's broker, on an empty database."""
        monkeypatch.setenv(VAULT, self.environment[VAULT])
        broker = assembly.assemble(self.state).broker
        scenarios.empty(broker.database)
        yield broker
        broker.database.close()

    def states(self) -> dict[str, dict[str, object]]:
        """All that instances would leave on the hosts."""
        return {host.name: host.state() for host in self.hosts}

    def require(self, before: dict[str, dict[str, object]]) -> None:
        """Nothing is left: each host is as it was, at once or soon, since connections may still be ending."""

        def differences() -> dict[str, dict[str, object]]:
            found = {host.name: host.state() for host in self.hosts}
            pairs = {name: {part: state[part] for part in state if state[part] != before[name][part]} for name, state in found.items()}
            return {name: left for name, left in pairs.items() if left}

        with contextlib.suppress(AssertionError):
            wait(lambda: not differences(), 20)
        assert not differences()

    def host_of(self, broker: Broker, instance_id: str) -> Host:
        """Where an instance was placed."""
        with broker.database.unit() as unit:
            row = unit.instance(instance_id)
            assert row is not None
            return next(host for host in self.hosts if host.name == row.placement["host"])


def runs_of(worker: int) -> list[int]:
    """All processes of a worker's runs: those below it but for its warm process, which ends with it."""
    return [pid for pid in processes.descendants(worker) if b"execution.warm.zygote" not in command_of(pid)]


def command_of(pid: int) -> bytes:
    """A command line, or nothing when the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def slug_of(broker: Broker, instance_id: str) -> str:
    """The instance's name on its host."""
    with broker.database.unit() as unit:
        row = unit.instance(instance_id)
        assert row is not None
        return str(row.names["slug"])


def epoch_of(broker: Broker, operation_id: str) -> int:
    """Of the operation's latest run."""
    with broker.database.unit() as unit:
        row = unit.operation(operation_id)
        assert row is not None
        return int(row.epoch)


def job_of(broker: Broker, operation_id: str) -> jobs.execution.Job:
    """The job of a running operation, as its worker has it."""
    with broker.database.unit() as unit:
        return jobs.build(broker, operations._work(unit, operation_id))


def ended(broker: Broker, operation_id: str | None, seconds: float = 240) -> dict[str, str]:
    """How an operation stands at its end."""
    wait(lambda: scenarios.state(broker, operation_id) not in ("queued", "running"), seconds, f"the end of {operation_id}")
    with broker.database.unit() as unit:
        row = unit.operation(operation_id or "")
        assert row is not None
        return {"state": row.state, "error": row.error or ""}


def log_of(broker: Broker, operation_ids: Collection[str]) -> str:
    """The lines of operations' logs."""
    with broker.database.unit() as unit:
        return "\n".join(row.text for row in unit.session.query(Progress).filter(Progress.operation_id.in_(operation_ids)))


def configure(
    directory: Path, inventory: Path, ports: str, database_url: str, *, attempts: int = 5, concurrency: int = 2
) -> StateDirectory:
    """A state directory of a broker, or of one worker, that knows the hosts of the inventory."""
    state = StateDirectory(directory)
    state.create()
    configuration.first_configuration(state, ports=ports)
    state.keep_database_url(database_url)
    state.config_file.write_text(CONFIG.format(inventory=inventory, ports=ports, attempts=attempts, concurrency=concurrency))
    return state


@contextlib.contextmanager
def prepared(
    directory: Path, names: Collection[str], database_url: str, *, memory_gb: float | None = None, **settings: int
) -> Iterator[Site]:
    """Running hosts, prepared for instances by their operator, and a state directory of a broker that knows them."""
    limits = {} if memory_gb is None else {"apb_memory_gb": memory_gb}
    access = hosts.access(directory / "access")
    password = directory / "vault-password"
    password.touch(mode=0o600)
    password.write_text("opens the inventory")
    with hosts.running(names, directory, access) as made:
        inventory = hosts.write_inventory(directory / "hosts.yml", made, hosts.vault(access.password, password), **limits)
        environment = {**os.environ, VAULT: str(password), "APB_STATE_DIR": str(directory / "state"), "NO_COLOR": "1"}
        _prepare(inventory, environment)
        configure(directory / "state", inventory, free_ports(), database_url, **settings)
        for host in made:
            host.make_stoppable("useradd", "userdel")
        yield Site(directory / "state", made, inventory, environment, access)


def _prepare(inventory: Path, environment: dict[str, str]) -> None:
    """As docs/remote-hosts.md tells operators; but no connection stays open, as tests look at connections."""
    program = Path(sys.executable).with_name("ansible-playbook")
    words = [program, "-i", inventory, "apb.catalog.prepare_host", "-e", "apb_hosts=caches"]
    closing = {**environment, "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    done = subprocess.run(words, env=closing, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


SUCCEEDED = {"state": "succeeded", "error": ""}
