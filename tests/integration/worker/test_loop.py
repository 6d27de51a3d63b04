"""The worker's loop as a process of its own, on a real PostgreSQL, with the scripted executor in Ansible's place."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from apb_broker import execution
from apb_broker.lifecycle import fleet, operations, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage.listening import Listener
from apb_broker.worker import loop
from tests import scenarios

DRIVER = Path(__file__).parent / "driver.py"
LEASE = {"executor": "scripted", "lease_seconds": 2, "grace_seconds": 0.5, "cancel_grace_seconds": 1}


class Workers:
    """Starts workers whose runs do what a script says; ends them all."""

    def __init__(self, arguments: list[str], config: str, directory: Path) -> None:
        self._arguments, self._config, self._directory = arguments, config, directory
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, owner: str = "w", drain_seconds: float = 30, verify_every: float = 0, **script: Any) -> subprocess.Popen[bytes]:
        """A worker all of whose runs follow that script; it looks at instances only where that is asked for."""
        path = self._directory / f"apb-{len(self._started)}.yml"
        config = self._config.replace(
            "{name: apb.catalog.redis}", f"{{name: apb.catalog.redis, settings: {json.dumps({'scripted': script})}}}"
        )
        settings = {**LEASE, "drain_seconds": drain_seconds, "verify_every_seconds": verify_every}
        path.write_text(f"{config}settings: {json.dumps(settings)}\n")
        command = [sys.executable, str(DRIVER), str(path), *self._arguments, owner]
        process = subprocess.Popen(command, start_new_session=True)
        self._started.append(process)
        return process

    def end(self) -> None:
        """Nothing a test started stays."""
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def workers(broker: Broker, database_url: str, key_file: Path, tmp_path: Path) -> Iterator[Workers]:
    """A place to start workers for the broker from."""
    found = Workers([database_url, str(key_file)], (tmp_path / "apb.yml").read_text(), tmp_path)
    yield found
    found.end()


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    """Until the condition holds; fails when it does not in time."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)


def wait_for(broker: Broker, operation_id: str | None, state: str) -> None:
    """Until an operation has that state."""
    wait(lambda: scenarios.state(broker, operation_id) == state)


def epoch(broker: Broker, operation_id: str | None) -> int:
    """The epoch of an operation's latest claim."""
    with broker.database.unit() as unit:
        row = unit.operation(operation_id or "")
        assert row is not None
        return row.epoch


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All processes of a worker's runs."""
    return psutil.Process(process.pid).children(recursive=True)


def test_worker_runs_what_is_accepted(broker: Broker, workers: Workers) -> None:
    """An accepted operation is run to its end, its progress is kept."""
    workers.start(progress=["Make the directory", "Start the server"])
    accepted = scenarios.provision(broker)
    wait_for(broker, accepted.operation_id, "succeeded")
    with broker.database.unit() as unit:
        lines = [line.text for line in unit.progress(accepted.operation_id or "")]
    assert lines == ["provision accepted", "Make the directory", "Start the server", "succeeded"]


def test_worker_killed_in_a_run_is_succeeded_by_another(broker: Broker, workers: Workers) -> None:
    """After SIGKILL the run's processes are gone, and another worker runs the operation again with a higher epoch."""
    first = workers.start("first", outcome="hang")
    accepted = scenarios.provision(broker)
    wait_for(broker, accepted.operation_id, "running")
    wait(lambda: len(descendants(first)) >= 2)
    of_the_run, lost = descendants(first), epoch(broker, accepted.operation_id)
    first.kill()
    workers.start("second")
    wait_for(broker, accepted.operation_id, "succeeded")
    assert epoch(broker, accepted.operation_id) > lost
    assert psutil.wait_procs(of_the_run, timeout=5)[1] == []


def test_worker_that_wakes_up_after_its_lease_changes_nothing(broker: Broker, workers: Workers) -> None:
    """A worker stopped beyond its lease: its run is killed meanwhile, its result refused, its successor's stays."""
    first = workers.start("first", outcome="hang")
    accepted = scenarios.provision(broker)
    wait(lambda: len(descendants(first)) >= 2)
    of_the_run = descendants(first)
    first.send_signal(signal.SIGSTOP)
    workers.start("second")
    wait_for(broker, accepted.operation_id, "succeeded")
    taken_over = epoch(broker, accepted.operation_id)
    # The stopped worker cannot reap its children: dead ones are zombies until it goes on.
    wait(lambda: all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in of_the_run))
    first.send_signal(signal.SIGCONT)
    wait(lambda: descendants(first) == [])
    assert scenarios.state(broker, accepted.operation_id) == "succeeded"
    assert epoch(broker, accepted.operation_id) == taken_over
    assert first.poll() is None


def test_worker_that_slept_after_its_claim_begins_nothing(broker: Broker, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By then another worker may have the operation, and its run would be beside that one's."""
    accepted = scenarios.provision(broker)
    worker = loop.Worker(broker, Listener(database_url), "sleeper")
    slept, claim, clock = [0.0], operations.claim, execution.boot_clock

    def claim_and_sleep(*arguments: Any) -> operations.Work | None:
        work = claim(*arguments)
        slept[0] = broker.settings.lease_seconds
        return work

    monkeypatch.setattr(operations, "claim", claim_and_sleep)
    monkeypatch.setattr(execution, "boot_clock", lambda: clock() + slept[0])
    monkeypatch.setattr(execution, "start", lambda *_, **__: pytest.fail("a run was begun"))
    worker._tell()
    worker._claim()
    assert scenarios.state(broker, accepted.operation_id) == "running"  # until the sweep


def test_deprovision_during_a_run_kills_it(broker: Broker, workers: Workers) -> None:
    """Every process of the canceled run is gone before the removal begins; the provision ends failed."""
    process = workers.start(outcome="hang")
    creation = scenarios.provision(broker)
    wait(lambda: len(descendants(process)) >= 2)
    of_the_run = descendants(process)
    removal = scenarios.deprovision(broker)
    wait_for(broker, creation.operation_id, "failed")
    assert [p for p in of_the_run if p.is_running()] == []
    wait_for(broker, removal.operation_id, "running")


def test_stopping_worker_finishes_what_it_runs(broker: Broker, workers: Workers) -> None:
    """SIGTERM: nothing more is claimed, the run in progress ends as it would have, then the worker exits with 0."""
    process = workers.start(delay_seconds=1.5)
    accepted = scenarios.provision(broker)
    wait(lambda: len(descendants(process)) >= 2)
    process.send_signal(signal.SIGTERM)
    later = scenarios.provision(broker, "i2")
    assert process.wait(20) == 0
    assert scenarios.state(broker, accepted.operation_id) == "succeeded"
    assert scenarios.state(broker, later.operation_id) == "queued"


def attempts(broker: Broker, operation_id: str | None) -> int:
    """How many of an operation's attempts are counted."""
    with broker.database.unit() as unit:
        row = unit.operation(operation_id or "")
        assert row is not None
        return row.attempt


def test_stopping_worker_hands_back_what_takes_too_long(broker: Broker, workers: Workers) -> None:
    """After its drain time the run is ended, and the worker that is there already takes its operation at once; that was no attempt."""
    first = workers.start(drain_seconds=0.5, outcome="hang")
    accepted = scenarios.provision(broker)
    wait(lambda: len(descendants(first)) >= 2)
    assert attempts(broker, accepted.operation_id) == 1
    workers.start("second")
    wait(lambda: fleet.alive(broker) == 2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    handed_back_at = time.monotonic()
    wait_for(broker, accepted.operation_id, "succeeded")
    assert time.monotonic() - handed_back_at < LEASE["lease_seconds"]
    assert attempts(broker, accepted.operation_id) == 1
    assert fleet.alive(broker) == 1


def test_stopping_worker_told_twice_hands_back_at_once(broker: Broker, workers: Workers) -> None:
    """A second SIGTERM: an operator, or a system that shuts down, is in a hurry."""
    process = workers.start(drain_seconds=3600, outcome="hang")
    accepted = scenarios.provision(broker)
    wait(lambda: len(descendants(process)) >= 2)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert scenarios.state(broker, accepted.operation_id) == "queued"


@contextlib.contextmanager
def database_for_us_alone(broker: Broker) -> Iterator[None]:
    """Everybody else loses the connections they have, and gets no others."""
    limit = "ALTER DATABASE apb CONNECTION LIMIT {}"
    with broker.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            connection.exec_driver_sql(limit.format(0))
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'apb' AND pid <> pg_backend_pid()"
            )
            yield
        finally:
            connection.exec_driver_sql(limit.format(-1))


def test_stopping_worker_does_not_wait_for_a_database_that_is_gone(broker: Broker, workers: Workers) -> None:
    """What it cannot hand back it leaves to its lease: a stop ends in its time, with nothing of the run left; the next takes over."""
    process = workers.start(drain_seconds=0, outcome="hang")
    accepted = scenarios.provision(broker)
    wait(lambda: len(descendants(process)) >= 2)
    of_the_run = descendants(process)
    with database_for_us_alone(broker):
        process.send_signal(signal.SIGTERM)
        assert process.wait(LEASE["cancel_grace_seconds"] + loop.HAND_BACK_SECONDS + 10) == 0
        assert [p for p in of_the_run if p.is_running()] == []
    workers.start("second")
    wait_for(broker, accepted.operation_id, "succeeded")


def test_run_that_dies_is_run_again(broker: Broker, workers: Workers) -> None:
    """A run whose outcome nobody knows is put back with a back-off, not failed."""
    workers.start(outcome="lost")
    accepted = scenarios.provision(broker)
    wait(lambda: epoch(broker, accepted.operation_id) > 0 and scenarios.state(broker, accepted.operation_id) == "queued")
    with broker.database.unit() as unit:
        assert any("run again" in line.text for line in unit.progress(accepted.operation_id or ""))


def test_worker_survives_what_it_cannot_run(broker: Broker, workers: Workers) -> None:
    """An operation whose target left apb.yml ends failed, with a sentence that says so; the worker goes on."""
    accepted = scenarios.provision(broker)
    with broker.database.unit() as unit:
        row = unit.instance("i1")
        assert row is not None
        row.placement = {**row.placement, "target": "moved"}
    workers.start()
    wait_for(broker, accepted.operation_id, "failed")
    assert "apb.yml" in operations.status(broker, scenarios.ANN, "i1", None, None)["description"]
    assert scenarios.provision(broker, "i2").operation_id is not None
    wait(lambda: operations.status(broker, scenarios.ANN, "i2", None, None)["state"] == "succeeded")


def health(broker: Broker, instance_id: str) -> str:
    """How the instance was found."""
    return str(views.instance(broker, instance_id)["health"]["status"])


def test_worker_looks_at_instances_when_nothing_else_is_to_be_done(broker: Broker, workers: Workers) -> None:
    """What it finds is kept, nothing else."""
    workers.start(verify_every=0.5, actions={"verify": {"outcome": "failed", "message": "nothing listens"}})
    accepted = scenarios.provision(broker, "i1")
    wait_for(broker, accepted.operation_id, "succeeded")
    wait(lambda: health(broker, "i1") == "failing")
    assert len(views.operations(broker, instance_id=None, state=None, limit=10)) == 1


def test_look_that_hangs_delays_nothing_and_is_halted(broker: Broker, workers: Workers) -> None:
    """A worker of one place takes what is accepted beside it, and its processes are gone soon after."""
    process = workers.start(verify_every=0.1, actions={"verify": {"outcome": "hang"}})
    wait_for(broker, scenarios.provision(broker, "i1").operation_id, "succeeded")
    wait(lambda: len(descendants(process)) >= 2)
    of_the_look = descendants(process)
    update = scenarios.update(broker, "i1", parameters={"memory": 2})
    wait_for(broker, update.operation_id, "succeeded")
    wait(lambda: all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in of_the_look))
    assert health(broker, "i1") == "unknown"
