"""Polling: how the last operation stands, while it runs and ever after (OSB 2.17, "Polling Last Operation for …")."""

import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios
from tests.contract.conftest import Platform


def test_poll_tells_the_state_and_what_is_being_done(platform: Platform) -> None:
    """Polling Last Operation for Service Instances: in progress with a description that is never empty, then succeeded."""
    platform.put()
    assert platform.poll().json == {"state": "in progress", "description": "in progress"}
    work = scenarios.claim(platform.broker)
    operations.report(platform.broker, work.operation_id, work.epoch, ["Make the directory", "Start the server"])
    assert platform.poll().json == {"state": "in progress", "description": "Start the server"}
    operations.finish(platform.broker, work.operation_id, work.epoch, scenarios.SUCCESS)
    found = platform.poll()
    assert (found.status_code, found.json["state"], bool(found.json["description"])) == (200, "succeeded", True)


def test_poll_tells_when_to_ask_again(platform: Platform) -> None:
    """Polling Last Operation: Retry-After is a duration in seconds, as is recommended, and only there while it makes sense."""
    platform.put()
    assert int(platform.poll().headers["Retry-After"]) > 0
    scenarios.run(platform.broker)
    assert "Retry-After" not in platform.poll().headers
    platform.bind()
    assert int(platform.poll("i1", "b1").headers["Retry-After"]) > 0


def test_poll_of_a_failed_provision_tells_why_and_nothing_of_usability(platform: Platform) -> None:
    """Service Broker Errors: instance_usable and update_repeatable are of updates and removals only."""
    platform.put()
    scenarios.run(platform.broker, Result("failed", message="no disk"))
    assert platform.poll().json == {"state": "failed", "description": "no disk"}


def test_poll_of_a_failed_update_tells_whether_to_try_again(platform: Platform) -> None:
    """Polling Last Operation for Service Instances: the instance can be used as before, and the update may be repeated."""
    platform.ready()
    platform.patch(parameters={"memory": 2})
    scenarios.run(platform.broker, Result("failed", message="no"))
    assert platform.poll().json == {"state": "failed", "description": "no", "instance_usable": True, "update_repeatable": True}


def test_poll_of_an_update_that_succeeded_tells_nothing_of_usability(platform: Platform) -> None:
    """Polling Last Operation for Service Instances: these fields say something of failures only."""
    platform.ready()
    platform.patch(parameters={"memory": 2})
    assert platform.poll().json.keys() == {"state", "description"}
    scenarios.run(platform.broker)
    assert platform.poll().json.keys() == {"state", "description"}


def test_poll_of_a_binding_has_state_and_description_only(platform: Platform) -> None:
    """Polling Last Operation for Service Bindings: no other fields, whatever became of it."""
    platform.ready()
    platform.bind()
    assert platform.poll("i1", "b1").json == {"state": "in progress", "description": "in progress"}
    scenarios.run(platform.broker, Result("failed", message="no account"))
    assert platform.poll("i1", "b1").json == {"state": "failed", "description": "no account"}
    platform.unbind()
    scenarios.run(platform.broker, Result("failed", message="no answer"))
    assert platform.poll("i1", "b1").json == {"state": "failed", "description": "no answer"}


def test_poll_of_unknown_is_404(platform: Platform) -> None:
    """Polling Last Operation: 404 if the instance or binding does not exist and never did."""
    assert platform.poll("unknown").status_code == 404
    assert platform.poll("unknown", operation="unknown").status_code == 404
    operation = platform.put().json["operation"]
    assert platform.poll("i1", "unknown").status_code == 404
    assert platform.poll("unknown", operation=operation).status_code == 404


def test_poll_of_a_foreign_operation_is_400(platform: Platform) -> None:
    """Polling Last Operation: malformed data; it is an operation of the instance or binding that is polled."""
    platform.ready("i3")
    other = platform.put("i2").json["operation"]
    own = platform.put("i1").json["operation"]
    assert [platform.poll(operation=operation).status_code for operation in (own, other, "unknown")] == [200, 400, 400]
    bound = platform.bind("i3", "b1").json["operation"]
    assert platform.poll("i3", operation=bound).status_code == 400
    assert platform.poll("i3", "b1", operation=bound).status_code == 200


def test_poll_takes_hints_and_does_not_believe_them(box_platform: Callable[..., Platform]) -> None:
    """Polling Last Operation: after a change of plan the platform names the plan before it; present hints must not be empty."""
    platform = box_platform()
    platform.ready()
    platform.bound()
    operation = platform.patch(plan_id=boxes.ids("large")["plan_id"]).json["operation"]
    old = f"{platform.named}&operation={quote(operation, safe='')}"
    assert platform.call("GET", f"/v2/service_instances/i1/last_operation?{old}").json["state"] == "in progress"
    scenarios.run(platform.broker)
    for plan in ("small", "large"):
        named = f"service_id={platform.ids['service_id']}&plan_id={boxes.ids(plan)['plan_id']}&operation={operation}"
        assert platform.call("GET", f"/v2/service_instances/i1/last_operation?{named}").json["state"] == "succeeded"
    for path in ("i1", "i1/service_bindings/b1"):
        for name in ("service_id", "plan_id", "operation"):
            assert platform.call("GET", f"/v2/service_instances/{path}/last_operation?{name}=").status_code == 400


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
def test_poll_remembers_how_it_ended(platform: Platform, platform_with: Callable[[str], Platform], restarted: bool) -> None:
    """Polling Last Operation: the state should not be forgotten when it was told once, nor with the instance or a restart."""
    creation = platform.put().json["operation"]
    scenarios.run(platform.broker)
    platform.bound()
    bound = platform.poll("i1", "b1").json
    removal = platform.delete().json["operation"]
    scenarios.run(platform.broker)
    later = platform_with("{}") if restarted else platform
    for _ in range(2):
        assert later.poll(operation=creation).json["state"] == "succeeded"
        assert later.poll("i1", "b1").json == bound
        assert later.poll(operation=removal).json["state"] == later.poll().json["state"] == "succeeded"


def test_poll_without_an_operation_tells_the_last_one(platform: Platform) -> None:
    """Polling Last Operation: earlier operations are told by their names."""
    first = platform.put().json["operation"]
    scenarios.run(platform.broker)
    platform.patch(parameters={"memory": 2})
    assert platform.poll().json["state"] == "in progress"
    assert platform.poll(operation=first).json["state"] == "succeeded"
    scenarios.run(platform.broker, Result("failed", message="no"))
    assert (platform.poll().json["state"], platform.poll(operation=first).json["state"]) == ("failed", "succeeded")


def test_poll_after_a_removal_is_410_where_the_operator_says_so(platform_with: Callable[[str], Platform]) -> None:
    """Polling Last Operation: 410 is for asynchronous removals only; what some platforms expect instead of `succeeded`."""
    platform = platform_with("{deleted_operation_status: 410}")
    creation = platform.put().json["operation"]
    assert platform.poll().status_code == 200
    scenarios.run(platform.broker)
    assert platform.poll().status_code == 200
    platform.bound()
    platform.unbind()
    assert platform.poll("i1", "b1").status_code == 200
    scenarios.run(platform.broker)
    assert platform.poll("i1", "b1").status_code == 410
    platform.delete()
    assert platform.poll().status_code == 200
    scenarios.run(platform.broker, Result("failed", message="no"))
    assert platform.poll().json["state"] == "failed"
    platform.delete()
    scenarios.run(platform.broker)
    assert (platform.poll().status_code, platform.poll(operation=creation).status_code) == (410, 200)


def test_poll_of_what_missed_its_time_is_failed(platform_with: Callable[[str], Platform]) -> None:
    """Polling Interval and Duration: a platform that stops polling takes it as failed; so does the broker, within that time."""
    platform = platform_with("{operation_deadline_seconds: 0.01}")
    platform.put()
    give_up = time.monotonic() + 20
    while not operations.sweep(platform.broker) and time.monotonic() < give_up:  # until the database's clock is past it
        pass
    assert platform.poll().json["state"] == "failed"
