"""Protection from deletion: whose word counts, and what it never stands in the way of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker.lifecycle import audit, errors, interventions, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from apb_broker.lifecycle.requests import Caller
from tests import boxes, scenarios
from tests.conftest import CONFIG

OPERATOR = Caller("ops", "ops")


@pytest.fixture
def guarded(make_broker: Callable[[str], Broker], tmp_path: Path) -> Broker:
    """A broker whose plan is protected."""
    return make_broker(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", "targets: [local], deletion_protection: true}]"))


def set_word(broker: Broker, *, protected: bool, instance_id: str = "i1") -> None:
    """What `apb protect` and `apb unprotect` do."""
    interventions.protect(broker, OPERATOR, instance_id, protected=protected)


def test_protected_plan_refuses_its_platform_and_changes_nothing(guarded: Broker) -> None:
    """The sentence says by whom, and who lifts it how."""
    scenarios.ready(guarded, "i1")
    with pytest.raises(errors.Protected, match=r"by its plan redis-standard.*An operator lifts that by `apb unprotect i1`"):
        scenarios.deprovision(guarded)
    assert operations.claim(guarded, "worker-1") is None
    set_word(guarded, protected=False)
    assert scenarios.deprovision(guarded).created


def test_operators_word_about_an_instance_wins_over_the_plans(broker: Broker) -> None:
    """A plan that protects nothing has an instance that is protected, until that is taken back; the audit says who did it."""
    scenarios.ready(broker, "i1")
    set_word(broker, protected=True)
    with pytest.raises(errors.Protected, match="by an operator"):
        scenarios.deprovision(broker)
    set_word(broker, protected=False)
    assert scenarios.deprovision(broker).created
    newest = audit.read(broker, instance_id="i1", before=None, limit=3)
    assert [(one["action"], one["principal"]) for one in newest] == [("deprovision", "admin"), ("unprotect", "ops"), ("protect", "ops")]


def test_provision_that_never_succeeded_is_not_protected(guarded: Broker) -> None:
    """What a platform gave up on can be cleared away, while it is made and when it failed (OSB 2.17, "Orphan Mitigation")."""
    scenarios.provision(guarded, "i1")
    scenarios.deprovision(guarded, "i1")
    scenarios.run(guarded)
    scenarios.provision(guarded, "i2")
    scenarios.run(guarded, Result("failed", message="no"))
    assert scenarios.deprovision(guarded, "i2").created


def test_removal_that_was_accepted_is_not_refused_when_sent_again(broker: Broker) -> None:
    """It is the same operation; protection comes too late for it, and says so."""
    scenarios.ready(broker, "i1")
    first = scenarios.deprovision(broker)
    with pytest.raises(errors.Unsupported, match=f"is being removed already \\(operation {first.operation_id}\\): cancel that first"):
        set_word(broker, protected=True)
    assert scenarios.deprovision(broker).operation_id == first.operation_id


def test_protection_stands_in_nobody_elses_way(guarded: Broker) -> None:
    """Bindings, updates and the operator's own hand go on."""
    scenarios.ready(guarded, "i1")
    scenarios.bind(guarded)
    scenarios.run(guarded, scenarios.BOUND)
    scenarios.unbind(guarded)
    scenarios.run(guarded)
    scenarios.update(guarded, parameters={"memory": 2})
    scenarios.run(guarded)
    set_word(guarded, protected=False)
    removal = scenarios.deprovision(guarded).operation_id
    scenarios.run(guarded, Result("failed", message="the host is gone"))
    set_word(guarded, protected=True)
    interventions.retry(guarded, OPERATOR, removal or "")
    scenarios.run(guarded, Result("failed", message="the host is gone"))
    interventions.forget(guarded, OPERATOR, "i1")
    with guarded.database.unit() as unit:
        assert unit.instance("i1") is None


def test_change_of_plan_changes_the_protection(make_broker: Callable[[str], Broker], tmp_path: Path) -> None:
    """It is that of the plan the instance has, from the end of the update on."""
    broker = make_broker(boxes.write(tmp_path).replace("plan: box/small,", "plan: box/small, deletion_protection: true,"))
    scenarios.ready(broker, "i1", **boxes.ids("small"))
    scenarios.update(broker, plan_id=boxes.ids("large")["plan_id"])
    with pytest.raises(errors.Protected):
        scenarios.deprovision(broker)
    scenarios.run(broker)
    assert scenarios.deprovision(broker).created


def test_protection_of_an_unknown_instance_is_not_found(broker: Broker) -> None:
    """There is nothing to protect."""
    with pytest.raises(errors.NotFound):
        set_word(broker, protected=True, instance_id="none")
