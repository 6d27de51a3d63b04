"""Removals that failed are tried again by the broker itself."""

from datetime import datetime

import pytest

from apb_broker.lifecycle import due, interventions, operations, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import REMOVE_AGAIN_SECONDS, Result
from tests import scenarios

DOWN = Result("failed", message="the host is down")


def last(broker: Broker) -> dict[str, object]:
    """The newest operation of all."""
    return views.operations(broker, instance_id=None, state=None, limit=1)[0]


def delay(broker: Broker) -> float:
    """Seconds from the end of the newest operation to its next try."""
    found = last(broker)
    return (datetime.fromisoformat(str(found["retry_at"])) - datetime.fromisoformat(str(found["finished_at"]))).total_seconds()


def let_time_pass(broker: Broker) -> None:
    """All that is to be tried again is due now; the sweep sees it."""
    with broker.database.unit() as unit:
        row = unit.operation(str(last(broker)["id"]))
        assert row is not None
        if row.retry_at is not None:
            row.retry_at = unit.now()
    due.serve(broker)


@pytest.mark.parametrize("kind", ["deprovision", "unbind"])
def test_failed_removal_is_tried_again_later_each_time_until_it_succeeds(broker: Broker, kind: str) -> None:
    """At first within minutes, then four times a day; operators see when."""
    scenarios.ready(broker, "i1")
    scenarios.bind(broker)
    scenarios.run(broker, scenarios.BOUND)
    scenarios.deprovision(broker) if kind == "deprovision" else scenarios.unbind(broker)
    for number in range(len(REMOVE_AGAIN_SECONDS) + 1):
        assert scenarios.run(broker, DOWN).kind == kind
        assert delay(broker) == pytest.approx(REMOVE_AGAIN_SECONDS[min(number, len(REMOVE_AGAIN_SECONDS) - 1)])
        due.serve(broker)
        assert operations.claim(broker, "w") is None  # not before its time
        let_time_pass(broker)
    assert last(broker)["retries"] == len(REMOVE_AGAIN_SECONDS) + 1
    scenarios.run(broker)
    let_time_pass(broker)
    assert operations.claim(broker, "w") is None
    assert not [one for one in views.operations(broker, instance_id=None, state=None, limit=50) if one["retry_at"]]


def test_canceled_removal_is_not_tried_again(broker: Broker) -> None:
    """Somebody wanted it to end."""
    scenarios.ready(broker, "i1")
    removal = scenarios.deprovision(broker)
    interventions.cancel(broker, scenarios.ANN, removal.operation_id or "")
    assert last(broker)["retry_at"] is None


def test_forgotten_instance_is_not_tried_again(broker: Broker) -> None:
    """Its removal is over."""
    scenarios.ready(broker, "i1")
    scenarios.deprovision(broker)
    scenarios.run(broker, DOWN)
    interventions.forget(broker, scenarios.ANN, "i1")
    assert last(broker)["retry_at"] is None


def test_failed_unbind_waits_while_its_instance_is_busy(broker: Broker) -> None:
    """And it is not tried behind the back of another request for it."""
    scenarios.ready(broker, "i1")
    scenarios.bind(broker)
    scenarios.run(broker, scenarios.BOUND)
    scenarios.unbind(broker)
    scenarios.run(broker, DOWN)
    failed = last(broker)["id"]
    with broker.database.unit() as unit:
        row = unit.operation(str(failed))
        assert row is not None
        row.retry_at = unit.now()
    scenarios.update(broker, parameters={"memory": 2})
    due.serve(broker)
    assert scenarios.run(broker).kind == "update"
    assert operations.claim(broker, "w") is None
    assert views.operation(broker, str(failed))["retry_at"] is not None


def test_failed_removal_that_is_asked_for_again_is_tried_once(broker: Broker) -> None:
    """The platform's own request takes its place."""
    scenarios.ready(broker, "i1")
    scenarios.deprovision(broker)
    scenarios.run(broker, DOWN)
    failed = last(broker)["id"]
    scenarios.deprovision(broker)
    with broker.database.unit() as unit:
        row = unit.operation(str(failed))
        assert row is not None
        row.retry_at = unit.now()
    due.serve(broker)
    scenarios.run(broker)
    assert operations.claim(broker, "w") is None
