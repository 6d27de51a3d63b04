"""What osb_instance and osb_binding ask brokers that keep things to themselves, are busy, or fail. Integration tests have a good one."""

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import osb, osb_binding, osb_catalog, osb_instance

from tests.unit.plugins import scripted_broker

PLANS = [{"name": "small", "id": "p1"}, {"name": "large", "id": "p2"}]
SERVICE = {"name": "crate", "id": "s1", "plans": PLANS, "instances_retrievable": True, "bindings_retrievable": True}
QUIET = {"name": "crate", "id": "s1", "plans": PLANS}
INSTANCE, BINDING = "/v2/service_instances/i", "/v2/service_instances/i/service_bindings/b"
THERE = {"service_id": "s1", "plan_id": "p1", "parameters": {"size": 1, "label": "a"}}
GOING_ON, DONE, BROKEN = ((200, {"state": state, "description": "no room"}) for state in ("in progress", "succeeded", "failed"))
WRITES = ("PUT", "PATCH", "DELETE")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(osb, "PAUSE_SECONDS", 0)
    with scripted_broker.running() as made:
        made.say("GET /v2/catalog", (200, {"services": [SERVICE]}))
        yield made


def defaults(spec):
    return {name: option.get("default") for name, option in spec.items()}


def instance(script, *, check_mode=False, **given):
    params = {
        **defaults(osb_instance.SPEC),
        "url": script.url,
        "instance": "cache",
        "instance_id": "i",
        "service": "crate",
        "plan": "small",
    }
    return osb_instance.work({**params, **given}, check_mode)


def binding(script, *, check_mode=False, **given):
    params = {
        **defaults(osb_binding.SPEC),
        "url": script.url,
        "instance": "cache",
        "instance_id": "i",
        "binding": "shop",
        "binding_id": "b",
    }
    return osb_binding.work({**params, **given}, check_mode)


@pytest.mark.parametrize("given", [{}, {"parameters": {"size": 1}}, {"parameters": {"size": 1.0, "label": "a"}}])
def test_instance_that_is_so_already_is_left_alone(script, given):
    """What is not named stays, and 1 is 1.0 in JSON."""
    script.say(f"GET {INSTANCE}", (200, {**THERE, "apb_connection": {"port": 1}}))
    result = instance(script, **given)
    assert (result["changed"], result["connection"]) == (False, {"port": 1})
    assert script.sent(*WRITES) == []


def test_instance_changes_only_what_differs(script):
    """With the plan it had, when that changes."""
    after = {**THERE, "plan_id": "p2", "parameters": {"size": 2, "label": "a"}}
    script.say(f"GET {INSTANCE}", (200, THERE), (200, after))
    script.say(f"PATCH {INSTANCE}", (202, {"operation": "o"}))
    script.say(f"GET {INSTANCE}/last_operation", GOING_ON, DONE)
    result = instance(script, plan="large", parameters={"size": 2, "label": "a"})
    body = {"service_id": "s1", "plan_id": "p2", "parameters": {"size": 2}, "previous_values": {"plan_id": "p1"}}
    assert script.body("PATCH") == body
    assert result["changed"]
    assert result["diff"] == {"before": {"plan": "small", "parameters": THERE["parameters"]}, "after": {"plan": "large", **shown(after)}}


def shown(told):
    return {"parameters": told["parameters"]}


def test_instance_that_the_broker_finds_unchanged_is_unchanged(script):
    """Brokers take numbers that are texts; what they tell before and after says whether anything happened."""
    script.say(f"GET {INSTANCE}", (200, THERE))
    script.say(f"PATCH {INSTANCE}", (200, {}))
    assert not instance(script, parameters={"size": "1"})["changed"]


@pytest.mark.parametrize(("answer", "is_changed"), [((200, {}), False), ((409, {"description": "another"}), True)])
def test_secret_parameters_are_compared_by_the_broker(script, answer, is_changed):
    """It does not tell them; of the same request it says 200, of another 409."""
    script.say(f"GET {INSTANCE}", (200, THERE))
    script.say(f"PUT {INSTANCE}", answer)
    script.say(f"PATCH {INSTANCE}", (200, {}))
    result = instance(script, parameters={"size": 1}, secret_parameters={"pin": "canary"})
    assert script.body("PUT")["parameters"] == {"size": 1, "label": "a", "pin": "canary"}
    assert script.sent("PATCH") == ([f"PATCH {INSTANCE}"] if is_changed else [])
    assert not is_changed or script.body("PATCH")["parameters"] == {"pin": "canary"}
    assert result["changed"] is is_changed
    assert "canary" not in str(result)


@pytest.mark.parametrize(("answer", "is_changed"), [((200, {}), False), ((409, {"description": "another"}), True)])
def test_secret_parameters_beside_others_are_compared_too(script, answer, is_changed):
    """A number as text looks different and is not; whether the secret is, only the broker knows."""
    script.say(f"GET {INSTANCE}", (200, THERE))
    script.say(f"PUT {INSTANCE}", answer)
    script.say(f"PATCH {INSTANCE}", (200, {}))
    assert instance(script, parameters={"size": "1"}, secret_parameters={"pin": "canary"})["changed"] is is_changed
    assert script.body("PATCH")["parameters"] == {"size": "1", "pin": "canary"}


def test_secret_parameters_are_not_shown_when_the_broker_tells_them(script):
    """Some do. They are compared like others then."""
    script.say(f"GET {INSTANCE}", (200, {**THERE, "parameters": {"pin": "canary-1"}}))
    told = instance(script, check_mode=True, secret_parameters={"pin": "canary-2"})
    assert told["changed"]
    assert "canary" not in str([told, instance(script, check_mode=True, state="absent", secret_parameters={"pin": "canary-2"})])


def test_check_mode_writes_nothing(script):
    """Not even to compare what the broker keeps to itself: that is told."""
    script.say(f"GET {INSTANCE}", (200, THERE))
    result = instance(script, check_mode=True, secret_parameters={"pin": "canary"})
    assert not result["changed"]
    assert "does not tell all of its parameters" in result["warnings"][0]
    assert instance(script, check_mode=True, plan="large")["changed"]
    assert instance(script, check_mode=True, state="absent")["changed"]
    script.say(f"GET {INSTANCE}", (404, {}))
    assert instance(script, check_mode=True)["changed"]
    assert not instance(script, check_mode=True, state="absent")["changed"]
    assert script.sent(*WRITES) == []


def test_instance_of_another_service_is_refused(script):
    """Services do not change."""
    script.say(f"GET {INSTANCE}", (200, {**THERE, "service_id": "s9"}))
    with pytest.raises(osb.OsbError, match="instance cache is of another service than crate, and services do not change: choose another"):
        instance(script)


def test_instance_that_is_being_made_is_waited_for(script):
    """Also when somebody else began, and failed: then it is asked for again."""
    script.say(f"GET {INSTANCE}", (404, {}))
    script.say(f"GET {INSTANCE}/last_operation", GOING_ON, GOING_ON, BROKEN, BROKEN, DONE)
    script.say(f"PUT {INSTANCE}", (202, {"operation": "o"}))
    assert instance(script)["changed"]
    assert script.sent(*WRITES) == [f"PUT {INSTANCE}"]


def test_instance_that_is_being_made_is_left_alone_when_nobody_waits(script):
    """The next run sees what has become of it."""
    script.say(f"GET {INSTANCE}", (422, {"error": "ConcurrencyError"}))
    result = instance(script, wait=False)
    assert (result["changed"], result["in_progress"]) == (False, True)
    assert script.sent(*WRITES) == []


def test_order_that_nobody_waits_for_is_told_with_its_operation(script):
    """And where it will be, which brokers of apb know at once."""
    script.say(f"PUT {INSTANCE}", (202, {"operation": "o", "apb_connection": {"port": 1}}))
    result = instance(script, wait=False)
    assert {name: result[name] for name in ("changed", "in_progress", "operation", "connection")} == {
        "changed": True,
        "in_progress": True,
        "operation": "o",
        "connection": {"port": 1},
    }


def test_concurrent_change_is_waited_for(script):
    """ConcurrencyError says: later."""
    script.say(f"GET {INSTANCE}", (200, THERE), (200, THERE), (200, {**THERE, "plan_id": "p2"}))
    script.say(f"PATCH {INSTANCE}", (422, {"error": "ConcurrencyError", "description": "busy"}), (200, {}))
    assert instance(script, plan="large")["changed"]
    with pytest.raises(osb.Refused, match="busy"):
        script.say(f"PATCH {INSTANCE}", (422, {"error": "ConcurrencyError", "description": "busy"}))
        instance(script, plan="small", wait=False)


def test_order_that_fails_says_how_to_go_on(script):
    """And nothing is removed by itself: the data of an update that failed is there."""
    script.say(f"PUT {INSTANCE}", (202, {"operation": "o"}))
    script.say(f"GET {INSTANCE}/last_operation", (404, {}), BROKEN)
    with pytest.raises(osb.Failed, match=r"provision of instance cache failed: no room\. Run this again .* or with state=absent"):
        instance(script)


def test_what_a_failed_order_has_left_is_removed(script):
    """Fetched it does not exist, and yet it may hold something."""
    script.say(f"GET {INSTANCE}/last_operation", BROKEN, DONE)
    script.say(f"DELETE {INSTANCE}", (202, {"operation": "o"}))
    assert instance(script, state="absent")["changed"]
    assert [each.query for each in script.asked if each.method == "DELETE"] == ["service_id=s1&plan_id=p1&accepts_incomplete=true"]


def test_removal_of_what_is_gone_changes_nothing(script):
    """Also when it goes meanwhile."""
    assert not instance(script, state="absent", service=None, plan=None)["changed"]
    script.say(f"GET {INSTANCE}", (200, THERE))
    script.say(f"DELETE {INSTANCE}", (410, {}))
    assert not instance(script, state="absent")["changed"]


@pytest.mark.parametrize(
    ("put", "is_changed", "written"),
    [
        ((201, {}), True, ["PUT"]),
        ((200, {}), False, ["PUT"]),
        ((409, {}), True, ["PUT", "PATCH"]),
    ],
)
def test_broker_that_tells_nothing_is_asked_by_ordering(script, put, is_changed, written):
    """instances_retrievable is not a must."""
    script.say("GET /v2/catalog", (200, {"services": [QUIET]}))
    script.say(f"GET {INSTANCE}/last_operation", DONE)
    script.say(f"PUT {INSTANCE}", put)
    script.say(f"PATCH {INSTANCE}", (200, {}))
    assert instance(script, parameters={"size": 2})["changed"] is is_changed
    assert script.sent(*WRITES) == [f"{method} {INSTANCE}" for method in written]
    assert f"GET {INSTANCE}" not in script.sent()


def test_broker_that_tells_nothing_is_not_taken_for_one_that_has_nothing(script):
    """Otherwise a removal would end well and remove nothing."""
    script.say("GET /v2/catalog", (200, {"services": [QUIET]}))
    with pytest.raises(osb.OsbError, match="does not tell all of its instances: give service and plan"):
        instance(script, state="absent", service=None, plan=None)
    script.say(f"GET {INSTANCE}/last_operation", DONE)
    warned = instance(script, check_mode=True)
    assert (warned["changed"], len(warned["warnings"])) == (False, 1)


def test_binding_is_made_once(script):
    """Step by step; its credentials are told only to who asks for them."""
    credentials = {"credentials": {"password": "canary"}, "metadata": {"expires_at": "2027-01-01T00:00:00.0Z"}}
    script.say(f"GET {INSTANCE}", (200, THERE))
    script.say(f"GET {BINDING}", (404, {}), (200, credentials))
    script.say(f"GET {BINDING}/last_operation", (404, {}), GOING_ON, DONE)
    script.say(f"PUT {BINDING}", (202, {"operation": "o"}))
    made = binding(script, parameters={"access": "read"})
    assert script.body("PUT") == {
        "service_id": "s1",
        "plan_id": "p1",
        "context": {"platform": "ansible", "binding_name": "shop"},
        "parameters": {"access": "read"},
    }
    assert (made["changed"], made["expires_at"]) == (True, "2027-01-01T00:00:00.0Z")
    assert "canary" not in str(made)
    again = binding(script, parameters={"access": "read"}, return_credentials=True)
    assert (again["changed"], again["credentials"]) == (False, {"password": "canary"})
    assert len(script.sent(*WRITES)) == 1


def test_binding_with_other_parameters_is_refused(script):
    """Bindings do not change; the values are not told, they may be secrets."""
    script.say(f"GET {INSTANCE}", (200, THERE))
    script.say(f"GET {BINDING}", (200, {"parameters": {"access": "canary"}}))
    with pytest.raises(osb.OsbError, match="binding shop of instance cache was made with another value of access") as refused:
        binding(script, parameters={"access": "write"})
    assert "canary" not in str(refused.value)


def test_binding_of_a_broker_that_tells_nothing_is_made_at_once(script):
    """Without accepts_incomplete: nobody could fetch the credentials afterwards."""
    script.say("GET /v2/catalog", (200, {"services": [QUIET]}))
    script.say(f"PUT {BINDING}", (201, {"credentials": {"password": "canary"}}))
    with pytest.raises(osb.OsbError, match="instance cache is not told by the broker: give service and plan"):
        binding(script)
    made = binding(script, service="crate", plan="small", app_guid="a", return_credentials=True)
    assert made["credentials"] == {"password": "canary"}
    assert [each.query for each in script.asked if each.method == "PUT"] == [""]
    assert script.body("PUT")["bind_resource"] == {"app_guid": "a"}


def test_binding_of_no_instance(script):
    """Is an error to make, and gone already to remove."""
    with pytest.raises(osb.OsbError, match=r"instance cache does not exist, or is not ready: make it first \(osb_instance\)"):
        binding(script)
    assert not binding(script, state="absent")["changed"]


def test_binding_is_removed_with_what_a_failed_one_has_left(script):
    """Once."""
    script.say(f"GET {INSTANCE}", (200, THERE))
    script.say(f"GET {BINDING}/last_operation", BROKEN, (410, {}))
    script.say(f"DELETE {BINDING}", (202, {"operation": "o"}), (410, {}))
    assert binding(script, state="absent", check_mode=True)["changed"]
    script.say(f"GET {BINDING}/last_operation", BROKEN, (410, {}))
    assert binding(script, state="absent")["changed"]
    assert not binding(script, state="absent")["changed"]
    assert script.sent(*WRITES) == [f"DELETE {BINDING}"]


def test_catalog_is_told_whole_or_in_part(script):
    """By name or id."""
    params = {**defaults(osb_catalog.SPEC), "url": script.url}
    assert osb_catalog.work(params, False) == {"changed": False, "services": [SERVICE]}
    assert osb_catalog.work({**params, "service": "s1"}, True)["services"] == [SERVICE]
    with pytest.raises(osb.OsbError, match="no service 'create'; did you mean 'crate'"):
        osb_catalog.work({**params, "service": "create"}, False)
