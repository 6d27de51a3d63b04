"""From one plan to another that keeps the data; and instances whose plan is not offered any more."""

from typing import Any

import pytest

from apb_broker.lifecycle import errors, instances
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios

BOUND = Result("succeeded", {"credentials": {"port": 31000}})


def ready(broker: Broker, plan: str = "small", **parameters: Any) -> None:
    """i1, provisioned."""
    scenarios.ready(broker, "i1", **boxes.ids(plan), parameters=parameters)


def change(broker: Broker, plan: str, **parameters: Any) -> Any:
    """Asks for another plan."""
    return scenarios.update(broker, "i1", **boxes.ids(plan), parameters=parameters)


def test_update_to_another_plan_gets_its_limits_and_names_both(box_broker: Broker) -> None:
    """What the old plan refused the new one takes; the role learns where it comes from."""
    ready(box_broker, label="mine")
    change(box_broker, "large", memory=3)
    work = scenarios.claim(box_broker)
    assert (work.variables["apb_plan"], work.variables["apb_previous"]["plan"]) == ("large", "small")
    assert work.variables["apb_parameters"] == {"memory": 3, "label": "mine", "copies": 1}
    assert instances.operations.finish(box_broker, work.operation_id, work.epoch, scenarios.SUCCESS)
    assert instances.fetch(box_broker, scenarios.ANN, "i1")["plan_id"] == boxes.ids("large")["plan_id"]
    with pytest.raises(errors.Unsupported, match="large does not change to small; it changes to: no other plan"):
        change(box_broker, "small")


def test_update_to_another_plan_that_fails_leaves_the_old_one(box_broker: Broker) -> None:
    """OSB 2.17, "Updating": a failing update applies nothing."""
    ready(box_broker)
    change(box_broker, "large", memory=3)
    scenarios.run(box_broker, Result("failed", message="no"))
    found = instances.fetch(box_broker, scenarios.ANN, "i1")
    assert (found["plan_id"], found["parameters"]["memory"]) == (boxes.ids("small")["plan_id"], 1)


def test_update_again_is_the_same_only_with_the_same_plan(box_broker: Broker) -> None:
    """A re-send gets the same operation; the same parameters with another plan are another update."""
    ready(box_broker)
    first = change(box_broker, "large")
    assert change(box_broker, "large").operation_id == first.operation_id
    with pytest.raises(errors.Busy, match="another update"):
        change(box_broker, "small", label="x")


def test_update_to_a_plan_of_other_targets_is_refused(box_broker: Broker) -> None:
    """An update moves nothing."""
    ready(box_broker)
    with pytest.raises(errors.Unsupported, match="triple is not offered on target one, where the instance is"):
        change(box_broker, "triple")


def test_update_that_changes_the_number_of_copies_is_refused(make_broker: Any, tmp_path: Any) -> None:
    """Named as what is missing, not tried and half done."""
    broker = make_broker(boxes.write(tmp_path).replace("box/triple, mode: host, targets: [two]", "box/triple, mode: host, targets: [one]"))
    ready(broker)
    with pytest.raises(errors.Unsupported, match="the number of copies stays 1: an update does not make it 3"):
        change(broker, "triple")


def test_secret_that_a_tenant_changes_is_kept_on_success_only(box_broker: Broker) -> None:
    """The role is given the new one, a failure leaves the old one."""
    ready(box_broker, key="first")

    def stored() -> Any:
        with box_broker.database.unit() as unit:
            row = unit.instance("i1")
            assert row is not None
            return row.secrets["key"]

    scenarios.update(box_broker, "i1", service_id=boxes.ids("small")["service_id"], parameters={"key": "second"})
    work = scenarios.claim(box_broker)
    assert work.variables["apb_instance"]["secrets"]["key"] == "second"
    assert {"first", "second"} <= set(work.secrets)
    instances.operations.finish(box_broker, work.operation_id, work.epoch, Result("failed", message="no"))
    assert stored() == "first"
    scenarios.update(box_broker, "i1", service_id=boxes.ids("small")["service_id"], parameters={"key": "second"})
    scenarios.run(box_broker)
    assert stored() == "second"


def test_late_connection_fields_stay_through_an_update(box_broker: Broker) -> None:
    """What the role told once it need not tell again."""
    scenarios.provision(box_broker, "i1", **boxes.ids("small"))
    scenarios.run(box_broker, Result("succeeded", {"connection": {"ipv4": "192.0.2.99"}}))
    scenarios.update(box_broker, "i1", service_id=boxes.ids("small")["service_id"], parameters={"memory": 2})
    scenarios.run(box_broker)
    assert instances.fetch(box_broker, scenarios.ANN, "i1")["connection"] == {"host": "192.0.2.1", "port": 31000, "ipv4": "192.0.2.99"}


def test_connection_field_that_was_not_announced_fails_the_operation(box_broker: Broker) -> None:
    """The author of the role learns it in the first run."""
    accepted = scenarios.provision(box_broker, "i1", **boxes.ids("small"))
    scenarios.run(box_broker, Result("succeeded", {"connection": {"ipv6": "::1"}}))
    with box_broker.database.unit() as unit:
        row = unit.operation(accepted.operation_id or "")
        assert row is not None
        assert "published connection field 'ipv6', which is not named there: ipv4" in row.error


def test_plan_taken_out_of_the_offer_stays_usable(make_broker: Any, tmp_path: Any) -> None:
    """No new instances; those that are there are updated, bound, unbound and removed as before."""
    config = boxes.write(tmp_path)
    broker = make_broker(config)
    ready(broker)
    without = make_broker(config.replace("  - {plan: box/small, mode: host, targets: [one, two]}\n", ""))
    with pytest.raises(Exception, match="is not a plan of service box"):
        scenarios.provision(without, "i2", **boxes.ids("small"))
    scenarios.update(without, "i1", service_id=boxes.ids("small")["service_id"], parameters={"memory": 2})
    scenarios.run(without)
    scenarios.bind(without, **boxes.ids("small"))
    scenarios.run(without, BOUND)
    scenarios.unbind(without)
    scenarios.run(without)
    scenarios.deprovision(without)
    scenarios.run(without)
    with without.database.unit() as unit:
        assert unit.instance("i1") is None
