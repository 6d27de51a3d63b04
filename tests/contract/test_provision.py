"""Provisioning: an id, a plan, parameters, and what is known of the instance at once (OSB 2.17, "Provisioning")."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.conftest import CONFIG
from tests.contract.conftest import Platform

DASHBOARD = {"dashboard_url": "http://{{ instance.host }}:{{ instance.ports.client }}/{{ instance.names.slug }}"}


def test_provision_is_accepted_with_its_connection(platform: Platform) -> None:
    """Provisioning: 202 with an operation; a vendor field tells host and port at once."""
    answer = platform.put(parameters={"memory": "0.5", "host": "redis.test.cn"})
    assert answer.status_code == 202
    assert 0 < len(answer.json["operation"]) <= 10_000
    assert answer.json["apb_connection"] == {"host": "127.0.0.1", "port": 31000, "dns_name": "redis.test.cn"}
    assert platform.poll(operation=answer.json["operation"]).json["state"] == "in progress"
    scenarios.run(platform.broker)
    assert platform.poll().json["state"] == "succeeded"


def test_provision_tells_the_dashboard_at_once(box_platform: Callable[..., Platform]) -> None:
    """Provisioning: whoever wants a dashboard shown says so in the first answer; its URL tells instances apart."""
    platform = box_platform(service=DASHBOARD)
    first, other = platform.put(), platform.put("i2")
    assert (first.status_code, first.json["dashboard_url"].startswith("http://192.0.2.1:3100")) == (202, True)
    assert first.json["dashboard_url"] != other.json["dashboard_url"]
    assert platform.put().json["dashboard_url"] == first.json["dashboard_url"]
    scenarios.run(platform.broker)
    assert platform.fetch().json["dashboard_url"] == platform.put().json["dashboard_url"] == first.json["dashboard_url"]


def test_provision_without_a_dashboard_names_none(platform: Platform) -> None:
    """Provisioning: a dashboard_url that is present is a URL or null, so where there is none it is left out."""
    assert platform.put().json.get("dashboard_url") is None


def test_provision_tells_labels_and_attributes(platform: Platform) -> None:
    """Service Instance Metadata: labels to choose by and attributes to know by, all of them text."""
    told = platform.put().json["metadata"]
    assert told["labels"] == {"service": "redis", "plan": "redis-standard", "mode": "host"}
    assert told["attributes"]["name"].startswith("redis-")
    scenarios.run(platform.broker)
    assert platform.fetch().json["metadata"] == told


def test_provision_again_in_progress_is_202_with_the_same_operation(platform: Platform) -> None:
    """Provisioning: a re-sent request while in progress must be 202 with the same operation; numbers as strings are the same."""
    first = platform.put(parameters={"memory": 0.5})
    again = platform.put(parameters={"memory": "0.5"})
    assert (again.status_code, again.json) == (202, first.json)
    scenarios.claim(platform.broker)
    assert platform.put(parameters={"memory": 0.5}).json["operation"] == first.json["operation"]
    assert operations.claim(platform.broker, "other") is None


def test_provision_again_when_done_is_200(platform: Platform) -> None:
    """Provisioning: 200 if the instance exists, is fully provisioned, and what was asked for is the same; there is no operation then."""
    first = platform.put(parameters={"memory": 1})
    scenarios.run(platform.broker)
    again = platform.put()
    assert (again.status_code, again.json) == (200, {name: value for name, value in first.json.items() if name != "operation"})


def test_provision_again_may_differ_in_what_is_no_attribute(platform: Platform) -> None:
    """Provisioning: context, maintenance version and unknown fields are not part of what is compared."""
    first = platform.put(context={"platform": "kubernetes"}, maintenance_info={"version": "1.0.0"})
    again = platform.put(context={"platform": "kubernetes", "namespace": "new"}, x_vendor=1)
    assert (again.status_code, again.json["operation"]) == (202, first.json["operation"])


@pytest.mark.parametrize(
    "changes", [{"parameters": {"memory": 2}}, {"organization_guid": "other"}, {"space_guid": "other"}], ids=["parameters", "org", "space"]
)
@pytest.mark.parametrize("end", [None, scenarios.SUCCESS, Result("failed")], ids=["in progress", "done", "failed"])
def test_provision_with_other_attributes_is_409(platform: Platform, changes: dict, end: Result | None) -> None:
    """Provisioning: 409 must be returned if the id exists or is being provisioned with different attributes; nothing is changed."""
    first = platform.put(parameters={"memory": 0.5})
    if end is not None:
        scenarios.run(platform.broker, end)
    before = platform.poll().json
    assert platform.put(**{"parameters": {"memory": 0.5}, **changes}).status_code == 409
    assert platform.poll().json == before
    if end is None:
        assert platform.put(parameters={"memory": 0.5}).json["operation"] == first.json["operation"]


def test_provision_of_another_plan_under_the_same_id_is_409(box_platform: Callable[..., Platform]) -> None:
    """Provisioning: the plan is one of the attributes."""
    platform = box_platform()
    platform.put()
    assert box_platform("large").put().status_code == 409


def test_provision_of_an_id_whose_provisioning_failed_tries_again(platform: Platform) -> None:
    """Provisioning: the id does not stand for a finished instance, so the same request makes one, under the same names."""
    first = platform.put(parameters={"password": "my-own-password"})
    scenarios.run(platform.broker, Result("failed", message="no disk"))
    again = platform.put(parameters={"password": "my-own-password"})
    assert again.status_code == 202
    assert again.json["operation"] != first.json["operation"]
    assert again.json["apb_connection"] == first.json["apb_connection"]
    assert platform.poll(operation=first.json["operation"]).json["state"] == "failed"
    scenarios.run(platform.broker)
    assert platform.poll().json["state"] == "succeeded"
    assert platform.fetch().status_code == 200


def test_provision_during_its_removal_is_a_concurrency_error(platform: Platform) -> None:
    """Blocking Operations: what is being removed cannot be made again before it is gone; then it can."""
    platform.ready()
    platform.delete()
    answer = platform.put()
    assert (answer.status_code, answer.json["error"]) == (422, "ConcurrencyError")
    scenarios.run(platform.broker)
    assert platform.put().status_code == 202


@pytest.mark.parametrize("query", ["", "?accepts_incomplete=false", "?accepts_incomplete=True", "?accepts_incomplete=1"])
def test_provision_without_accepts_incomplete_is_422(platform: Platform, query: str) -> None:
    """Asynchronous Operations: AsyncRequired with 422 where the parameter is absent or not `true`; nothing is begun."""
    answer = platform.put(query=query)
    assert (answer.status_code, answer.json["error"]) == (422, "AsyncRequired")
    assert platform.poll().status_code == 404


@pytest.mark.parametrize("field", ["service_id", "plan_id", "organization_guid", "space_guid"])
@pytest.mark.parametrize("value", [None, "", 7], ids=["null", "empty", "number"])
def test_provision_without_a_mandatory_field_is_400(platform: Platform, field: str, value: object) -> None:
    """Provisioning: malformed or missing mandatory data must be 400; the field is named."""
    answer = platform.put(**{field: value})
    assert (answer.status_code, field in answer.json["description"]) == (400, True)


@pytest.mark.parametrize("field", ["context", "parameters", "maintenance_info"])
@pytest.mark.parametrize("value", [[], "x", 7], ids=["list", "text", "number"])
def test_provision_with_a_field_of_another_shape_is_400(platform: Platform, field: str, value: object) -> None:
    """Provisioning: what is an object has to be one; the field is named."""
    answer = platform.put(**{field: value})
    assert (answer.status_code, field in answer.json["description"]) == (400, True)


def test_provision_of_an_unknown_service_or_plan_is_400(platform: Platform) -> None:
    """Provisioning: service and plan must be of the catalog, and belong together; the field is named."""
    assert "service_id" in platform.put(service_id="none").json["description"]
    assert platform.put(service_id="none").status_code == 400
    assert "plan_id" in platform.put(plan_id="none").json["description"]
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
def test_provision_with_a_bad_parameter_is_400(platform: Platform, parameters: dict, words: list[str]) -> None:
    """Provisioning: parameters should be valid; the answer names parameter, value and limit. A sensitive value is not repeated."""
    answer = platform.put(parameters=parameters)
    assert answer.status_code == 400
    assert all(word in answer.json["description"] for word in words), answer.json
    assert "short" not in answer.json["description"].replace("shorter", "")


@pytest.mark.parametrize("kind", [float, str])
def test_provision_takes_every_step_of_memory(platform: Platform, kind: type) -> None:
    """Provisioning: 0.1 to 4.0 GB in steps of 0.1, as number and as string."""
    for step in range(1, 41):
        instance_id = f"i-{step}"
        assert platform.put(instance_id, parameters={"memory": kind(step / 10)}).status_code == 202
        scenarios.deprovision(platform.broker, instance_id)
        scenarios.run(platform.broker)


def test_provision_without_room_is_422_and_leaves_nothing(box_platform: Callable[..., Platform]) -> None:
    """Service Broker Errors: a 4xx must leave everything as it was; what each host lacks is said."""
    platform = box_platform("large")
    answer = platform.put(parameters={"memory": 8})
    assert (answer.status_code, "GB of memory free" in answer.json["description"]) == (422, True)
    assert platform.poll().status_code == 404
    assert platform.call("GET", "/admin/v1/instances").json["instances"] == []


def test_provision_of_a_plan_that_is_for_others_is_403(platform_at: Callable[[str], Platform], tmp_path: Path) -> None:
    """Provisioning: a plan may be for some organizations and spaces only; the answer says for which it is not. Nothing is begun."""
    offered = "targets: [local], visible_to: {organizations: [shop], spaces: [lab]}}]"
    platform = platform_at(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", offered))
    answer = platform.put()
    assert (answer.status_code, "organization org or space space" in answer.json["description"]) == (403, True)
    assert platform.poll().status_code == 404
    assert platform.put(organization_guid="shop").status_code == platform.put("i2", space_guid="lab").status_code == 202


def test_provision_beyond_a_quota_is_422(platform_at: Callable[[str], Platform], tmp_path: Path) -> None:
    """Provisioning: the state (here: what the space has already) forbids it; the answer says which quota. Nothing is begun."""
    platform = platform_at(CONFIG.format(directory=tmp_path) + "quotas: [{per: space, instances: 1}]\n")
    assert platform.put().status_code == 202
    answer = platform.put("i2")
    assert (answer.status_code, "space space may have 1 instances" in answer.json["description"]) == (422, True)
    assert platform.poll("i2").status_code == 404
    assert platform.put().status_code == platform.put("i3", space_guid="other").status_code == 202


def test_unknown_fields_are_ignored(platform: Platform) -> None:
    """Vendor Extension Fields: receivers must ignore what they do not know, at each depth."""
    info = {"version": "1.0.0", "description": "what the catalog said", "x_vendor": 1}
    assert platform.put(x_vendor={"a": 1}, previous_values=None, maintenance_info=info, context={"x": 1}).status_code == 202
    scenarios.run(platform.broker)
    assert platform.patch(x_vendor=1, previous_values={"x": 1}, parameters={"memory": 2}).status_code == 202
    scenarios.run(platform.broker)
    assert platform.bind(x_vendor=1, bind_resource={"x": 1, "app_guid": "app"}).status_code == 202


def test_templates_in_tenants_values_stay_strings(platform: Platform) -> None:
    """Provisioning: a tenant's value that looks like a template is refused or kept as it is, never rendered."""
    evil = "{{ lookup('pipe','touch pwned') }}"
    answer = platform.put(parameters={"password": evil}, context={"platform": "x", "instance_name": evil})
    assert answer.status_code == 202
    work = scenarios.claim(platform.broker)
    assert work.variables["apb_parameters"]["password"] == evil
    assert work.variables["apb_instance"]["context"]["instance_name"] == evil
    assert platform.put("i2", parameters={"host": evil}).status_code == 400


def test_fields_of_our_own_have_our_prefix(platform: Platform) -> None:
    """Vendor Extension Fields: whatever is not of the specification begins with apb_, so that it never meets a field of a later one."""
    known = {"dashboard_url", "operation", "metadata", "service_id", "plan_id", "parameters", "maintenance_info", "state", "description"}
    known |= {"credentials", "endpoints"}
    answers = [platform.put(), platform.poll()]
    scenarios.run(platform.broker)
    platform.bound()
    answers += [platform.fetch(), platform.patch(), platform.bind(), platform.fetch("i1", "b1"), platform.delete()]
    for answer in answers:
        assert all(name.startswith("apb_") for name in answer.json.keys() - known), answer.json
