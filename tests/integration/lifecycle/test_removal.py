"""Removals: whatever is in progress on an instance is halted, and the removal comes after its end."""

import pytest

from apb_broker.lifecycle import bindings, errors, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios


def halt(broker: Broker, work: operations.Work) -> None:
    """What a worker does when its renewal says that the operation is to be canceled."""
    assert operations.renew(broker, {work.operation_id: work.epoch}) == {work.operation_id: True}
    assert operations.finish(broker, work.operation_id, work.epoch, Result("canceled"))


def test_deprovision_halts_a_running_update(broker: Broker) -> None:
    """The update ends first, as failed; then the instance goes."""
    scenarios.ready(broker, "i1")
    change = scenarios.update(broker, parameters={"memory": 2})
    work = scenarios.claim(broker)
    removal = scenarios.deprovision(broker)
    assert operations.claim(broker, "worker-2") is None
    halt(broker, work)
    assert scenarios.state(broker, change.operation_id) == "failed"
    assert scenarios.run(broker).operation_id == removal.operation_id
    with broker.database.unit() as unit:
        assert unit.instance("i1") is None


def test_update_that_is_being_halted_is_not_accepted_again(broker: Broker) -> None:
    """Sent once more, it is no re-send of what goes on: the instance is being removed."""
    scenarios.ready(broker, "i1")
    scenarios.update(broker, parameters={"memory": 2})
    scenarios.claim(broker)
    scenarios.deprovision(broker)
    with pytest.raises(errors.Busy, match="deprovision"):
        scenarios.update(broker, parameters={"memory": 2})


def test_deprovision_waits_for_every_binding_that_is_made(broker: Broker) -> None:
    """Several run side by side; the removal is begun after the last of them, one that succeeded all the same included."""
    scenarios.ready(broker, "i1")
    for binding_id in ("b1", "b2", "b3"):
        scenarios.bind(broker, "i1", binding_id)
    one, two = scenarios.claim(broker), scenarios.claim(broker)
    removal = scenarios.deprovision(broker)
    with broker.database.unit() as unit:
        queued = unit.last_operation("i1", "b3")
        assert queued is not None
        assert (queued.state, queued.error) == ("failed", "canceled: the instance is to be removed")
    halt(broker, one)
    assert operations.claim(broker, "worker-2") is None
    assert operations.finish(broker, two.operation_id, two.epoch, scenarios.BOUND)
    assert scenarios.run(broker).operation_id == removal.operation_id


def test_deprovision_of_a_queued_update_leaves_nothing_to_wait_for(broker: Broker) -> None:
    """What nobody has begun ends at once, and gives back what it reserved."""
    scenarios.ready(broker, "i1")
    change = scenarios.update(broker, parameters={"memory": 2})
    removal = scenarios.deprovision(broker)
    assert scenarios.state(broker, change.operation_id) == "failed"
    assert scenarios.run(broker).operation_id == removal.operation_id


def test_binding_whose_credentials_are_refused_is_not_undone_on_an_instance_that_goes(broker: Broker) -> None:
    """Its account goes with the instance: nothing is queued behind the removal."""
    scenarios.ready(broker, "i1")
    scenarios.bind(broker)
    work = scenarios.claim(broker)
    removal = scenarios.deprovision(broker)
    assert operations.finish(broker, work.operation_id, work.epoch, Result("succeeded", {"credentials": {}}))
    assert scenarios.run(broker).operation_id == removal.operation_id
    assert operations.claim(broker, "worker-1") is None


@pytest.mark.parametrize("halted", ["bind", "unbind"])
def test_unbind_waits_for_its_own_binding_only(broker: Broker, halted: str) -> None:
    """Other bindings of the instance proceed meanwhile."""
    scenarios.ready(broker, "i1")
    scenarios.bind(broker)
    work = scenarios.claim(broker)
    if halted == "unbind":
        assert operations.finish(broker, work.operation_id, work.epoch, scenarios.BOUND)
        scenarios.unbind(broker)
        work = scenarios.claim(broker)
    removal = scenarios.unbind(broker)
    other = scenarios.bind(broker, binding_id="b2")
    assert scenarios.run(broker, scenarios.BOUND).operation_id == other.operation_id
    assert operations.claim(broker, "worker-2") is None
    if halted == "bind":
        halt(broker, work)
        assert scenarios.run(broker).operation_id == removal.operation_id
    else:
        assert removal.operation_id == work.operation_id


def test_binding_that_failed_is_not_tried_again_on_an_instance_whose_removal_failed(broker: Broker) -> None:
    """It was halted for the removal: asked for again it is refused, as a new one is."""
    scenarios.ready(broker, "i1")
    scenarios.bind(broker)
    scenarios.deprovision(broker)
    scenarios.run(broker, Result("failed", message="the host is down"))
    for binding_id in ("b1", "b2"):
        with pytest.raises(errors.Unsupported, match="is failed, so nothing can be bound to it"):
            scenarios.bind(broker, binding_id=binding_id)


def test_binding_that_was_never_made_is_not_found_while_it_is_removed(broker: Broker) -> None:
    """There are no credentials yet that could be shown."""
    scenarios.ready(broker, "i1")
    scenarios.bind(broker)
    scenarios.unbind(broker)
    with pytest.raises(errors.NotFound):
        bindings.fetch(broker, scenarios.ANN, "i1", "b1")
