"""Maintenance versions: what a plan is at, what an instance is at, and who believes what (OSB 2.17, "Maintenance Info Object")."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios
from tests.contract.conftest import Platform

LARGE = boxes.ids("large")["plan_id"]


def at(version: str) -> dict[str, dict[str, str]]:
    """The service in this maintenance version."""
    return {"maintenance": {"version": version}}


def is_conflict(answer: Any) -> bool:
    """Whether this is the refusal that the protocol foresees."""
    return (answer.status_code, answer.json.get("error")) == (422, "MaintenanceInfoConflict")


def test_maintenance_version_of_the_catalog_is_taken(platform: Platform) -> None:
    """Provisioning, Updating: only the version counts, anything else in maintenance_info is ignored."""
    info = {"version": "1.0.0", "description": "other words", "x": 1}
    assert platform.put(maintenance_info=info).status_code == 202
    scenarios.run(platform.broker)
    assert platform.patch(maintenance_info=info).status_code == 200
    assert platform.patch(maintenance_info=info, parameters={"memory": 2}).status_code == 202


@pytest.mark.parametrize("version", ["0.9.0", "1.0.1", "1.0", "1.0.0+x", "x"])
def test_maintenance_version_that_is_not_the_catalogs_is_a_conflict(platform: Platform, version: str) -> None:
    """Provisioning, Updating: 422 MaintenanceInfoConflict when the version does not match; nothing is begun."""
    assert is_conflict(platform.put(maintenance_info={"version": version}))
    assert platform.poll().status_code == 404
    platform.ready()
    assert is_conflict(platform.patch(maintenance_info={"version": version}))
    assert is_conflict(platform.patch(maintenance_info={"version": version}, parameters={"memory": 2}))
    assert platform.fetch().json["parameters"] == {"memory": 1}


def test_maintenance_version_of_a_plan_without_one_is_a_conflict(box_platform: Callable[..., Platform]) -> None:
    """Provisioning, Updating: the platform believes in something that the catalog does not say."""
    platform = box_platform()
    assert is_conflict(platform.put(maintenance_info={"version": "1.0.0"}))
    platform.ready()
    assert is_conflict(platform.patch(maintenance_info={"version": "1.0.0"}))


@pytest.mark.parametrize("info", [{}, {"version": ""}, {"version": 1}, {"version": None}], ids=str)
def test_maintenance_info_without_a_version_is_400(platform: Platform, info: dict[str, object]) -> None:
    """Maintenance Info Object: the version is required where the object is sent."""
    answer = platform.put(maintenance_info=info)
    assert (answer.status_code, "maintenance_info.version" in answer.json["description"]) == (400, True)


def test_maintenance_is_done_when_the_new_version_is_asked_for(box_platform: Callable[..., Platform]) -> None:
    """Updating: a request with the catalog's newer version runs the role again; the instance has it when that has succeeded."""
    box_platform(service=at("1.0.0")).ready()
    platform = box_platform(service=at("2.0.0"))
    assert platform.patch().status_code == 200
    assert platform.fetch().json["maintenance_info"] == {"version": "1.0.0"}
    answer = platform.patch(maintenance_info={"version": "2.0.0"}, previous_values={"maintenance_info": {"version": "1.0.0"}})
    assert answer.status_code == 202
    assert platform.patch(maintenance_info={"version": "2.0.0"}).json["operation"] == answer.json["operation"]
    assert scenarios.run(platform.broker).kind == "update"
    assert platform.fetch().json["maintenance_info"] == {"version": "2.0.0"}
    assert platform.patch(maintenance_info={"version": "2.0.0"}).status_code == 200


def test_maintenance_that_fails_leaves_the_old_version(box_platform: Callable[..., Platform]) -> None:
    """Updating: a failure applies nothing, so it is still due."""
    box_platform(service=at("1.0.0")).ready()
    platform = box_platform(service=at("2.0.0"))
    platform.patch(maintenance_info={"version": "2.0.0"})
    scenarios.run(platform.broker, Result("failed", message="no"))
    assert platform.fetch().json["maintenance_info"] == {"version": "1.0.0"}
    assert platform.patch(maintenance_info={"version": "2.0.0"}).status_code == 202


def test_maintenance_version_of_an_old_catalog_is_a_conflict(box_platform: Callable[..., Platform]) -> None:
    """Updating: after the catalog changed, a platform with the old one must be refused, also for what it has itself."""
    box_platform(service=at("1.0.0")).ready()
    platform = box_platform(service=at("2.0.0"))
    assert is_conflict(platform.put("i2", maintenance_info={"version": "1.0.0"}))
    assert is_conflict(platform.patch(maintenance_info={"version": "1.0.0"}))
    assert is_conflict(platform.patch(maintenance_info={"version": "1.0.0"}, parameters={"memory": 2}))


def test_maintenance_version_is_that_of_the_plan_asked_for(box_platform: Callable[..., Platform]) -> None:
    """Updating: with a change of plan the version is compared with that of the new plan."""
    platform = box_platform(plans={"small": at("1.0.0"), "large": at("3.0.0")})
    platform.ready()
    assert is_conflict(platform.patch(plan_id=LARGE, maintenance_info={"version": "1.0.0"}))
    assert platform.patch(plan_id=LARGE, maintenance_info={"version": "3.0.0"}).status_code == 202
    scenarios.run(platform.broker)
    assert platform.fetch().json["maintenance_info"] == {"version": "3.0.0"}


def test_maintenance_version_of_a_plan_no_longer_offered_is_its_own(
    box_platform: Callable[..., Platform], platform_at: Callable[[str], Platform], tmp_path: Path
) -> None:
    """Updating: the instance goes on with the plan it has; any other version is a conflict."""
    box_platform(service=at("1.0.0")).ready()
    config = boxes.write(tmp_path, service=at("2.0.0")).replace("  - {plan: box/small, mode: host, targets: [one, two]}\n", "")
    platform = platform_at(config)
    assert platform.patch(maintenance_info={"version": "1.0.0"}).status_code == 200
    assert is_conflict(platform.patch(maintenance_info={"version": "2.0.0"}))
