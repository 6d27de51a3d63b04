"""An API server that dies, stands still, or has forgotten what happened: nothing is lost, and nothing done twice.

They have a control plane of their own, which they break and mend.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apb_controller.rules.answers import Call
from tests.brokers import scripted
from tests.brokers.scripted import Held, Slow, Started
from tests.cluster import account, control_plane, offers
from tests.cluster.catalog import Catalog
from tests.cluster.control_plane import ControlPlane
from tests.cluster.controllers import Controller, started
from tests.e2e.machine import wait

pytestmark = pytest.mark.cluster
INSTANCE, BINDING = "ServiceInstance", "ServiceBinding"
MANY = 20
LEASE_SECONDS = 3


@pytest.fixture(scope="module")
def plane(kubernetes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane of this file; in place of the one of all tests."""
    with control_plane.running(ControlPlane(tmp_path_factory.mktemp("cluster") / "plane"), kubernetes) as made:
        Catalog(made.kubeconfig).define()
        yield made


@pytest.fixture(scope="module")
def kubeconfig(plane: ControlPlane) -> Path:
    """Its administrator's."""
    return plane.kubeconfig


@pytest.fixture(scope="module")
def rights(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The controller's own account there."""
    return account.kubeconfig(plane.kubeconfig, tmp_path_factory.mktemp("account") / "kubeconfig")


@pytest.fixture
def controllers(rights: Path, tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    """Starts controllers, which all end with the test."""
    with started(rights, tmp_path) as start:
        yield start


def test_api_server_that_is_killed_costs_no_answer(
    plane: ControlPlane, space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """An answer of the broker that comes while there is no API server is written when there is one; watches go on, or begin anew."""
    controller = controllers("--no-lease")
    with offers.registered(space, broker):
        call = Held()
        broker.script(Call.PROVISION, call)
        offers.instance(space, "during")
        assert call.arrived.wait(30)
        plane.kill_api()
        call.release()
        broker.wait_for(Call.PROVISION)
        plane.start_api_again()
        space.wait_ready(INSTANCE, "during")
        assert len(broker.calls(Call.PROVISION)) == 1
        offers.instance(space, "after")
        offers.binding(space, "after", of="after")
        space.wait_ready(BINDING, "after")
        # Kinds whose last change the new server does not remember were listed again.
        assert controller.metric("apb_controller_lists_total") > 10
    controller.stop()


def test_operations_that_are_under_way_outlive_the_api_server(
    plane: ControlPlane, space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """Of many instances and bindings, some of which are asked for, some polled, some done: each is asked for once."""
    for call in (Call.PROVISION, Call.BIND):
        broker.script(call, Started(polls=2, retry_after=1), times=None)
    controllers("--no-lease", "--calls", "3")
    with offers.registered(space, broker):
        for number in range(MANY):
            offers.instance(space, f"one-{number}", offers.DATABASE)
            offers.binding(space, f"one-{number}", of=f"one-{number}")
        broker.wait_for(Call.BIND, 1)
        plane.restart_api()
        for number in range(MANY):
            space.wait_ready(BINDING, f"one-{number}")
        assert len(broker.calls(Call.PROVISION)) == len(broker.calls(Call.BIND)) == MANY
        broker.unscript()


TOO_OLD = {  # options of the API server, what it says
    "by the API server": ((), "too old resource version"),
    "by etcd": (("--watch-cache=false",), "The resourceVersion for the provided watch is too old"),
}


@pytest.mark.parametrize(("options", "words"), TOO_OLD.values(), ids=TOO_OLD)
def test_watch_that_is_too_old_begins_anew(
    plane: ControlPlane,
    space: Catalog,
    broker: scripted.Broker,
    controllers: Callable[..., Controller],
    options: tuple[str, ...],
    words: str,
) -> None:
    """410, for what happened is forgotten: what came, changed and went in the meantime is seen all the same."""
    controller = controllers("--no-lease")
    with offers.registered(space, broker):
        for name in ("changed", "gone"):
            offers.instance(space, name)
            offers.binding(space, name, of=name)
            space.wait_ready(BINDING, name)
        assert controller.process is not None
        lists = {kind: controller.metric("apb_controller_lists_total", kind=kind) for kind in (INSTANCE, BINDING, "Secret")}
        controller.process.send_signal(signal.SIGSTOP)
        plane.kill_api()
        plane.start_api_again(*options)
        offers.instance(space, "new")
        space.patch(INSTANCE, "changed", {"parameters": {"size": 2}})
        abandoned(space, broker, "gone")
        space.core.delete_namespaced_secret("changed", space.namespace)
        plane.compact()
        controller.process.send_signal(signal.SIGCONT)
        space.wait_ready(INSTANCE, "new")
        space.wait_reason(INSTANCE, "changed", "InstanceUpdatedSuccessfully")
        space.wait_gone(BINDING, "gone")
        assert all(controller.metric("apb_controller_lists_total", kind=kind) > count for kind, count in lists.items())
        assert words in controller.log.read_text()
        space.remove(BINDING, "changed")
    plane.kill_api()
    plane.start_api_again()


def abandoned(space: Catalog, broker: scripted.Broker, name: str) -> None:
    """The instance is gone, without its broker; its binding is being deleted."""
    found = space.get(INSTANCE, name)
    assert found
    place = ("servicecatalog.k8s.io", "v1beta1", space.namespace, "serviceinstances", name)
    space.objects.patch_namespaced_custom_object(*place, {"metadata": {"finalizers": None}}, _content_type="application/merge-patch+json")
    space.remove(INSTANCE, name)
    space.delete(BINDING, name)
    broker.ledger.bindings = {key: one for key, one in broker.ledger.bindings.items() if key[0] != found["spec"]["externalID"]}
    del broker.ledger.instances[found["spec"]["externalID"]]


@contextlib.contextmanager
def many_under_way(space: Catalog, broker: scripted.Broker) -> Iterator[None]:
    """Instances that are wanted, of which the broker has begun to make some."""
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, Slow(0.2), times=None)
        for number in range(MANY):
            offers.instance(space, f"one-{number}")
        broker.wait_for(Call.PROVISION, 3)
        yield
        broker.unscript()


def await_many(space: Catalog, broker: scripted.Broker) -> None:
    """Until each is ready; none was made twice."""
    for number in range(MANY):
        space.wait_ready(INSTANCE, f"one-{number}")
    assert len(broker.ledger.instances) == MANY == broker.ledger.creations


def test_leader_that_could_not_renew_its_lease_for_a_while_forgets_nothing(
    plane: ControlPlane, space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """What it was at when it did not know any more whether it leads is looked at again when it does."""
    controller = controllers("--lease-seconds", str(LEASE_SECONDS))
    with many_under_way(space, broker):
        with plane.api_standing_still():
            wait(lambda: controller.metric("apb_controller_leading") == 0, 4 * LEASE_SECONDS, "the end of its term")
        await_many(space, broker)
        assert controller.metric("apb_controller_leading") == 1


def test_leader_that_stood_still_for_a_while_forgets_nothing(
    space: Catalog, broker: scripted.Broker, controllers: Callable[..., Controller]
) -> None:
    """The same, of a process that got no time: nobody has taken its Lease, but it did not have it for a moment."""
    controller = controllers("--lease-seconds", str(LEASE_SECONDS))
    with many_under_way(space, broker):
        assert controller.process is not None
        controller.process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE_SECONDS)  # nothing happens that could be waited for
        controller.process.send_signal(signal.SIGCONT)
        await_many(space, broker)
        assert "the lease is lost" in controller.log.read_text()
