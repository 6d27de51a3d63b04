"""Several controllers, of which one works; API servers that die; watches that are too old."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apb_controller.rules.answers import Call
from tests.brokers import scripted
from tests.brokers.scripted import Held, Slow
from tests.cluster import account, offers
from tests.cluster.catalog import Catalog
from tests.cluster.control_plane import ControlPlane
from tests.cluster.controllers import Controller
from tests.e2e.machine import wait

pytestmark = pytest.mark.cluster
INSTANCE, BINDING = "ServiceInstance", "ServiceBinding"
LEASE_SECONDS = 3
MANY = 30


@pytest.fixture
def controllers(rights: Path, tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    """Starts controllers, which all end with the test."""
    with started(rights, tmp_path) as start:
        yield start


@contextlib.contextmanager
def started(kubeconfig: Path, place: Path) -> Iterator[Callable[..., Controller]]:
    made: list[Controller] = []

    def start(*options: str) -> Controller:
        log = place / f"controller-{len(made)}.log"
        one = Controller(kubeconfig, log, "--namespace", account.NAMESPACE, "--lease-seconds", str(LEASE_SECONDS), *options)
        made.append(one)
        return one.start()

    try:
        yield start
    finally:
        for one in made:
            one.end()


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


def test_api_server_that_is_killed_costs_no_answer(own_plane: ControlPlane, tmp_path: Path) -> None:
    """An answer of the broker that comes while there is no API server is written when there is one; watches go on, or begin anew."""
    seen = Catalog(own_plane.kubeconfig)
    seen.define()
    rights = account.kubeconfig(own_plane.kubeconfig, tmp_path / "kubeconfig")
    with started(rights, tmp_path) as start, contextlib.closing(scripted.Broker()) as broker:
        controller = start("--no-lease")
        with offers.registered(seen, broker):
            call = Held()
            broker.script(Call.PROVISION, call)
            offers.instance(seen, "during")
            assert call.arrived.wait(30)
            own_plane.kill_api()
            call.release()
            broker.wait_for(Call.PROVISION)
            own_plane.start_api_again()
            seen.wait_ready(INSTANCE, "during")
            assert len(broker.calls(Call.PROVISION)) == 1
            offers.instance(seen, "after")
            offers.binding(seen, "after", of="after")
            seen.wait_ready(BINDING, "after")
            # Kinds whose last change the new server does not remember were listed again.
            assert controller.metric("apb_controller_lists_total") > 10
        controller.stop()
        broker.assert_clean()
