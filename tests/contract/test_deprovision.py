"""Deprovisioning: what was made goes, at once or later, and asking again does no harm (OSB 2.17, "Deprovisioning")."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.conftest import CONFIG
from tests.contract.conftest import Platform


def test_deprovision_is_accepted_and_polled_to_its_end(platform: Platform) -> None:
    """Deprovisioning: 202 with an operation; what it had is free for others afterwards."""
    platform.ready()
    answer = platform.delete()
    assert (answer.status_code, answer.json.keys()) == (202, {"operation"})
    assert len(answer.json["operation"]) <= 10_000
    assert scenarios.run(platform.broker).kind == "deprovision"
    assert platform.poll(operation=answer.json["operation"]).json["state"] == "succeeded"
    assert platform.put("i2").json["apb_connection"]["port"] == 31000


def test_deprovision_again_in_progress_is_202_with_the_same_operation(platform: Platform) -> None:
    """Deprovisioning: a re-sent request must be 202 with the same operation, not 200."""
    platform.ready()
    first = platform.delete()
    assert (platform.delete().status_code, platform.delete().json) == (202, first.json)
    scenarios.claim(platform.broker)
    assert platform.delete().json == first.json
    assert operations.claim(platform.broker, "other") is None


def test_deprovision_of_unknown_is_410_and_again_too(platform: Platform) -> None:
    """Deprovisioning: 410 must be returned if the instance does not exist."""
    assert platform.delete("unknown").status_code == 410
    platform.ready()
    platform.delete()
    scenarios.run(platform.broker)
    assert [platform.delete().status_code for _ in range(2)] == [410, 410]
    assert platform.poll().json["state"] == "succeeded"


@pytest.mark.parametrize("missing", ["service_id", "plan_id"])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
def test_deprovision_needs_its_query(platform: Platform, missing: str, value: str | None) -> None:
    """Deprovisioning: missing mandatory data must be 400; the parameter is named, and nothing is removed."""
    platform.ready()
    given = {name: text for name, text in {**platform.ids, "accepts_incomplete": "true", missing: value}.items() if text is not None}
    answer = platform.call("DELETE", "/v2/service_instances/i1", query_string=given)
    assert (answer.status_code, missing in answer.json["description"]) == (400, True)
    assert platform.fetch().status_code == 200


@pytest.mark.parametrize("query", ["", "&accepts_incomplete=false", "&accepts_incomplete=1"])
def test_deprovision_without_accepts_incomplete_is_422(platform: Platform, query: str) -> None:
    """Asynchronous Operations: AsyncRequired with 422; nothing is removed."""
    platform.ready()
    answer = platform.delete(query=query)
    assert (answer.status_code, answer.json["error"]) == (422, "AsyncRequired")
    assert platform.fetch().status_code == 200


def test_deprovision_during_provision_halts_it(platform: Platform) -> None:
    """Deprovisioning: a broker that accepts a delete during a provision must halt the creation; the create ends failed."""
    creation = platform.put().json["operation"]
    work = scenarios.claim(platform.broker)
    removal = platform.delete()
    assert (removal.status_code, removal.json["operation"] != creation) == (202, True)
    assert platform.delete().json["operation"] == removal.json["operation"]
    assert operations.claim(platform.broker, "other") is None
    assert operations.renew(platform.broker, {work.operation_id: work.epoch}) == {work.operation_id: True}
    operations.finish(platform.broker, work.operation_id, work.epoch, Result("canceled"))
    scenarios.run(platform.broker)
    assert platform.poll(operation=creation).json["state"] == "failed"
    assert platform.poll(operation=removal.json["operation"]).json["state"] == "succeeded"


def test_deprovision_takes_live_bindings_along(platform: Platform) -> None:
    """Deprovisioning: with bindings left its outcome is unspecified: here they go with the instance."""
    platform.ready()
    platform.bound()
    platform.delete()
    scenarios.run(platform.broker)
    assert platform.unbind().status_code == 410
    assert platform.fetch("i1", "b1").status_code == 404


def test_deprovision_that_fails_can_be_asked_for_again(platform: Platform) -> None:
    """Deprovisioning: the instance stays known until it is really gone; it says whether it can be used meanwhile."""
    platform.ready()
    first = platform.delete().json["operation"]
    scenarios.run(platform.broker, Result("failed", message="the host does not answer"))
    assert platform.poll().json == {"state": "failed", "description": "the host does not answer", "instance_usable": False}
    again = platform.delete()
    assert (again.status_code, again.json["operation"] != first) == (202, True)
    scenarios.run(platform.broker)
    assert platform.delete().status_code == 410


def test_deprovisioned_id_may_be_used_again(platform: Platform) -> None:
    """URL Properties: platforms should not reuse ids; where one does, it gets a new instance."""
    platform.ready()
    platform.delete()
    scenarios.run(platform.broker)
    platform.ready(parameters={"memory": 2})
    assert platform.fetch().json["parameters"]["memory"] == 2
    assert platform.poll().json["state"] == "succeeded"


def test_deprovision_during_update_halts_it(platform: Platform) -> None:
    """Deprovisioning: 422 only if the instance cannot be deprovisioned at this time; this one can, and the update ends failed."""
    scenarios.ready(platform.broker, "i1")
    change = platform.patch(parameters={"memory": 2}).json["operation"]
    assert platform.delete().status_code == 202
    assert platform.poll(operation=change).json == {
        "state": "failed",
        "description": "canceled: the instance is to be removed",
        "instance_usable": False,
        "update_repeatable": False,
    }


@pytest.fixture
def guarding(platform_at: Callable[[str], Platform], tmp_path: Path) -> Platform:
    """A platform of a broker whose plan is protected from deletion."""
    return platform_at(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", "targets: [local], deletion_protection: true}]"))


@pytest.fixture
def keeping(platform_at: Callable[[str], Platform], tmp_path: Path) -> Platform:
    """A platform of a broker that keeps deleted servers for a minute."""
    return platform_at(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", "targets: [local], keep_deleted_seconds: 60}]"))


def test_deprovision_of_what_is_protected_is_422_and_changes_nothing(guarding: Platform) -> None:
    """Service Broker Errors: a 4xx leaves everything as it was, an update in progress too; a sentence says who lifts it and how."""
    guarding.ready()
    change = guarding.patch(parameters={"memory": 2}).json["operation"]
    answer = guarding.delete()
    assert (answer.status_code, answer.json) == (
        422,
        {
            "description": "instance i1 is protected from deletion by its plan redis-standard; nothing was changed. "
            "An operator lifts that by `apb unprotect i1`, then it can be deleted"
        },
    )
    assert scenarios.run(guarding.broker).operation_id == change
    assert guarding.fetch().json["parameters"] == {"memory": 2}
    guarding.call("POST", "/admin/v1/instances/i1/unprotect")
    assert guarding.delete().status_code == 202


def test_deprovision_where_deleted_servers_are_kept_is_complete_for_the_platform(keeping: Platform) -> None:
    """Deprovisioning: it succeeds, and the instance does not exist: 410 when deleted again, 404 when fetched or bound."""
    keeping.ready()
    keeping.bound()
    removal = keeping.delete().json["operation"]
    assert keeping.delete().json["operation"] == removal
    scenarios.run(keeping.broker)
    assert [keeping.poll(operation=operation).json["state"] for operation in (removal, None)] == ["succeeded", "succeeded"]
    assert [keeping.delete().status_code, keeping.unbind().status_code] == [410, 410]
    assert [keeping.fetch().status_code, keeping.fetch("i1", "b1").status_code] == [404, 404]
    assert [keeping.bind("i1", "b2").status_code, keeping.patch(parameters={"memory": 2}).status_code] == [404, 404]


def test_deprovisioned_id_that_is_kept_is_409_until_it_is_restored(keeping: Platform) -> None:
    """Provisioning: 409, since its id still stands for something else; a platform takes a restored instance up by the same request."""
    keeping.ready()
    keeping.delete()
    scenarios.run(keeping.broker)
    answer = keeping.put()
    assert (answer.status_code, "an operator can restore it (apb restore-instance i1)" in answer.json["description"]) == (409, True)
    keeping.call("POST", "/admin/v1/instances/i1/restore")
    busy = keeping.put()
    assert (busy.status_code, busy.json["error"]) == (422, "ConcurrencyError")
    scenarios.run(keeping.broker)
    assert keeping.put().status_code == 200
    assert keeping.fetch().status_code == 200
