"""Health: looks are taken when nothing else is to be done, stand in nobody's way, and leave nothing but how the instance is."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apb_broker.lifecycle import audit, errors, fleet, health, instances, interventions, operations, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work
from apb_broker.lifecycle.outcomes import Result
from apb_broker.storage.tables import Health
from tests import scenarios
from tests.conftest import CONFIG

ILL = Result("failed", {"drift": ["account b1 is missing", "maxmemory is 1, not 2"]}, message="Task 'X' failed: …")


@pytest.fixture
def make(make_broker: Callable[[str], Broker], tmp_path: Path) -> Callable[..., Broker]:
    """A broker with these settings."""

    def broker(**settings: Any) -> Broker:
        lines = "".join(f"  {name}: {value}\n" for name, value in {"verify_every_seconds": 600, **settings}.items())
        return make_broker(CONFIG.format(directory=tmp_path) + f"settings:\n{lines}")

    return broker


def make_due(broker: Broker, instance_id: str = "i1") -> None:
    """Its time has come."""
    health.enroll(broker)
    with broker.database.unit() as unit:
        row = health.health.find(unit, instance_id)
        assert row is not None
        row.due_at = unit.now()


def look(broker: Broker, result: Result) -> health.Change | None:
    """A look that ends so."""
    make_due(broker)
    return health.finish(broker, claimed(broker), result)


def claimed(broker: Broker) -> Work:
    """The look that is due."""
    work = health.claim(broker, "worker-1")
    assert work is not None, "no look is due"
    return work


def view(broker: Broker) -> dict[str, Any]:
    """How the instance is."""
    found: dict[str, Any] = views.instance(broker, "i1")["health"]
    return found


def end_repair(broker: Broker, result: Result = scenarios.SUCCESS) -> None:
    """The repair that is queued ends so."""
    assert scenarios.run(broker, result).kind == "repair"


def test_new_instance_is_looked_at_by_itself(make: Callable[..., Broker]) -> None:
    """From when it is ready on, at some time within the interval; not before, and not where nothing is looked at."""
    broker = make()
    scenarios.provision(broker)
    assert row_of(broker) is None
    scenarios.run(broker)
    row = row_of(broker)
    with broker.database.unit() as unit:
        assert row is not None and timedelta(0) <= row.due_at - unit.now() + timedelta(seconds=5) <= timedelta(seconds=605)
    off = make(verify_every_seconds=0)
    scenarios.ready(off, "i2")
    assert row_of(off, "i2") is None


def test_instances_that_nobody_looks_at_are_enrolled(make: Callable[..., Broker]) -> None:
    """Those that became ready while nothing was looked at; what is not ready is left."""
    off = make(verify_every_seconds=0)
    scenarios.ready(off, "i1")
    scenarios.provision(off, "i2")
    health.enroll(make())
    assert row_of(off, "i1") is not None and row_of(off, "i2") is None


def row_of(broker: Broker, instance_id: str = "i1") -> Health | None:
    """When an instance is to be looked at, if it is."""
    with broker.database.unit() as unit:
        return health.health.find(unit, instance_id)


def test_look_leaves_nothing_but_how_the_instance_is(make: Callable[..., Broker]) -> None:
    """Well, then ill: told once, in the audit too; operations and figures of them know nothing of it."""
    broker = make()
    scenarios.ready(broker, "i1")
    before = operations.status(broker, scenarios.ANN, "i1", None, None), len(fleet.figures(broker).ended)
    assert fleet.figures(broker).instances == (("redis", "redis-standard", "unknown", 1),)
    assert look(broker, scenarios.SUCCESS) == health.Change("i1", "unknown", "ok", "")
    assert look(broker, scenarios.SUCCESS) is None
    assert look(broker, ILL) == health.Change("i1", "ok", "failing", "account b1 is missing; maxmemory is 1, not 2")
    found = view(broker)
    assert (found["status"], found["drift"]) == ("failing", ILL.published["drift"])
    assert found["since"] == found["checked_at"]
    assert look(broker, ILL) is None
    assert view(broker)["since"] == found["since"]
    assert (operations.status(broker, scenarios.ANN, "i1", None, None), len(fleet.figures(broker).ended)) == before
    assert len(views.operations(broker, instance_id="i1", state=None, limit=10)) == 1
    assert [entry["detail"] for entry in audit.read(broker, instance_id="i1", before=None, limit=10) if entry["action"] == "health"][
        :2
    ] == [
        "ok, now failing: account b1 is missing; maxmemory is 1, not 2",
        "unknown, now ok",
    ]
    assert fleet.figures(broker).instances == (("redis", "redis-standard", "failing", 1),)
    attributes = instances.fetch(broker, scenarios.ANN, "i1")["metadata"]["attributes"]
    assert (attributes["health"], attributes["health_since"]) == ("failing", found["since"])


@pytest.mark.parametrize("result", [Result("failed", {"unreachable": "no way"}), Result("failed", message="no way", transient=True)])
def test_instance_that_cannot_be_looked_at_is_unknown(make: Callable[..., Broker], result: Result) -> None:
    """A host out of reach says nothing about what is on it."""
    broker = make()
    scenarios.ready(broker, "i1")
    look(broker, scenarios.SUCCESS)
    assert look(broker, result) == health.Change("i1", "ok", "unknown", "no way")


def test_look_is_not_begun_while_anything_is_in_progress(make: Callable[..., Broker]) -> None:
    """Nor for an instance that is not ready, nor twice at a time, nor ever where it is switched off."""
    broker = make()
    scenarios.ready(broker, "i1")
    make_due(broker)
    scenarios.bind(broker)
    assert health.claim(broker, "worker-1") is None
    scenarios.run(broker, scenarios.BOUND)
    work = claimed(broker)
    assert [binding["username"] for binding in work.variables["apb_bindings"]]
    assert health.claim(broker, "worker-2") is None
    assert health.finish(broker, work, scenarios.SUCCESS) is not None
    make_due(broker)
    off = make(verify_every_seconds=0)
    assert health.claim(off, "worker-1") is None


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("ask", [scenarios.bind, scenarios.deprovision, lambda broker: scenarios.update(broker, parameters={"memory": 2})])
def test_look_stands_in_nobodys_way_and_is_thrown_away(make: Callable[..., Broker], ask: Callable[[Broker], Any], ends: bool) -> None:
    """What is accepted meanwhile is claimed at once, the look is to be halted, and what it found says nothing."""
    broker = make()
    scenarios.ready(broker, "i1")
    make_due(broker)
    work = claimed(broker)
    assert health.renew(broker, {"i1": work.epoch}) == {"i1": False}
    accepted = ask(broker)
    assert health.renew(broker, {"i1": work.epoch}) == {"i1": True}
    asked = scenarios.claim(broker)
    assert asked.operation_id == accepted.operation_id
    if ends:
        assert operations.finish(broker, asked.operation_id, asked.epoch, Result("failed", message="no"))
    assert health.finish(broker, work, ILL) is None
    assert view(broker)["status"] == "unknown"


def test_look_of_a_lost_worker_is_taken_by_another(make: Callable[..., Broker]) -> None:
    """And what the first one says after that does not count."""
    broker = make(lease_seconds=0.001)
    scenarios.ready(broker, "i1")
    make_due(broker)
    first, second = claimed(broker), claimed(broker)
    assert health.finish(broker, first, ILL) is None
    assert health.finish(broker, second, scenarios.SUCCESS) == health.Change("i1", "unknown", "ok", "")


def test_failing_instance_is_only_reported_unless_told_otherwise(make: Callable[..., Broker]) -> None:
    """With `off` not even that."""
    broker = make()
    scenarios.ready(broker, "i1")
    assert look(broker, ILL) is not None
    assert operations.claim(broker, "worker-1") is None
    silent = make(repair="off")
    assert look(silent, scenarios.SUCCESS) is None
    assert view(silent)["status"] == "ok"


def test_failing_instance_is_provisioned_again_until_it_is_well(make: Callable[..., Broker]) -> None:
    """With its parameters and accounts; platforms see nothing of it, and a failure of it leaves the instance ready."""
    broker = make(repair="run-again")
    scenarios.ready(broker, "i1", parameters={"memory": 2})
    scenarios.bind(broker)
    scenarios.run(broker, scenarios.BOUND)
    look(broker, ILL)
    work = scenarios.claim(broker)
    assert (work.kind, work.variables["apb_action"], work.variables["apb_parameters"]["memory"]) == ("repair", "provision", 2)
    assert len(work.variables["apb_bindings"]) == 1
    assert operations.status(broker, scenarios.ANN, "i1", None, None)["kind"] == "provision"
    assert operations.finish(broker, work.operation_id, work.epoch, Result("failed", message="no"))
    assert views.instance(broker, "i1")["state"] == "ready"
    assert health.finish(broker, claimed(broker), scenarios.SUCCESS) is not None  # it is looked at at once
    assert (view(broker)["status"], view(broker)["repairs"]) == ("ok", 0)


def test_repair_waits_longer_each_time_and_is_given_up(make: Callable[..., Broker]) -> None:
    """Then health says so; an operator may still have it tried again."""
    broker = make(repair="run-again", repair_attempts=2)
    scenarios.ready(broker, "i1")
    look(broker, ILL)
    end_repair(broker)
    look(broker, ILL)
    assert operations.claim(broker, "worker-1") is None
    assert view(broker)["next_repair_at"] is not None
    with broker.database.unit() as unit:
        row = health.health.find(unit, "i1")
        assert row is not None
        row.repair_at = unit.now()
    look(broker, ILL)
    end_repair(broker, Result("failed", message="no"))
    look(broker, ILL)
    assert operations.claim(broker, "worker-1") is None
    assert "repaired 2 times without success" in view(broker)["message"]
    last = views.instance(broker, "i1")["operation"]["id"]
    assert interventions.retry(broker, scenarios.ANN, last)["kind"] == "repair"
    with pytest.raises(errors.Busy):
        scenarios.bind(broker)
    end_repair(broker)


def test_offer_says_otherwise_than_the_settings(make_broker: Callable[[str], Broker], tmp_path: Path) -> None:
    """What is done about failing instances is said for each plan, where it is."""
    config = CONFIG.format(directory=tmp_path).replace("targets: [local]}]", "targets: [local], repair: run-again}]")
    broker = make_broker(config)
    scenarios.ready(broker, "i1")
    look(broker, ILL)
    end_repair(broker)
