"""Updating: parameters, the plan, the context; nothing is applied before it has succeeded (OSB 2.17, "Updating a Service Instance")."""

from collections.abc import Callable
from typing import Any

import pytest

from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios
from tests.contract.conftest import Platform

LARGE = boxes.ids("large")["plan_id"]


def test_update_is_accepted_and_applied_when_it_has_succeeded(platform: Platform) -> None:
    """Updating: 202 with an operation; the new values are the instance's after it."""
    platform.ready(parameters={"memory": 0.5})
    answer = platform.patch(parameters={"memory": 1})
    assert (answer.status_code, bool(answer.json["operation"])) == (202, True)
    scenarios.run(platform.broker)
    assert platform.poll().json["state"] == "succeeded"
    assert platform.fetch().json["parameters"]["memory"] == 1


def test_update_without_parameters_leaves_them(box_platform: Callable[..., Platform]) -> None:
    """Updating: absent parameters must not be changed, nor those that are not named among others."""
    platform = box_platform()
    platform.ready(parameters={"memory": 1.5, "label": "mine"})
    platform.patch(parameters={"memory": 2})
    scenarios.run(platform.broker)
    assert platform.fetch().json["parameters"]["label"] == "mine"
    platform.patch(plan_id=LARGE)
    scenarios.run(platform.broker)
    found = platform.fetch().json
    assert (found["plan_id"], found["parameters"]["memory"], found["parameters"]["label"]) == (LARGE, 2, "mine")


def test_update_without_a_plan_leaves_it(box_platform: Callable[..., Platform]) -> None:
    """Updating: an absent plan_id must not change the plan."""
    platform = box_platform()
    platform.ready()
    platform.patch(parameters={"memory": 2})
    scenarios.run(platform.broker)
    assert platform.fetch().json["plan_id"] == platform.ids["plan_id"]


def test_update_without_a_change_is_200(platform: Platform) -> None:
    """Updating: 200 may be returned if there is nothing to do; a platform need not be able to wait for that."""
    platform.ready(parameters={"memory": 2})
    for answer in (platform.patch(), platform.patch(parameters={"memory": 2}), platform.patch(query="", plan_id=platform.ids["plan_id"])):
        assert (answer.status_code, "operation" in answer.json) == (200, False)


def test_update_again_in_progress_is_202_with_the_same_operation(box_platform: Callable[..., Platform]) -> None:
    """Updating: a re-sent request must be 202 with the same operation; nothing is begun twice."""
    platform = box_platform()
    platform.ready()
    first = platform.patch(plan_id=LARGE, parameters={"memory": 2})
    again = platform.patch(plan_id=LARGE, parameters={"memory": "2"})
    assert (again.status_code, again.json) == (202, first.json)
    scenarios.claim(platform.broker)
    assert platform.patch(plan_id=LARGE, parameters={"memory": 2}).json["operation"] == first.json["operation"]
    with platform.broker.database.unit() as unit:
        assert len(unit.active_operations("i1")) == 1


@pytest.mark.parametrize("other", [{"parameters": {"memory": 2}}, {"plan_id": LARGE}, {}, {"context": {"a": 1}}], ids=str)
def test_update_beside_another_one_is_a_concurrency_error(box_platform: Callable[..., Platform], other: dict[str, Any]) -> None:
    """Blocking Operations: 422 ConcurrencyError for a second change, whatever it is; the first goes on."""
    platform = box_platform()
    platform.ready()
    platform.patch(parameters={"memory": 1.5})
    answer = platform.patch(**other)
    assert (answer.status_code, answer.json["error"]) == (422, "ConcurrencyError")
    scenarios.run(platform.broker)
    assert platform.fetch().json["parameters"]["memory"] == 1.5


def test_update_during_another_operation_is_a_concurrency_error(platform: Platform) -> None:
    """Blocking Operations: while the instance is being made, bound or removed."""
    platform.put()
    assert platform.patch(parameters={"memory": 2}).json["error"] == "ConcurrencyError"
    scenarios.run(platform.broker)
    platform.bind()
    assert platform.patch(parameters={"memory": 2}).json["error"] == "ConcurrencyError"
    scenarios.run(platform.broker, scenarios.BOUND)
    platform.delete()
    assert platform.patch(parameters={"memory": 2}).json["error"] == "ConcurrencyError"


def test_update_without_accepts_incomplete_is_422(platform: Platform) -> None:
    """Asynchronous Operations: AsyncRequired where something is to be done; nothing is begun."""
    platform.ready()
    for query in ("", "?accepts_incomplete=false", "?accepts_incomplete=TRUE"):
        answer = platform.patch(query=query, parameters={"memory": 2})
        assert (answer.status_code, answer.json["error"]) == (422, "AsyncRequired")
    assert platform.patch(parameters={"memory": 3}).status_code == 202


@pytest.mark.parametrize("value", [None, "", 7], ids=["null", "empty", "number"])
def test_update_without_its_service_is_400(platform: Platform, value: object) -> None:
    """Updating: malformed or missing mandatory data must be 400; the field is named."""
    platform.ready()
    answer = platform.patch(service_id=value)
    assert (answer.status_code, "service_id" in answer.json["description"]) == (400, True)


def test_update_with_bad_data_is_400_and_changes_nothing(platform: Platform) -> None:
    """Updating: parameters should be valid, service and plan of the catalog; with a 4xx nothing must be applied."""
    platform.ready()
    before = platform.fetch().json
    wrong: list[dict[str, Any]] = [
        {"parameters": {"memory": 99}},
        {"parameters": {"host": "other.example"}},
        {"parameters": {"colour": "red"}},
        {"parameters": []},
        {"plan_id": "another"},
        {"plan_id": ""},
        {"service_id": "another"},
        {"context": "x"},
    ]
    for changes in wrong:
        assert platform.patch(**{"parameters": {"memory": 2}, **changes}).status_code == 400, changes
    assert platform.fetch().json == before


def test_update_of_what_does_not_exist_is_404(platform: Platform) -> None:
    """Updating: no code is foreseen for it; 404 says it best, after what is wrong with the request itself."""
    assert platform.patch("unknown").status_code == 404
    assert platform.patch("unknown", plan_id="none").status_code == 400
    assert platform.patch("unknown", service_id="none").status_code == 400


def test_update_to_a_plan_that_cannot_be_changed_to_is_422(box_platform: Callable[..., Platform]) -> None:
    """Updating: 422 when the change is not supported; the message says which are. Plans say for themselves where they lead."""
    platform = box_platform("large")
    platform.ready()
    answer = platform.patch(plan_id=boxes.ids("small")["plan_id"])
    assert (answer.status_code, "large does not change to small" in answer.json["description"]) == (422, True)
    assert platform.fetch().json["plan_id"] == LARGE


def test_update_that_the_state_forbids_is_422(box_platform: Callable[..., Platform]) -> None:
    """Updating: 422 when the state (here: the room on the host) forbids it; nothing is changed."""
    platform = box_platform("large")
    platform.ready()
    refused = platform.patch(parameters={"memory": 5})
    assert (refused.status_code, "GB of memory free" in refused.json["description"]) == (422, True)
    assert platform.patch(parameters={"memory": 2}).status_code == 202


def test_update_of_what_failed_is_422(platform: Platform) -> None:
    """Updating: the state forbids it; there is nothing to be updated."""
    platform.put()
    scenarios.run(platform.broker, Result("failed", message="no disk"))
    assert platform.patch(parameters={"memory": 2}).status_code == 422


def test_update_that_fails_applies_nothing(box_platform: Callable[..., Platform]) -> None:
    """Updating: after a failure the instance has what it had, and the same update may be sent again."""
    platform = box_platform()
    platform.ready(context={"platform": "x", "instance_name": "before"})
    before = platform.fetch().json
    changes = {"plan_id": LARGE, "parameters": {"memory": 3}, "context": {"platform": "x", "instance_name": "after"}}
    first = platform.patch(**changes).json["operation"]
    scenarios.run(platform.broker, Result("failed", message="no"))
    assert platform.fetch().json == before
    assert platform.call("GET", "/admin/v1/instances/i1").json["name"] == "before"
    again = platform.patch(**changes)
    assert (again.status_code, again.json["operation"] != first) == (202, True)


def test_update_of_the_context_alone_is_done_at_once(platform: Platform) -> None:
    """Updating: with allow_context_updates a platform tells what changed around the instance, such as its name."""
    platform.ready(context={"platform": "cloudfoundry", "instance_name": "before"})
    answer = platform.patch(query="", context={"platform": "cloudfoundry", "instance_name": "after"})
    assert (answer.status_code, "operation" in answer.json) == (200, False)
    assert platform.call("GET", "/admin/v1/instances/i1").json["name"] == "after"
    platform.patch(parameters={"memory": 2})
    assert scenarios.claim(platform.broker).variables["apb_instance"]["context"]["instance_name"] == "after"


def test_update_tells_the_dashboard_again(box_platform: Callable[..., Platform]) -> None:
    """Updating: the dashboard's URL is in the first answer, and a new one from the role stays."""
    platform = box_platform(service={"dashboard_url": "http://{{ instance.host }}/{{ instance.names.slug }}"})
    platform.ready()
    before = platform.fetch().json["dashboard_url"]
    assert platform.patch(parameters={"memory": 2}).json["dashboard_url"] == before
    scenarios.run(platform.broker, Result("succeeded", {"dashboard_url": "http://new.example/1"}))
    assert platform.fetch().json["dashboard_url"] == "http://new.example/1"
    assert platform.patch().json["dashboard_url"] == "http://new.example/1"
