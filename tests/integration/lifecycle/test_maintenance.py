"""Maintenance versions: an instance keeps its own until an update takes it to the catalog's (OSB 2.17, "Maintenance Info")."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from apb_broker.lifecycle import errors, instances
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios

Release = Callable[[str], Broker]


@pytest.fixture
def release(make_broker: Callable[[str], Broker], tmp_path: Path) -> Release:
    """The broker after the role was raised to a maintenance version, which takes another file of settings with it."""

    def make(version: str) -> Broker:
        config = boxes.write(tmp_path)
        meta = tmp_path / "services/box/meta/service.yml"
        raised = {**boxes.SERVICE, "maintenance": {"version": version, "description": "New files"}}
        meta.write_text(yaml.safe_dump(raised, sort_keys=False, allow_unicode=True))
        return make_broker(config)

    return make


def version_of(broker: Broker) -> str:
    """What the instance is at, as platforms are told."""
    found: str = instances.fetch(broker, scenarios.ANN, "i1")["maintenance_info"]["version"]
    return found


def maintain(broker: Broker, version: str) -> str | None:
    """Asks for maintenance; the operation, or None when there is nothing to do."""
    return scenarios.update(broker, "i1", service_id=boxes.ids("small")["service_id"], maintenance_version=version).operation_id


def test_update_to_the_new_version_runs_the_role_again(release: Release) -> None:
    """Once: afterwards the instance has it, and asking again has nothing to do."""
    scenarios.ready(release("1.0.0"), "i1", **boxes.ids("small"), maintenance_version="1.0.0")
    broker = release("1.1.0")
    assert version_of(broker) == "1.0.0"
    accepted = maintain(broker, "1.1.0")
    assert maintain(broker, "1.1.0") == accepted is not None
    assert scenarios.run(broker).kind == "update"
    assert version_of(broker) == "1.1.0"
    assert maintain(broker, "1.1.0") is None


def test_update_that_fails_leaves_the_old_version(release: Release) -> None:
    """It can be asked for again."""
    scenarios.ready(release("1.0.0"), "i1", **boxes.ids("small"))
    broker = release("1.1.0")
    maintain(broker, "1.1.0")
    scenarios.run(broker, Result("failed", message="no"))
    assert version_of(broker) == "1.0.0"
    assert maintain(broker, "1.1.0") is not None


def test_other_updates_leave_the_version_as_it_is(release: Release) -> None:
    """Without a version the instance keeps its own, also when the catalog has a newer one."""
    scenarios.ready(release("1.0.0"), "i1", **boxes.ids("small"))
    broker = release("1.1.0")
    scenarios.update(broker, "i1", service_id=boxes.ids("small")["service_id"], parameters={"memory": 2})
    scenarios.run(broker)
    assert version_of(broker) == "1.0.0"


@pytest.mark.parametrize("asked", ["1.0.0", "2.0.0"])
def test_version_that_is_not_the_catalogs_is_a_conflict(release: Release, asked: str) -> None:
    """For a new instance, for an update, and for a change of plan; the catalog's is named."""
    scenarios.ready(release("1.0.0"), "i1", **boxes.ids("small"))
    broker = release("1.1.0")
    with pytest.raises(errors.MaintenanceConflict, match=r"plan small is at 1\.1\.0"):
        maintain(broker, asked)
    with pytest.raises(errors.MaintenanceConflict, match=r"plan large is at 1\.1\.0"):
        scenarios.update(broker, "i1", **boxes.ids("large"), maintenance_version=asked)
    with pytest.raises(errors.MaintenanceConflict):
        scenarios.provision(broker, "i2", **boxes.ids("small"), maintenance_version=asked)
