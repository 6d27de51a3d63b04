"""Bindings that follow others, and bindings that end by themselves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from apb_broker.lifecycle import bindings, due, errors, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.conftest import CONFIG

EXPIRY = "targets: [local], binding_expiry: {after_seconds: 3600, renew_seconds: 600}}]"


@pytest.fixture
def expiring(make_broker: Callable[[str], Broker], tmp_path: object) -> Broker:
    """A broker whose bindings are valid for an hour."""
    return make_broker(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", EXPIRY))


def bound(broker: Broker, binding_id: str = "b1", **changes: object) -> None:
    """A binding that is made."""
    scenarios.bind(broker, binding_id=binding_id, **changes)
    scenarios.run(broker, scenarios.BOUND)


def rotate(broker: Broker, predecessor: str, binding_id: str) -> None:
    """Asks for a successor, by the short form of the request."""
    scenarios.bind(broker, binding_id=binding_id, service_id=None, plan_id=None, predecessor=predecessor)


def end_of_time(broker: Broker, binding_id: str = "b1") -> None:
    """Makes the binding's time be over."""
    with broker.database.engine.begin() as connection:
        connection.execute(text("UPDATE bindings SET expires_at = now() - interval '1 s' WHERE id = :id"), {"id": binding_id})


def ids_of(broker: Broker) -> list[str]:
    with broker.database.unit() as unit:
        return [row.id for row in unit.bindings("i1")]


def test_successor_has_an_account_of_its_own_and_its_predecessors_parameters(broker: Broker) -> None:
    """Both are valid side by side; the role sees the first as a live binding while it makes the second."""
    scenarios.ready(broker, "i1")
    bound(broker, parameters={"access": "read"})
    rotate(broker, "b1", "b2")
    work = scenarios.claim(broker)
    made, live = work.variables["apb_binding"], work.variables["apb_bindings"]
    assert made["parameters"] == {"access": "read"}
    assert [one["id"] for one in live] == ["b1"]
    assert (made["username"], made["password"]) != (live[0]["username"], live[0]["password"])


def test_rotation_sent_again_is_the_same_also_without_its_predecessor(broker: Broker) -> None:
    """A platform that never got the answer asks again; meanwhile somebody unbound the old one."""
    scenarios.ready(broker, "i1")
    bound(broker)
    rotate(broker, "b1", "b2")
    scenarios.run(broker, scenarios.BOUND)
    scenarios.unbind(broker)
    scenarios.run(broker)
    again = scenarios.bind(broker, binding_id="b2", service_id=None, plan_id=None, predecessor="b1")
    assert (again.operation_id, again.created) == (None, False)


def test_rotation_needs_a_valid_predecessor(expiring: Broker) -> None:
    """Unknown, of another instance, failed, expired: refused before anything is written."""
    scenarios.ready(expiring, "i1")
    scenarios.ready(expiring, "i2")
    bound(expiring)
    scenarios.bind(expiring, binding_id="failed")
    scenarios.run(expiring, Result("failed", message="no"))
    end_of_time(expiring)
    for instance_id, predecessor in [("i1", "nobody"), ("i2", "b1"), ("i1", "failed"), ("i1", "b1")]:
        with pytest.raises(errors.Invalid, match=f"predecessor_binding_id: the instance has no valid binding {predecessor}"):
            scenarios.bind(expiring, instance_id, "new", predecessor=predecessor)
    assert ids_of(expiring) == ["b1", "failed"]


def test_time_of_a_binding_begins_when_it_is_handed_out(expiring: Broker) -> None:
    """As long as the operator says, and it should be renewed before; in the form the protocol asks for."""
    scenarios.ready(expiring, "i1")
    bound(expiring)
    told = bindings.fetch(expiring, scenarios.ANN, "i1", "b1")["metadata"]
    expires, renew = (datetime.strptime(told[name], "%Y-%m-%dT%H:%M:%S.0Z").replace(tzinfo=UTC) for name in ("expires_at", "renew_before"))
    assert expires - renew == timedelta(minutes=10)
    assert abs(expires - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=5)


def test_binding_whose_time_is_over_is_unbound_once(expiring: Broker) -> None:
    """By the broker itself; its credentials are gone with it, its successor stays."""
    scenarios.ready(expiring, "i1")
    bound(expiring)
    rotate(expiring, "b1", "b2")
    scenarios.run(expiring, scenarios.BOUND)
    assert bindings.unbind_expired(expiring) == 0
    end_of_time(expiring)
    assert [bindings.unbind_expired(expiring) for _ in range(2)] == [1, 0]
    assert scenarios.run(expiring).kind == "unbind"
    assert ids_of(expiring) == ["b2"]


def test_binding_whose_time_is_over_waits_for_its_instance(expiring: Broker) -> None:
    """An update in progress is not disturbed; afterwards the binding goes."""
    scenarios.ready(expiring, "i1", parameters={"memory": 0.5})
    bound(expiring)
    end_of_time(expiring)
    scenarios.update(expiring, parameters={"memory": 0.6})
    assert bindings.unbind_expired(expiring) == 0
    scenarios.run(expiring)
    assert bindings.unbind_expired(expiring) == 1


def test_failed_removal_of_an_expired_binding_is_the_janitors(expiring: Broker) -> None:
    """Not tried in each sweep; a server that stays away must not fill the queue."""
    scenarios.ready(expiring, "i1")
    bound(expiring)
    end_of_time(expiring)
    due.serve(expiring)
    scenarios.run(expiring, Result("failed", message="the server does not answer"))
    due.serve(expiring)
    assert operations.claim(expiring, "w") is None
    with expiring.database.engine.begin() as connection:
        connection.execute(text("UPDATE operations SET retry_at = now() WHERE retry_at IS NOT NULL"))
    due.serve(expiring)
    assert scenarios.run(expiring).kind == "unbind"
