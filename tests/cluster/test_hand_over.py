"""Several controllers, of which one works; and what becomes of what a killed one has begun."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apb_controller.rules.answers import Call
from tests.brokers import scripted
from tests.brokers.scripted import Hang, Held, Slow, Started
from tests.cluster import offers
from tests.cluster.catalog import Catalog, condition
from tests.cluster.controllers import Controller, started
from tests.e2e.machine import wait

pytestmark = pytest.mark.cluster
INSTANCE, BINDING = "ServiceInstance", "ServiceBinding"
LEASE_SECONDS = 3
MANY, BATCH = 30, 12


@pytest.fixture
def controllers(rights: Path, tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    """Starts controllers, which all end with the test."""
    with started(rights, tmp_path, "--lease-seconds", str(LEASE_SECONDS)) as start:
        yield start


def leads(controller: Controller) -> bool:
    return controller.metric("apb_controller_leading") == 1


def test_leader_that_is_told_to_stop_hands_over_under_load(
    space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """What it has begun it ends; the other one takes over without waiting for the end of the lease, and nothing is done twice."""
    first = controllers()
    wait(lambda: leads(first), 20, "a leader")
    second = controllers()
    assert not leads(second) and second.health("/readyz") == 200
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, Slow(0.3), times=None)
        for number in range(MANY):
            offers.instance(space, f"one-{number}")
        broker.wait_for(Call.PROVISION, 5)
        first.stop()
        wait(lambda: leads(second), LEASE_SECONDS, "the next leader")
        for number in range(MANY):
            space.wait_ready(INSTANCE, f"one-{number}")
        broker.unscript()
        assert len(broker.calls(Call.PROVISION)) == MANY
        assert not broker.calls(Call.DEPROVISION)


def test_leader_that_is_killed_is_followed_by_another(
    space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """After the lease. Calls whose answers it did not live to hear are repeated: the broker has one instance of each."""
    first = controllers()
    wait(lambda: leads(first), 20, "a leader")
    second = controllers()
    with offers.registered(space, broker):
        call = Held()
        broker.script(Call.PROVISION, call, times=3)
        for number in range(MANY):
            offers.instance(space, f"one-{number}")
        assert call.arrived.wait(30)
        first.kill()
        wait(lambda: leads(second), 5 * LEASE_SECONDS, "the next leader")
        call.release()
        for number in range(MANY):
            space.wait_ready(INSTANCE, f"one-{number}")
        assert len(broker.ledger.instances) == MANY == broker.ledger.creations


def test_leader_that_stands_still_does_nothing_when_it_goes_on(
    space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """Its lease has ended meanwhile: another one leads, and it waits for its turn again."""
    first = controllers()
    wait(lambda: leads(first), 20, "a leader")
    second = controllers()
    with offers.registered(space, broker):
        assert first.process is not None
        first.process.send_signal(signal.SIGSTOP)
        wait(lambda: leads(second), 5 * LEASE_SECONDS, "the next leader")
        offers.instance(space)
        space.wait_ready(INSTANCE, "one")
        first.process.send_signal(signal.SIGCONT)
        wait(lambda: not leads(first), 20, "the end of its term")
        space.patch(INSTANCE, "one", {"parameters": {"size": 2}})
        space.wait_reason(INSTANCE, "one", "InstanceUpdatedSuccessfully")
        assert len(broker.calls(Call.UPDATE)) == 1
        assert leads(second)


def test_leaders_change_under_load_and_nothing_is_lost_or_done_twice(
    space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """Told to stop, killed, told to stop: while instances and bindings are made, which takes questions, and while they are removed."""
    for call in (Call.PROVISION, Call.DEPROVISION, Call.BIND, Call.UNBIND):
        broker.script(call, Started(polls=2, retry_after=1), times=None)
    leader = controllers()
    with offers.registered(space, broker):
        for batch, is_killed in enumerate((False, True, False)):
            follower = controllers()
            for number in range(BATCH):
                offers.instance(space, f"{batch}-{number}", offers.DATABASE)
                offers.binding(space, f"{batch}-{number}", of=f"{batch}-{number}")
            broker.wait_for(Call.PROVISION, batch * BATCH + BATCH // 2)
            leader = followed(leader, follower, is_killed=is_killed)
        for batch in range(3):
            for number in range(BATCH):
                space.wait_ready(BINDING, f"{batch}-{number}")
        assert len(broker.ledger.instances) == len(broker.ledger.bindings) == 3 * BATCH == broker.ledger.creations
        follower = controllers()
        for kind in (BINDING, INSTANCE):
            for thing in space.list(kind):
                space.delete(kind, thing["metadata"]["name"])
        broker.wait_for(Call.UNBIND, BATCH)
        followed(leader, follower, is_killed=False)
    assert not broker.ledger.instances


def followed(leader: Controller, follower: Controller, *, is_killed: bool) -> Controller:
    """The next leader, when the one before has ended."""
    if is_killed:
        leader.kill()
    else:
        leader.stop()
    wait(lambda: leads(follower), 5 * LEASE_SECONDS, "the next leader")
    return follower


def test_update_whose_beginning_nobody_heard_of_is_carried_out(
    space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """The broker works on it and refuses a second one meanwhile; its name is not known, so it cannot be polled. Then it is asked again."""
    first = controllers("--no-lease")
    with offers.registered(space, broker):
        offers.instance(space, parameters={"size": 1})
        space.wait_ready(INSTANCE, "one")
        broker.script(Call.UPDATE, Hang(does_it=Started(polls=None)))
        space.patch(INSTANCE, "one", {"parameters": {"size": 2}})
        wait(lambda: broker.calls(Call.UPDATE), 30, "the update")
        first.kill()
        controllers("--no-lease")
        told = space.wait_reason(INSTANCE, "one", "UpdateInstanceCallFailed")
        assert "ConcurrencyError" in told["message"] and "will be retried" in told["message"]
        space.patch(INSTANCE, "one", {"parameters": {"size": 1}})  # as before, but not at the broker
        [instance_id] = broker.ledger.instances
        broker.finish(instance_id)
        space.wait_for(INSTANCE, "one", lambda one: condition(one).get("status") == "True" and one["status"]["observedGeneration"] > 3)
        [made] = broker.ledger.instances.values()
        assert made.parameters == {"size": 1}
        assert "outcomeUncertain" not in space.get(INSTANCE, "one")["status"]
