"""Two workers on machines of their own, with a PostgreSQL and three hosts in common: one is lost in mid-task, the other goes on.

The lost one has begun an instance on each host, where a module hangs. Whatever became of it, the other takes over after lease and
grace, ends on the hosts what was left working there, and makes each instance once. What comes back finds its work taken.
"""

import signal
import uuid
from collections.abc import Callable, Iterator

import pytest

from apb_broker.execution import processes
from apb_broker.lifecycle import bindings
from apb_broker.lifecycle.broker import Broker
from tests import scenarios
from tests.e2e.machine import login, wait
from tests.ssh import machines
from tests.ssh.machines import Fleet, Machine
from tests.ssh.site import SUCCEEDED, ended, epoch_of, log_of, slug_of

REFUSED = "result refused: another worker owns the operation"


@pytest.fixture(scope="module")
def fleet(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two machines for workers, three hosts."""
    with machines.fleet(tmp_path_factory.mktemp("fleet"), ("one", "two"), ("alpha", "beta", "gamma"), attempts=10, concurrency=3) as made:
        yield made


@pytest.fixture
def shared(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """The broker that accepts for both. Whatever a test does, its end leaves the hosts as they were."""
    before = fleet.site.states()
    with fleet.site.broker(monkeypatch) as broker:
        yield broker
        for machine in fleet.machines:
            machine.stop()
    fleet.site.require(before)


class Work:
    """An instance on each host, whose provision hangs there."""

    def __init__(self, fleet: Fleet, broker: Broker) -> None:
        self.fleet, self.broker = fleet, broker
        self.ids = [f"shared-{uuid.uuid4()}" for _ in fleet.site.hosts]
        for host in fleet.site.hosts:
            host.stop_next()
        self.operations = [scenarios.provision(broker, id_, parameters={"memory": 0.1}).operation_id or "" for id_ in self.ids]
        self.epochs: dict[str, int] = {}

    def wait_until_it_hangs(self) -> None:
        """All are in mid-task."""
        for host in self.fleet.site.hosts:
            wait(host.hanging, 120, f"the task on {host.name}")
        assert {self.fleet.site.host_of(self.broker, id_).name for id_ in self.ids} == {host.name for host in self.fleet.site.hosts}
        self.epochs = {id_: epoch_of(self.broker, id_) for id_ in self.operations}

    def require_taken_over(self) -> None:
        """Each instance is there once and works, made by a later run; what the earlier one left is gone."""
        assert [ended(self.broker, id_) for id_ in self.operations] == [SUCCEEDED] * len(self.ids)
        for id_, operation in zip(self.ids, self.operations, strict=True):
            host, slug = self.fleet.site.host_of(self.broker, id_), slug_of(self.broker, id_)
            assert epoch_of(self.broker, operation) > self.epochs[operation]
            assert not host.hanging()
            assert len(host.pids("redis-server")) == 1
            assert f"apb-{slug}" in host.users()
            assert (host.directory / "fence" / slug).read_text().strip() == str(epoch_of(self.broker, operation))

    def standing(self) -> list[object]:
        """What the database has of it, and what the hosts have."""
        with self.broker.database.unit() as unit:
            rows = [unit.operation(id_) for id_ in self.operations]
            instances = [unit.instance(id_) for id_ in self.ids]
            told = [(row.epoch, row.state, row.attempt, row.error, row.finished_at) for row in rows if row is not None]
            return [*told, *((row.state, row.connection, row.ports) for row in instances if row is not None), self.fleet.site.states()]

    def use(self) -> None:
        """An account on one of them works."""
        bound = scenarios.bind(self.broker, self.ids[0], f"b-{self.ids[0]}")
        assert ended(self.broker, bound.operation_id) == SUCCEEDED
        with login(bindings.fetch(self.broker, scenarios.ANN, self.ids[0], f"b-{self.ids[0]}")["credentials"]) as client:
            assert client.set("who", self.ids[0])

    def give_back(self) -> None:
        """All of it."""
        removed = [scenarios.deprovision(self.broker, id_).operation_id for id_ in self.ids]
        assert [ended(self.broker, id_) for id_ in removed] == [SUCCEEDED] * len(self.ids)


def kill(machine: Machine) -> Callable[[], None]:
    """The machine loses its power. It does not come back."""
    machine.kill()
    return lambda: None


def pause(machine: Machine) -> Callable[[], None]:
    """The machine stands still, for longer than its leases."""
    paused = machine.pause()

    def go_on() -> None:
        for pid in paused:
            processes.send(pid, signal.SIGCONT)

    return go_on


def cut_off_from_database(machine: Machine) -> Callable[[], None]:
    """It reaches its hosts, and can tell nobody."""
    assert machine.to_database is not None
    machine.to_database.cut()
    return machine.to_database.mend


@pytest.mark.parametrize(
    "lose", [kill, cut_off_from_database, pytest.param(pause, marks=pytest.mark.long)], ids=lambda lose: str(lose.__name__)
)
def test_worker_that_is_lost_in_mid_task_is_followed_by_that_of_another_machine(
    fleet: Fleet, shared: Broker, lose: Callable[[Machine], Callable[[], None]]
) -> None:
    """It takes over with a higher epoch; what comes back changes neither the database nor a host."""
    lost, other = fleet.machines
    work = Work(fleet, shared)
    lost.start()
    work.wait_until_it_hangs()
    come_back = lose(lost)
    try:
        other.start()
        work.require_taken_over()
        after = work.standing()
    finally:
        come_back()
    if lose is not kill:
        wait(lambda: lost.said().count(REFUSED) >= len(work.ids) and not lost.runs(), 90, "the end of the old runs")
        assert work.standing() == after
    work.use()
    work.give_back()


@pytest.mark.long
def test_worker_that_is_cut_off_from_the_hosts_gives_way_to_one_that_is_not(fleet: Fleet, shared: Broker) -> None:
    """It notices by itself, says so in the operation's log, and the operation ends on the machine that has a way."""
    lost, other = fleet.machines
    work = Work(fleet, shared)
    lost.start()
    work.wait_until_it_hangs()
    for cable in lost.to_hosts:
        cable.cut()
    try:
        wait(lambda: "to be run again in" in log_of(shared, work.operations), 60, "the end of a connection")
        other.start()
        work.require_taken_over()
        log = log_of(shared, work.operations)
        assert all(f"Host {host.name} does not answer any more" in log for host in fleet.site.hosts), log
    finally:
        for cable in lost.to_hosts:
            cable.mend()
    work.give_back()
