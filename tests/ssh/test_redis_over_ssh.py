"""Redis on two hosts at the other end of SSH: used, killed and canceled in mid-task, taken over; and nothing is left on either."""

import contextlib
import os
import selectors
import signal
import uuid

import pytest

from apb_broker import execution
from apb_broker.execution import processes
from apb_broker.lifecycle import bindings
from apb_broker.lifecycle.broker import Broker
from tests import scenarios
from tests.e2e.machine import login, wait
from tests.ssh.site import SUCCEEDED, Site, ended, epoch_of, job_of, log_of, runs_of, slug_of

# Of these tests alone: the hosts began with this machine's users, among whom may be those of other tests' instances.
IDS = (f"far-{uuid.uuid4()}", f"far-{uuid.uuid4()}")


@pytest.fixture(autouse=True)
def nothing_left(site: Site, far: Broker):
    """Whatever a test does: at its end the hosts are as they were before it."""
    before = site.states()
    yield
    site.require(before)


def provision(far: Broker) -> list[str]:
    return [scenarios.provision(far, id_, parameters={"memory": 0.1}).operation_id or "" for id_ in IDS]


def deprovision(far: Broker) -> None:
    removed = [scenarios.deprovision(far, id_).operation_id for id_ in IDS]
    assert [ended(far, id_) for id_ in removed] == [SUCCEEDED] * len(IDS)


def outcome_of(job: execution.Job) -> execution.Outcome:
    with execution.start(job) as run, selectors.DefaultSelector() as selector:
        selector.register(run, selectors.EVENT_READ)
        while True:
            selector.select(0.2)
            run.renew()
            for message in run.read():
                if isinstance(message, execution.Outcome):
                    return message


def use(far: Broker, instance_id: str) -> None:
    """Binds, and works with exactly what the binding returned."""
    bound = scenarios.bind(far, instance_id, f"b-{instance_id}")
    assert ended(far, bound.operation_id) == SUCCEEDED
    with login(bindings.fetch(far, scenarios.ANN, instance_id, f"b-{instance_id}")["credentials"]) as client:
        assert client.set("who", instance_id)
        assert client.get("who") == instance_id.encode()


def test_redis_runs_on_each_host_and_is_used_from_here(site: Site, far: Broker) -> None:
    """Two instances go to two hosts; each answers at its host's address, by the credentials of its binding."""
    made = provision(far)
    with site.worker():
        assert [ended(far, id_) for id_ in made] == [SUCCEEDED] * 2
        assert {site.host_of(far, id_).name for id_ in IDS} == {"alpha", "beta"}
        for id_ in IDS:
            host, slug = site.host_of(far, id_), slug_of(far, id_)
            use(far, id_)
            assert f"apb-{slug}" in host.users()
            assert len(host.pids("redis-server")) == 1
        deprovision(far)


def test_worker_killed_in_mid_task_is_followed_by_another(site: Site, far: Broker) -> None:
    """SIGKILL while a module hangs on each host: it goes on there, until the next worker's run ends it. The old run is refused."""
    for host in site.hosts:
        host.stop_next()
    made = provision(far)
    first = site.start_worker()
    try:
        left = {host.name: wait(host.hanging, 120, f"the task on {host.name}") for host in site.hosts}
        old = {id_: job_of(far, id_) for id_ in made}
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    wait(lambda: not any(host.pids("sshd: ops") for host in site.hosts), 20, "the end of the connections")
    assert all(host.hanging() == left[host.name] for host in site.hosts)  # nobody on the host has ended it
    with site.worker():
        assert [ended(far, id_) for id_ in made] == [SUCCEEDED] * 2
        assert not any(host.hanging() for host in site.hosts)
        for id_, operation_id in zip(IDS, made, strict=True):
            assert epoch_of(far, operation_id) > old[operation_id].epoch
            use(far, id_)
        for operation_id in made:
            outcome = outcome_of(old[operation_id])
            assert (outcome.status, outcome.transient) == ("failed", False)
            assert f"refused: epoch {old[operation_id].epoch} is older than {epoch_of(far, operation_id)}" in outcome.message
        deprovision(far)


def test_provision_canceled_in_mid_task_leaves_nothing(site: Site, far: Broker) -> None:
    """A removal during the provision: its run is canceled, and what it left working on the host is ended by the removal's."""
    for host in site.hosts:
        host.stop_next()
    made = provision(far)
    with site.worker():
        for host in site.hosts:
            wait(host.hanging, 120, f"the task on {host.name}")
        deprovision(far)
        assert [ended(far, id_)["error"] for id_ in made] == ["canceled"] * 2


def test_paused_worker_is_fenced_off(site: Site, far: Broker) -> None:
    """SIGSTOP of worker and run; another takes over; when they go on (SIGCONT), they change nothing any more."""
    for host in site.hosts:
        host.stop_next()
    made = provision(far)
    first = site.start_worker()
    paused: list[int] = []
    try:
        for host in site.hosts:
            wait(host.hanging, 120, f"the task on {host.name}")
        paused = pause(first.pid)
        with site.worker():
            assert [ended(far, id_) for id_ in made] == [SUCCEEDED] * 2
            after = site.states()
            go_on(paused)
            wait(lambda: not runs_of(first.pid), 60, "the end of the old runs")
            assert [scenarios.state(far, id_) for id_ in made] == ["succeeded"] * 2
            wait(lambda: site.states() == after, 10, "that the old run has changed nothing")
            deprovision(far)
    finally:
        first.kill()
        first.wait()
        go_on(paused)  # when the test has failed before: what is stopped does not end by itself


def pause(pid: int) -> list[int]:
    found = [pid, *processes.descendants(pid)]
    for each in found:
        os.kill(each, signal.SIGSTOP)
    return found


def go_on(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_host_that_refuses_connections_is_tried_again(site: Site, far: Broker) -> None:
    """sshd is away for a while: the tenant's operation waits, says why, and succeeds."""
    host = site.hosts[0]
    host.stop_sshd()
    made = provision(far)
    with site.worker():
        wait(lambda: "to be run again in" in log_of(far, made), 120, "the first attempt")
        host.start_sshd()
        assert [ended(far, id_) for id_ in made] == [SUCCEEDED] * 2
        assert f"Host {host.name} refuses connections: start sshd there" in log_of(far, made)
        deprovision(far)
