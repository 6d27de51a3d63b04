"""One target of three hosts, filled to the last instance: what can be lost between a worker and a host is lost while they are all at work.

Each loss hits an operation in mid-task. It ends as it should, the instance is there once or not at all, and in the end nothing is left on
any host: no process, no account, no port, no file.
"""

import os
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from apb_broker.execution import processes
from apb_broker.lifecycle import bindings, errors, instances, interventions
from apb_broker.lifecycle.broker import Broker
from tests import scenarios
from tests.e2e.machine import login, wait
from tests.ssh import site as sites
from tests.ssh.hosts import Host
from tests.ssh.site import SUCCEEDED, Site, ended, epoch_of, log_of

NAMES, EACH = ("alpha", "beta", "gamma"), 3
MEMORY_GB = 0.1


@pytest.fixture(scope="module")
def three(possible: None, tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Site]:
    """Three hosts, each with memory for three instances that grow while they are there."""
    with sites.prepared(
        tmp_path_factory.mktemp("three"), NAMES, database_url, memory_gb=2 * EACH * MEMORY_GB, concurrency=5, attempts=8
    ) as made:
        yield made


@pytest.fixture
def target(three: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """The broker of these hosts. Whatever a test does, its end leaves the hosts as they were."""
    before = three.states()
    with three.broker(monkeypatch) as broker:
        yield broker
    three.require(before)


class Fleet:
    """A worker, and instances on all hosts."""

    def __init__(self, site: Site, broker: Broker) -> None:
        self.site, self.broker = site, broker
        self.ids: list[str] = []
        self.worker = site.start_worker()

    def provision(self) -> list[str]:
        """As many instances as find room, at once; their operations."""
        self.ids = [f"three-{uuid.uuid4()}" for _ in range(EACH * len(NAMES))]
        return [str(scenarios.provision(self.broker, id_, parameters={"memory": 2 * MEMORY_GB}).operation_id) for id_ in self.ids]

    def on(self, host: Host) -> list[str]:
        """The instances on a host."""
        return [id_ for id_ in self.ids if self.site.host_of(self.broker, id_) is host]

    def operation_on(self, host: Host) -> str:
        """The operation whose task hangs there."""
        environment = environment_of(host.hanging()[0])
        with self.broker.database.unit() as unit:
            rows = [unit.instance(id_) for id_ in self.ids]
            (instance,) = [row for row in rows if row is not None and row.names["slug"] == environment["APB_INSTANCE"]]
            last = unit.last_operation(instance.id)
            assert last is not None
            return last.id

    def runs(self) -> list[int]:
        """All processes of the worker's runs."""
        return sites.runs_of(self.worker.pid)

    def lose_worker(self) -> None:
        """SIGKILL to the worker and all that it runs, and another worker in its place."""
        for pid in [*self.runs(), self.worker.pid]:
            processes.send(pid, signal.SIGKILL)
        self.worker.wait()
        self.worker = self.site.start_worker()

    def require_succeeded(self, operations: list[str]) -> None:
        """All of them, in the end."""
        assert [ended(self.broker, id_) for id_ in operations] == [SUCCEEDED] * len(operations), log_of(self.broker, operations)

    def require_each_once(self) -> None:
        """One server for each instance, on the host where it is."""
        for host in self.site.hosts:
            assert len(host.pids("redis-server")) == EACH
            assert not host.hanging()

    def stop(self) -> None:
        """The worker, in good order."""
        self.worker.terminate()
        self.worker.wait(60)


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        return dict(entry.split("=", 1) for entry in file.read().decode().split("\0") if "=" in entry)


@pytest.fixture
def fleet(three: Site, target: Broker) -> Iterator[Fleet]:
    """A worker for as long as it is needed."""
    made = Fleet(three, target)
    yield made
    made.stop()


def hang(host: Host, program: str, begin: Callable[[], object]) -> None:
    """The next call of the program on the host hangs, in the middle of its task."""
    host.stop_next(program)
    begin()
    wait(host.hanging, 120, f"the task on {host.name}")


def kill_module(host: Host) -> None:
    """The module's process, as when the host's memory runs out. What it has started goes on without it."""
    (sleep,) = host.hanging()
    python = processes.parents()[processes.parents()[sleep]]
    os.kill(python, signal.SIGKILL)


def kill_session(host: Host) -> None:
    """The connection, at the host's end."""
    for pid in host.pids("sshd: ops"):
        processes.send(pid, signal.SIGKILL)


def kill_playbook(fleet: Fleet) -> None:
    """ansible-playbook of each run that hangs, and nothing else."""
    for pid in fleet.runs():
        if b"ansible-playbook" in sites.command_of(pid):
            processes.send(pid, signal.SIGKILL)


def test_everything_between_worker_and_hosts_is_lost_once(three: Site, target: Broker, fleet: Fleet) -> None:
    """Nine instances at once: modules, connections, playbooks and the worker killed, an operation canceled, a cable pulled, a host down."""
    provision_with_losses(three, target, fleet)
    use_with_losses(three, target, fleet)
    give_back_with_losses(three, target, fleet)


def provision_with_losses(three: Site, target: Broker, fleet: Fleet) -> None:
    """The first on each host hangs; each is lost in another way."""
    alpha, beta, gamma = three.hosts
    for host in three.hosts:
        host.stop_next()
    made = fleet.provision()
    assert Counter(three.host_of(target, id_).name for id_ in fleet.ids) == dict.fromkeys(NAMES, EACH)
    with pytest.raises(errors.NoCapacity, match="alpha"):
        scenarios.provision(target, "one-too-many", parameters={"memory": MEMORY_GB})
    for host in three.hosts:
        wait(host.hanging, 120, f"the task on {host.name}")
    canceled = fleet.operation_on(gamma)
    lost = [fleet.operation_on(alpha), fleet.operation_on(beta)]
    kill_module(alpha)
    kill_session(beta)
    interventions.cancel(target, scenarios.ANN, canceled)
    assert ended(target, canceled) == {"state": "failed", "error": "canceled"}
    assert not gamma.hanging()  # with the operation, the task on the host has ended
    again: list[str] = []
    hang(gamma, "useradd", lambda: again.append(interventions.retry(target, scenarios.ANN, canceled)["id"]))
    kill_playbook(fleet)
    fleet.require_succeeded([id_ for id_ in made if id_ != canceled] + again)
    for operation in lost:
        assert "to be run again in" in log_of(target, [operation])
    fleet.require_each_once()


def use_with_losses(three: Site, target: Broker, fleet: Fleet) -> None:
    """Three servers stand still in the middle of an update, of a binding and of another update, while the worker is killed."""
    chosen = [fleet.on(host)[0] for host in three.hosts]
    servers = [pid for host in three.hosts for pid in host.pids("redis-server")]
    for pid in servers:
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = [str(scenarios.update(target, id_, parameters={"memory": MEMORY_GB}).operation_id) for id_ in (chosen[0], chosen[2])]
        wait(lambda: log_of(target, begun).count("Wait for the server and set its memory") == 2, 120, "their tasks")
        begun.append(str(scenarios.bind(target, chosen[1], "b1").operation_id))
        wait(lambda: "Make an account" in log_of(target, begun), 60, "the task of the binding")  # which fails 5 s later
        epochs = [epoch_of(target, id_) for id_ in begun]
        fleet.lose_worker()
    finally:
        for pid in servers:
            os.kill(pid, signal.SIGCONT)
    fleet.require_succeeded(begun)
    assert all(epoch_of(target, id_) > epoch for id_, epoch in zip(begun, epochs, strict=True))
    with login(bindings.fetch(target, scenarios.ANN, chosen[1], "b1")["credentials"]) as client:
        assert client.set("who", chosen[1])
    assert instances.fetch(target, scenarios.ANN, chosen[0])["parameters"]["memory"] == MEMORY_GB
    fleet.require_succeeded([str(scenarios.unbind(target, chosen[1], "b1").operation_id)])
    fleet.require_each_once()


def give_back_with_losses(three: Site, target: Broker, fleet: Fleet) -> None:
    """One cable is pulled in mid-task, and put back when the lease of that time would long be over; one host is down from the beginning."""
    _, beta, gamma = three.hosts
    on_gamma = fleet.on(gamma)
    gamma.unplug()
    removed: list[str] = []
    try:
        hang(beta, "userdel", lambda: removed.extend(str(scenarios.deprovision(target, id_).operation_id) for id_ in fleet.ids))
        pulled = fleet.operation_on(beta)
        of_gamma = [id_ for id_, instance in zip(removed, fleet.ids, strict=True) if instance in on_gamma]
        beta.unplug()
        try:
            wait(lambda: "to be run again in" in log_of(target, [pulled]), 60, "the end of the connection")
            wait(lambda: all("to be run again in" in log_of(target, [id_]) for id_ in of_gamma), 120, "the attempts on gamma")
        finally:
            beta.plug()
    finally:
        gamma.plug()
    fleet.require_succeeded(removed)
    assert "Host gamma" in log_of(target, of_gamma)
    assert "Host beta" in log_of(target, [pulled])
