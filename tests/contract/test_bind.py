"""Binding: an account of its own, at once or later, and never in the answer that says later (OSB 2.17, "Binding")."""

from collections.abc import Callable

import pytest

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from apb_broker.osb import routes
from tests import scenarios
from tests.contract.conftest import Platform

MADE = {"credentials": scenarios.CREDENTIALS, "endpoints": [{"host": "127.0.0.1", "ports": ["31000"], "protocol": "tcp"}]}
UNREACHED = Result("failed", message="no room")


def test_bind_is_accepted_without_credentials(platform: Platform) -> None:
    """Binding: 202 with an operation must not carry credentials; a re-sent request is the same one."""
    platform.ready()
    accepted = platform.bind(parameters={"access": "read"})
    assert (accepted.status_code, accepted.json.keys()) == (202, {"operation"})
    assert len(accepted.json["operation"]) <= 10_000
    assert (platform.bind(parameters={"access": "read"}).status_code, platform.bind(parameters={"access": "read"}).json) == (
        202,
        accepted.json,
    )
    scenarios.claim(platform.broker)
    assert platform.bind(parameters={"access": "read"}).json == accepted.json
    assert operations.claim(platform.broker, "other") is None


def test_bind_again_when_done_is_200_with_the_credentials(platform: Platform) -> None:
    """Binding: 200 if it exists with identical parameters (after defaults), with all that was returned for it."""
    platform.ready()
    platform.bound(parameters={"access": "readwrite"})
    for query in ("?accepts_incomplete=true", ""):
        again = platform.bind(query=query)
        assert (again.status_code, again.json) == (200, MADE)


@pytest.mark.parametrize("end", [None, scenarios.BOUND, UNREACHED], ids=["in progress", "done", "failed"])
def test_bind_with_other_parameters_is_409(platform: Platform, end: Result | None) -> None:
    """Binding: 409 must be returned if the id exists or is being made with different parameters, for the same instance."""
    platform.ready()
    platform.ready("i2")
    platform.bind(parameters={"access": "read"})
    if end is not None:
        scenarios.run(platform.broker, end)
    assert platform.bind(parameters={"access": "readwrite"}).status_code == 409
    assert platform.bind("i2", parameters={"access": "readwrite"}).status_code == 202


def test_bind_within_the_request(platform: Platform) -> None:
    """Synchronous Operations: without accepts_incomplete the answer is 201 with credentials; asked again it is 200."""
    platform.ready()
    with platform.working(scenarios.BOUND):
        answer = platform.bind(query="")
    assert (answer.status_code, answer.json) == (201, MADE)
    assert platform.bind(query="").status_code == 200


def test_bind_that_fails_within_the_request_is_undone(platform: Platform) -> None:
    """Orphan Mitigation: a 5xx makes the platform clean up; the broker has queued the removal by itself."""
    platform.ready()
    with platform.working(UNREACHED):
        answer = platform.bind(query="")
    assert (answer.status_code, answer.json["description"]) == (500, "no room")
    assert scenarios.run(platform.broker).kind == "unbind"
    assert platform.unbind().status_code == 410


def test_bind_that_takes_too_long_within_the_request_is_undone(platform_with: Callable[[str], Platform]) -> None:
    """Orphan Mitigation: never a 4xx after effects; what was begun is halted and removed."""
    platform = platform_with("{sync_wait_seconds: 0}")
    platform.ready()
    assert platform.bind(query="").status_code == 500
    assert scenarios.run(platform.broker).kind == "unbind"
    assert platform.fetch("i1", "b1").status_code == 404


def test_bind_when_too_many_wait_is_a_concurrency_error(platform: Platform) -> None:
    """Blocking Operations: 422, never a 5xx, and before anything is begun."""
    platform.ready()
    taken = 0
    while routes.waiting.acquire(blocking=False):
        taken += 1
    try:
        answers = [platform.bind(query=""), platform.unbind(query="")]
    finally:
        routes.waiting.release(taken)
    assert [(answer.status_code, answer.json["error"]) for answer in answers] == [(422, "ConcurrencyError")] * 2
    assert platform.poll("i1", "b1").status_code == 404


@pytest.mark.parametrize("field", ["service_id", "plan_id"])
@pytest.mark.parametrize("value", [None, "", 7], ids=["null", "empty", "number"])
def test_bind_without_a_mandatory_field_is_400(platform: Platform, field: str, value: object) -> None:
    """Binding: malformed or missing mandatory data must be 400; the field is named."""
    platform.ready()
    answer = platform.bind(**{field: value})
    assert (answer.status_code, field in answer.json["description"]) == (400, True)


def test_bind_with_bad_data_is_400(platform: Platform) -> None:
    """Binding: service and plan must be those of the instance, and parameters should be valid; the field is named."""
    platform.ready()
    for field, changes in [
        ("service_id", {"service_id": "none"}),
        ("plan_id", {"plan_id": "none"}),
        ("access", {"parameters": {"access": "admin"}}),
        ("colour", {"parameters": {"colour": "red"}}),
        ("parameters", {"parameters": "x"}),
        ("context", {"context": []}),
        ("bind_resource", {"bind_resource": "x"}),
        ("app_guid", {"bind_resource": {"app_guid": ""}}),
        ("app_guid", {"app_guid": ""}),
    ]:
        answer = platform.bind(**changes)
        assert (answer.status_code, field in answer.json["description"]) == (400, True), changes
    assert platform.poll("i1", "b1").status_code == 404


def test_bind_to_what_does_not_exist_is_404(platform: Platform) -> None:
    """Binding: the instance must be a provisioned one; what is wrong with the request itself counts before."""
    assert platform.bind("unknown").status_code == 404
    assert platform.bind("unknown", plan_id="none").status_code == 400
    assert platform.bind("unknown", parameters={"access": "admin"}).status_code == 400


def test_bind_to_what_is_not_ready_is_refused(platform: Platform) -> None:
    """Blocking Operations: ConcurrencyError while the instance is made, changed or removed; 422 when it failed."""
    platform.put()
    assert platform.bind().json["error"] == "ConcurrencyError"
    scenarios.run(platform.broker)
    platform.patch(parameters={"memory": 2})
    assert platform.bind().json["error"] == "ConcurrencyError"
    scenarios.run(platform.broker)
    platform.delete()
    assert platform.bind().json["error"] == "ConcurrencyError"
    scenarios.run(platform.broker, Result("failed", message="no"))
    assert (platform.bind().status_code, platform.bind().json.get("error")) == (422, None)


def test_bind_to_a_plan_that_is_not_bindable_is_422(box_platform: Callable[..., Platform]) -> None:
    """Binding: the plan's word counts before the service's."""
    platform = box_platform(plans={"small": {"bindable": False}})
    platform.ready()
    answer = platform.bind()
    assert (answer.status_code, "small" in answer.json["description"]) == (422, True)


def test_bindings_of_one_instance_proceed_side_by_side(platform: Platform) -> None:
    """Blocking Operations: several binds of one instance are in progress at once; the instance itself is not changed meanwhile."""
    platform.ready()
    assert [platform.bind(binding_id=f"b{number}").status_code for number in range(3)] == [202] * 3
    assert len({scenarios.claim(platform.broker).operation_id for _ in range(3)}) == 3
    assert platform.patch(parameters={"memory": 2}).json["error"] == "ConcurrencyError"


def test_bindings_have_accounts_of_their_own(platform: Platform) -> None:
    """Types of Binding: credentials should be unique, so that one can be taken back without the others."""
    platform.ready()
    platform.bind(binding_id="b1")
    platform.bind(binding_id="b2")
    first, second = (scenarios.claim(platform.broker).variables["apb_binding"] for _ in range(2))
    assert first["username"] != second["username"]
    assert first["password"] != second["password"]


def test_bind_without_an_application_is_422_where_it_needs_one(box_platform: Callable[..., Platform]) -> None:
    """Binding: RequiresApp with 422; both places of the application's id are read."""
    platform = box_platform(service={"bind": {"requires_app": True}})
    platform.ready()
    for changes in ({}, {"bind_resource": {"route": "a.example"}}, {"bind_resource": {}}):
        answer = platform.bind(**changes)
        assert (answer.status_code, answer.json["error"]) == (422, "RequiresApp")
    assert platform.bind(binding_id="b1", bind_resource={"app_guid": "app"}).status_code == 202
    assert platform.bind(binding_id="b2", app_guid="app").status_code == 202


def test_bind_does_not_need_an_application(platform: Platform) -> None:
    """Binding: the application and its resource are optional."""
    platform.ready()
    assert platform.bind().status_code == 202
    assert platform.bind(binding_id="b2", app_guid="app").status_code == 202


def test_bind_tells_where_the_credentials_are_used(platform: Platform) -> None:
    """Endpoint Object: host and a non-empty list of ports as text; all of those that the application needs."""
    platform.ready()
    platform.bound()
    (endpoint,) = platform.bind().json["endpoints"]
    assert (endpoint["host"], endpoint["protocol"]) == (scenarios.CREDENTIALS["host"], "tcp")
    assert endpoint["ports"] == [str(scenarios.CREDENTIALS["port"])]


def test_bind_hands_out_credentials_only(platform: Platform) -> None:
    """Binding: no log drain, route service or volumes, for which a service would have to ask permission in the catalog."""
    platform.ready()
    platform.bound()
    for answer in (platform.bind(), platform.fetch("i1", "b1")):
        assert not {"syslog_drain_url", "route_service_url", "volume_mounts"} & answer.json.keys()


def test_bind_of_an_id_that_failed_tries_again(platform: Platform) -> None:
    """Binding: the same request makes the account after all, under the same name."""
    platform.ready()
    first = platform.bind().json["operation"]
    username = scenarios.run(platform.broker, UNREACHED).variables["apb_binding"]["username"]
    again = platform.bind()
    assert (again.status_code, again.json["operation"] != first) == (202, True)
    assert scenarios.run(platform.broker, scenarios.BOUND).variables["apb_binding"]["username"] == username
    assert platform.fetch("i1", "b1").status_code == 200
