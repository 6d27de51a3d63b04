"""The sentences of OSB 2.17 that the ordinary ways and the basic conflicts rest on. Each docstring names its section and says it anew."""

import threading
from pathlib import Path
from typing import Any

import pytest

from apb_broker import application
from apb_broker.catalog import config as configuration
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios
from tests.contract.conftest import Platform

MADE = {"credentials": scenarios.CREDENTIALS, "endpoints": [{"host": "127.0.0.1", "ports": ["31000"], "protocol": "tcp"}]}


@pytest.mark.parametrize("authorization", [None, "Basic YWRtaW46d3Jvbmc=", "Basic bm9ib2R5Og==", "Bearer x", "Basic %%%"])
def test_authentication_failure_is_401(platform: Platform, authorization: str | None) -> None:
    """Platform to Service Broker Authentication: a failure to authenticate must be answered with 401, before anything else."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = platform.client.get("/v2/catalog", headers=headers)
    assert answer.status_code == 401
    assert answer.json["description"]


def test_missing_version_is_400(platform: Platform) -> None:
    """API Version Header: a broker may reject a request without the header with 400."""
    headers = {"Authorization": platform_header()}
    assert platform.client.get("/v2/catalog", headers=headers).status_code == 400


def platform_header() -> str:
    """The usual Authorization header."""
    from tests.contract.conftest import HEADERS

    return HEADERS["Authorization"]


@pytest.mark.parametrize(("version", "status"), [("2.13", 200), ("2.17", 200), ("2.12", 412), ("3.0", 412), ("x", 412)])
def test_version_is_checked(platform: Platform, version: str, status: int) -> None:
    """API Version Header: an unsupported version may be rejected with 412 and a message naming what to use."""
    answer = platform.call("GET", "/v2/catalog", headers={"X-Broker-API-Version": version})
    assert answer.status_code == status
    if status == 412:
        assert "2.17" in answer.json["description"]


def test_request_identity_is_echoed_also_on_errors(platform: Platform) -> None:
    """Request Identity Header: the broker should include it in the response."""
    answer = platform.call("GET", "/v2/service_instances/none", headers={"X-Broker-API-Request-Identity": "abc-1"})
    assert (answer.status_code, answer.headers["X-Broker-API-Request-Identity"]) == (404, "abc-1")


def test_catalog_names_service_and_plan(platform: Platform) -> None:
    """Catalog Management: services with id, name, description, bindable and plans."""
    service = platform.call("GET", "/v2/catalog").json["services"][0]
    assert (service["name"], service["bindable"], service["instances_retrievable"], service["bindings_retrievable"]) == (
        "redis",
        True,
        True,
        True,
    )
    assert service["plans"][0]["schemas"]["service_instance"]["create"]["parameters"]["$schema"]


def test_provision_is_accepted_with_its_connection(platform: Platform) -> None:
    """Provisioning: 202 with an operation; a vendor field tells host and port at once."""
    answer = platform.put(parameters={"memory": "0.5", "host": "redis.test.cn"})
    assert answer.status_code == 202
    assert answer.json["operation"]
    assert answer.json["apb_connection"] == {"host": "127.0.0.1", "port": 31000, "dns_name": "redis.test.cn"}
    assert platform.poll(operation=answer.json["operation"]).json["state"] == "in progress"
    scenarios.run(platform.broker)
    assert platform.poll().json["state"] == "succeeded"


def test_provision_again_in_progress_is_202_with_the_same_operation(platform: Platform) -> None:
    """Provisioning: a re-sent request while in progress must be 202 with the same operation; numbers as strings are the same."""
    first = platform.put(parameters={"memory": 0.5})
    again = platform.put(parameters={"memory": "0.5"})
    assert (again.status_code, again.json["operation"]) == (202, first.json["operation"])
    scenarios.claim(platform.broker)
    assert platform.put(parameters={"memory": 0.5}).json["operation"] == first.json["operation"]
    assert operations.claim(platform.broker, "other") is None


def test_provision_again_when_done_is_200(platform: Platform) -> None:
    """Provisioning: 200 if the instance exists, is fully provisioned, and the parameters are identical."""
    platform.put(parameters={"memory": 0.5})
    scenarios.run(platform.broker)
    assert platform.put(parameters={"memory": 0.5}).status_code == 200


@pytest.mark.parametrize(
    "changes", [{"parameters": {"memory": 2}}, {"organization_guid": "other"}, {"space_guid": "other"}], ids=["parameters", "org", "space"]
)
@pytest.mark.parametrize("done", [False, True], ids=["in progress", "done"])
def test_provision_with_other_attributes_is_409(platform: Platform, changes: dict, done: bool) -> None:
    """Provisioning: 409 must be returned if the id exists or is being provisioned with different attributes."""
    first = platform.put(parameters={"memory": 0.5})
    if done:
        scenarios.run(platform.broker)
    assert platform.put(**{"parameters": {"memory": 0.5}, **changes}).status_code == 409
    if not done:
        assert platform.put(parameters={"memory": 0.5}).json["operation"] == first.json["operation"]


@pytest.mark.parametrize("query", ["", "?accepts_incomplete=false", "?accepts_incomplete=True", "?accepts_incomplete=1"])
def test_provision_without_accepts_incomplete_is_422(platform: Platform, query: str) -> None:
    """Provisioning: AsyncRequired with 422 where the broker needs asynchrony and the parameter is absent or not `true`."""
    answer = platform.put(query=query)
    assert (answer.status_code, answer.json["error"]) == (422, "AsyncRequired")


@pytest.mark.parametrize("field", ["service_id", "plan_id", "organization_guid", "space_guid"])
@pytest.mark.parametrize("value", [None, "", 7], ids=["null", "empty", "number"])
def test_provision_without_a_mandatory_field_is_400(platform: Platform, field: str, value: object) -> None:
    """Provisioning: malformed or missing mandatory data must be 400; the field is named."""
    answer = platform.put(**{field: value})
    assert answer.status_code == 400
    assert field in answer.json["description"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'"x"', b'{"a": NaN}', b"\xff\xfe", b"[" * 5000])
def test_provision_with_a_body_that_is_no_object_is_400(platform: Platform, body: bytes) -> None:
    """Content Type: a body that cannot be processed should be 400."""
    answer = platform.call("PUT", "/v2/service_instances/i1?accepts_incomplete=true", data=body, content_type="application/json")
    assert answer.status_code == 400


def test_unknown_service_or_plan_is_400(platform: Platform) -> None:
    """Provisioning: invalid data may be 400."""
    assert platform.put(service_id="none").status_code == 400
    assert platform.put(plan_id="none").status_code == 400


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"memory": 0.15}, ["memory", "0.15", "0.1"]),
        ({"memory": 9}, ["memory", "9", "4"]),
        ({"memory": -1}, ["memory", "-1", "0.1"]),
        ({"memory": "lots"}, ["memory", "lots", "number"]),
        ({"memory": True}, ["memory", "number"]),
        ({"colour": "red"}, ["colour"]),
        ({"password": "short"}, ["password", "8"]),
    ],
)
def test_bad_parameter_is_400_naming_parameter_value_and_limit(platform: Platform, parameters: dict, words: list[str]) -> None:
    """Provisioning: invalid data may be 400; parameters are never bent. A sensitive value is not repeated."""
    answer = platform.put(parameters=parameters)
    assert answer.status_code == 400
    assert all(word in answer.json["description"] for word in words), answer.json
    assert "short" not in answer.json["description"].replace("shorter", "")


@pytest.mark.parametrize("kind", [float, str])
def test_every_step_of_memory_is_accepted(platform: Platform, kind: type) -> None:
    """0.1 to 4.0 GB in steps of 0.1, as number and as string."""
    for step in range(1, 41):
        instance_id = f"i-{step}"
        assert platform.put(instance_id, parameters={"memory": kind(step / 10)}).status_code == 202
        scenarios.deprovision(platform.broker, instance_id)
        scenarios.run(platform.broker)


def test_unknown_fields_are_ignored(platform: Platform) -> None:
    """Vendor Extension Fields: receivers must ignore what they do not know."""
    assert platform.put(x_vendor={"a": 1}, previous_values=None).status_code == 202


def test_update_is_accepted_and_applied_on_success_only(platform: Platform) -> None:
    """Updating: 202 in progress; a fetch during it must be 422, and shows the new values after it."""
    platform.put(parameters={"memory": 0.5})
    scenarios.run(platform.broker)
    assert platform.patch(parameters={"memory": 1}).status_code == 202
    during = platform.call("GET", "/v2/service_instances/i1")
    assert (during.status_code, during.json["error"]) == (422, "ConcurrencyError")
    scenarios.run(platform.broker)
    assert platform.call("GET", "/v2/service_instances/i1").json["parameters"]["memory"] == 1


def test_update_during_provision_is_a_concurrency_error(platform: Platform) -> None:
    """Blocking Operations: 422 ConcurrencyError where mutations cannot run side by side."""
    platform.put()
    answer = platform.patch(parameters={"memory": 2})
    assert (answer.status_code, answer.json["error"]) == (422, "ConcurrencyError")


def test_update_again_is_the_same_operation_and_another_update_a_concurrency_error(platform: Platform) -> None:
    """Updating: a re-sent PATCH must be 202 with the same operation."""
    platform.put()
    scenarios.run(platform.broker)
    first = platform.patch(parameters={"memory": 2})
    again = platform.patch(parameters={"memory": "2"})
    assert (again.status_code, again.json["operation"]) == (202, first.json["operation"])
    other = platform.patch(parameters={"memory": 3})
    assert (other.status_code, other.json["error"]) == (422, "ConcurrencyError")


def test_update_without_a_change_is_200(platform: Platform) -> None:
    """Updating: 200 may also be returned if the request has no effect; absent parameters must not change anything."""
    platform.put(parameters={"memory": 2})
    scenarios.run(platform.broker)
    assert platform.patch().status_code == 200
    assert platform.patch(parameters={"memory": 2}).status_code == 200


def test_update_to_a_plan_that_cannot_be_changed_to_is_422(make_broker: Any, tmp_path: Path) -> None:
    """Updating: 422 when the requested change is not supported, or the state (here: the room) forbids it; nothing is changed."""
    broker = make_broker(boxes.write(tmp_path))
    app = application.create(broker, configuration.load(tmp_path / "apb.yml"))
    platform = Platform(app.test_client(), broker, boxes.ids("large"))
    assert platform.put().status_code == 202
    scenarios.run(broker)
    assert platform.patch(plan_id=boxes.ids("small")["plan_id"]).status_code == 422
    refused = platform.patch(parameters={"memory": 5})
    assert (refused.status_code, "GB of memory free" in refused.json["description"]) == (422, True)
    assert platform.patch(parameters={"memory": 2}).status_code == 202


def test_update_of_what_stays_is_400(platform: Platform) -> None:
    """Updating: invalid data; nothing is changed."""
    platform.put()
    scenarios.run(platform.broker)
    assert platform.patch(parameters={"host": "other.example"}).status_code == 400
    assert platform.patch(plan_id="another").status_code == 400
    assert platform.patch("unknown").status_code == 404


def test_deprovision_during_provision_halts_it(platform: Platform) -> None:
    """Deprovisioning: a broker that accepts a delete during a provision must halt the creation; the create ends failed."""
    creation = platform.put().json["operation"]
    work = scenarios.claim(platform.broker)
    removal = platform.delete()
    assert (removal.status_code, removal.json["operation"] != creation) == (202, True)
    assert platform.delete().json["operation"] == removal.json["operation"]
    operations.finish(platform.broker, work.operation_id, work.epoch, Result("canceled"))
    scenarios.run(platform.broker)
    assert platform.poll(operation=creation).json["state"] == "failed"
    assert platform.poll(operation=removal.json["operation"]).json["state"] == "succeeded"


def test_deprovision_during_update_or_bind_halts_them(platform: Platform) -> None:
    """Deprovisioning: 422 only if the instance cannot be deprovisioned at this time; this one can, the others are halted."""
    platform.put()
    scenarios.run(platform.broker)
    change = platform.patch(parameters={"memory": 2}).json["operation"]
    assert platform.delete().status_code == 202
    assert platform.poll(operation=change).json == {
        "state": "failed",
        "description": "canceled: the instance is to be removed",
        "instance_usable": False,
        "update_repeatable": False,
    }


def test_deprovision_of_unknown_is_410_and_again_too(platform: Platform) -> None:
    """Deprovisioning: 410 must be returned if the instance does not exist."""
    assert platform.delete("unknown").status_code == 410
    platform.put()
    scenarios.run(platform.broker)
    platform.delete()
    scenarios.run(platform.broker)
    assert platform.delete().status_code == 410
    assert platform.poll().json["state"] == "succeeded"


def test_deprovision_needs_its_query(platform: Platform) -> None:
    """Deprovisioning: service_id and plan_id are required."""
    assert platform.call("DELETE", "/v2/service_instances/i1?accepts_incomplete=true").status_code == 400
    assert platform.delete(query="").json["error"] == "AsyncRequired"


def test_deprovision_works_on_what_failed(platform: Platform) -> None:
    """Orphan Mitigation: platforms delete half-made instances, so that must work."""
    platform.put()
    scenarios.run(platform.broker, Result("failed", message="no disk"))
    assert platform.poll().json == {"state": "failed", "description": "no disk"}
    assert platform.delete().status_code == 202


def test_fetch_is_404_while_provisioning(platform: Platform) -> None:
    """Fetching a Service Instance: 404 if it does not exist or is still being provisioned; secrets are withheld."""
    assert platform.call("GET", "/v2/service_instances/i1").status_code == 404
    platform.put(parameters={"password": "a-long-enough-one"})
    assert platform.call("GET", "/v2/service_instances/i1").status_code == 404
    scenarios.run(platform.broker)
    found = platform.call("GET", "/v2/service_instances/i1").json
    assert found["plan_id"] == platform.ids["plan_id"]
    assert "password" not in found["parameters"]


def test_poll_of_unknown_is_404_and_of_a_foreign_operation_400(platform: Platform) -> None:
    """Polling: 404 if the instance does not exist; 400 for malformed data."""
    assert platform.poll("unknown").status_code == 404
    operation = platform.put("i2").json["operation"]
    platform.put("i1")
    assert platform.poll("i1", operation=operation).status_code == 400


def test_bind_is_accepted_without_credentials_then_fetched(platform: Platform) -> None:
    """Binding: 202 must not carry credentials; fetching is 404 until it is made, then has them."""
    scenarios.ready(platform.broker, "i1")
    accepted = platform.bind(parameters={"access": "read"})
    assert accepted.status_code == 202
    assert set(accepted.json) == {"operation"}
    path = "/v2/service_instances/i1/service_bindings/b1"
    assert platform.call("GET", path).status_code == 404
    assert platform.bind(parameters={"access": "read"}).json == accepted.json
    assert platform.bind(parameters={"access": "readwrite"}).status_code == 409
    scenarios.run(platform.broker, scenarios.BOUND)
    assert platform.poll(binding_id="b1").json["state"] == "succeeded"
    assert platform.call("GET", path).json == {**MADE, "parameters": {"access": "read"}}
    again = platform.bind(parameters={"access": "read"})
    assert (again.status_code, again.json) == (200, MADE)


def test_bind_within_the_request(platform: Platform) -> None:
    """Binding: without accepts_incomplete the answer is 201 with credentials."""
    scenarios.ready(platform.broker, "i1")
    worker = threading.Timer(0.3, lambda: scenarios.run(platform.broker, scenarios.BOUND))
    worker.start()
    answer = platform.bind(query="")
    worker.join()
    assert (answer.status_code, answer.json) == (201, MADE)


def test_bind_that_fails_within_the_request_is_undone(platform: Platform) -> None:
    """Orphan Mitigation: a 5xx makes the platform clean up; the broker has queued the removal by itself."""
    scenarios.ready(platform.broker, "i1")
    worker = threading.Timer(0.3, lambda: scenarios.run(platform.broker, Result("failed", message="no room")))
    worker.start()
    answer = platform.bind(query="")
    worker.join()
    assert (answer.status_code, answer.json["description"]) == (500, "no room")
    assert scenarios.run(platform.broker).kind == "unbind"
    assert platform.unbind().status_code == 410


def test_bind_to_what_is_not_ready_is_refused(platform: Platform) -> None:
    """Binding: an unknown instance is 404; one being provisioned gives a ConcurrencyError."""
    assert platform.bind("unknown").status_code == 404
    platform.put()
    assert platform.bind().json["error"] == "ConcurrencyError"


def test_bind_with_a_bad_parameter_is_400(platform: Platform) -> None:
    """Binding: invalid data may be 400."""
    scenarios.ready(platform.broker, "i1")
    answer = platform.bind(parameters={"access": "admin"})
    assert answer.status_code == 400
    assert "access" in answer.json["description"]


def test_bindings_of_one_instance_proceed_side_by_side(platform: Platform) -> None:
    """Blocking Operations: several binds of one instance are in progress at once; the instance itself is not touched meanwhile."""
    scenarios.ready(platform.broker, "i1")
    assert [platform.bind(binding_id=f"b{number}").status_code for number in range(3)] == [202] * 3
    assert len({scenarios.claim(platform.broker).operation_id for _ in range(3)}) == 3
    assert platform.patch(parameters={"memory": 2}).json["error"] == "ConcurrencyError"


def test_unbind_then_again_is_410(platform: Platform) -> None:
    """Unbinding: 202 with an operation; 410 must be returned if the binding does not exist."""
    scenarios.ready(platform.broker, "i1")
    platform.bind()
    scenarios.run(platform.broker, scenarios.BOUND)
    first = platform.unbind()
    assert (first.status_code, platform.unbind().json) == (202, first.json)
    scenarios.run(platform.broker)
    assert platform.unbind().status_code == 410
    assert platform.poll(binding_id="b1").json["state"] == "succeeded"


def test_deprovision_takes_live_bindings_along(platform: Platform) -> None:
    """Deprovisioning with bindings left is unspecified: they go with the instance."""
    scenarios.ready(platform.broker, "i1")
    platform.bind()
    scenarios.run(platform.broker, scenarios.BOUND)
    platform.delete()
    scenarios.run(platform.broker)
    assert platform.unbind().status_code == 410


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2", "/", "/admin/v1/nothing"])
def test_unknown_route_is_a_json_404(platform: Platform, path: str) -> None:
    """Errors are JSON objects with a description, whatever went wrong."""
    answer = platform.call("GET", path)
    assert answer.status_code == 404
    assert answer.json["description"]


def test_wrong_method_is_a_json_405(platform: Platform) -> None:
    """The same for a method that a route does not have."""
    answer = platform.call("POST", "/v2/catalog")
    assert answer.status_code == 405
    assert answer.json["description"]


def test_nul_in_ids_and_values_is_400(platform: Platform) -> None:
    """What no text column can hold is bad input, not a failure."""
    assert platform.put("a%00b").status_code == 400
    assert platform.put(context={"instance_name": "a\0b"}).status_code == 400
    assert platform.call("GET", "/v2/service_instances/i1/last_operation?operation=%00").status_code == 400


def test_originating_identity_is_kept(platform: Platform) -> None:
    """Originating Identity: who asked is kept with instance and operation; a malformed one is 400."""
    import base64
    import json

    value = base64.b64encode(json.dumps({"username": "duke"}).encode()).decode()
    headers = {"X-Broker-API-Originating-Identity": f"kubernetes {value}"}
    body = {**platform.ids, "organization_guid": "o", "space_guid": "s"}
    path = "/v2/service_instances/i1?accepts_incomplete=true"
    assert platform.call("PUT", path, json=body, headers={"X-Broker-API-Originating-Identity": "kubernetes %%"}).status_code == 400
    assert platform.call("PUT", path, json=body, headers=headers).status_code == 202
    assert platform.call("GET", "/admin/v1/instances/i1").json["requested_by"] == "duke"


def test_templates_in_tenants_values_stay_strings(platform: Platform) -> None:
    """A tenant's value that looks like a template is refused or kept as it is, never rendered."""
    evil = "{{ lookup('pipe','touch pwned') }}"
    answer = platform.put(parameters={"password": evil}, context={"platform": "x", "instance_name": evil})
    assert answer.status_code == 202
    work = scenarios.claim(platform.broker)
    assert work.variables["apb_parameters"]["password"] == evil
    assert work.variables["apb_instance"]["context"]["instance_name"] == evil
    assert platform.put("i2", parameters={"host": evil}).status_code == 400
