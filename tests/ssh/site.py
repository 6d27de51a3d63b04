"""What the tests of remote hosts do with a broker: workers that are started and killed, operations that are waited for."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.worker import jobs
from tests import scenarios
from tests.e2e.machine import wait
from tests.ssh.hosts import Host


@dataclass
class Site:
    """Hosts, and a state directory for processes of the broker."""

    state: Path
    hosts: list[Host]
    inventory: Path
    environment: dict[str, str]

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

    def host_of(self, broker: Broker, instance_id: str) -> Host:
        """Where an instance was placed."""
        with broker.database.unit() as unit:
            row = unit.instance(instance_id)
            assert row is not None
            return next(host for host in self.hosts if host.name == row.placement["host"])


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


SUCCEEDED = {"state": "succeeded", "error": ""}
