"""SIGKILL of worker and run at five points; the next worker ends the operation as if nothing had been."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apb_broker import assembly
from apb_broker.lifecycle import bindings, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.machine import configuration, environment, preparation
from apb_broker.machine.state import StateDirectory
from tests import scenarios
from tests.e2e.machine import Machine, is_open, login, machine, servers_in, wait

ARMED = Path(__file__).parent / "worker.py"
RESTART_SECONDS = 60


@pytest.fixture(scope="module")
def prepared(database_url: str) -> Iterator[Machine]:
    """A machine that is configured and prepared, with a database, and nothing of apb running."""
    with machine() as made:
        state = StateDirectory(made.state)
        state.create()
        configuration.first_configuration(state, ports=made.ports)
        state.keep_database_url(database_url)
        preparation.prepare_host(state.host, state.logs / "prepare.log", environment.of_children(), time.sleep, roles=["apb.catalog.redis"])
        yield made


@pytest.fixture
def here(prepared: Machine) -> Iterator[Broker]:
    """The broker of that machine, on an empty database."""
    broker = assembly.assemble(prepared.state).broker
    scenarios.empty(broker.database)
    yield broker
    broker.database.close()


def killed(prepared: Machine, kind: str, point: str) -> None:
    """A worker that dies at that point."""
    armed = subprocess.run([sys.executable, str(ARMED), str(prepared.state), kind, point], env=prepared.environment, timeout=120)
    assert armed.returncode == -9


def finished(prepared: Machine, broker: Broker, operation_id: str | None) -> None:
    """A fresh worker, until the operation has succeeded."""
    worker = subprocess.Popen([sys.executable, "-m", "apb_cli.main", "worker"], env=prepared.environment)
    try:
        wait(lambda: scenarios.state(broker, operation_id) not in ("queued", "running"), RESTART_SECONDS, "the end of the operation")
    finally:
        worker.terminate()
        worker.wait(60)
    assert scenarios.state(broker, operation_id) == "succeeded", operations.status(broker, scenarios.ANN, "i1", None, operation_id)


def one_server(prepared: Machine, broker: Broker) -> Path:
    """The instance's directory; one process works in it and its port is open."""
    with broker.database.unit() as unit:
        row = unit.instance("i1")
        assert row is not None
        directory, port = prepared.instances / row.names["slug"], row.ports["client"]
    assert is_open(port)
    assert len(servers_in(directory)) == 1
    assert [path.name for path in prepared.instances.iterdir()] == [directory.name]
    return directory


@pytest.mark.parametrize("point", ["claimed", "started", "changed", "published"])
def test_provision_ends_after_its_worker_was_killed(prepared: Machine, here: Broker, point: str) -> None:
    """Within a minute of the restart the instance is there once, and a binding of it works."""
    accepted = scenarios.provision(here, parameters={"memory": 0.1})
    killed(prepared, "provision", point)
    finished(prepared, here, accepted.operation_id)
    directory = one_server(prepared, here)
    bound = scenarios.bind(here)
    finished(prepared, here, bound.operation_id)
    with login(bindings.fetch(here, scenarios.ANN, "i1", "b1")["credentials"]) as client:
        assert client.set("a", "1")
    removed = scenarios.deprovision(here)
    finished(prepared, here, removed.operation_id)
    assert not directory.exists()


def test_deprovision_ends_after_its_worker_was_killed(prepared: Machine, here: Broker) -> None:
    """A removal killed half way is carried to its end."""
    accepted = scenarios.provision(here, parameters={"memory": 0.1})
    finished(prepared, here, accepted.operation_id)
    directory = one_server(prepared, here)
    removed = scenarios.deprovision(here)
    killed(prepared, "deprovision", "changed")
    finished(prepared, here, removed.operation_id)
    assert not directory.exists()
    assert servers_in(directory) == []
