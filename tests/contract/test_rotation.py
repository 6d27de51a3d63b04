"""Rotation: a successor for a binding, valid beside it until one of them ends (OSB 2.17, "Binding Rotation", "Binding Metadata Object")."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from apb_broker.lifecycle import bindings
from tests import scenarios
from tests.conftest import CONFIG
from tests.contract.conftest import Platform

EXPIRING = "targets: [local], binding_expiry: {after_seconds: 3600, renew_seconds: 600}}]"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


@pytest.fixture
def bound(platform: Platform) -> Platform:
    """A platform with one binding, for reading."""
    platform.ready()
    platform.bound(parameters={"access": "read"})
    return platform


@pytest.fixture
def expiring(platform_at: Callable[[str], Platform], tmp_path: Path) -> Platform:
    """The same, of a broker whose bindings are valid for an hour, of which the last ten minutes are for their rotation."""
    platform = platform_at(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", EXPIRING))
    platform.ready()
    platform.bound()
    return platform


def test_rotation_names_its_predecessor_only(bound: Platform) -> None:
    """Binding Rotation: the short form of the body; the successor takes over the parameters and has an account of its own."""
    answer = bound.rotate()
    assert (answer.status_code, answer.json.keys()) == (202, {"operation"})
    assert bound.rotate().json == answer.json
    work = scenarios.run(bound.broker, scenarios.BOUND)
    assert work.variables["apb_binding"]["parameters"] == {"access": "read"}
    assert work.variables["apb_binding"]["username"] != work.variables["apb_bindings"][0]["username"]
    assert bound.fetch("i1", "b2").json["parameters"] == {"access": "read"}


@pytest.mark.parametrize("more", [{}, {"parameters": {"access": "read"}}, {"app_guid": "app"}, {"context": {"platform": "x"}}], ids=str)
def test_rotation_in_the_form_of_a_binding_is_the_same(bound: Platform, more: dict[str, Any]) -> None:
    """Binding Rotation: some platforms send service, plan and parameters along; they have to be the predecessor's."""
    answer = bound.rotate(**bound.ids, **more)
    assert answer.status_code == 202
    assert bound.rotate().json == answer.json
    assert scenarios.claim(bound.broker).variables["apb_binding"]["parameters"] == {"access": "read"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"parameters": {"access": "readwrite"}},
        {"parameters": {}},
        {"service_id": "other"},
        {"plan_id": "other"},
        {"predecessor_binding_id": ""},
        {"predecessor_binding_id": 7},
    ],
    ids=str,
)
def test_rotation_that_says_otherwise_is_400(bound: Platform, wrong: dict[str, Any]) -> None:
    """Binding Rotation: what is no rotation of this binding is refused; the field is named."""
    body = {"predecessor_binding_id": "b1", **wrong}
    answer = bound.call("PUT", "/v2/service_instances/i1/service_bindings/b2?accepts_incomplete=true", json=body)
    assert (answer.status_code, next(iter(wrong)) in answer.json["description"]) == (400, True)
    assert bound.poll("i1", "b2").status_code == 404


def test_rotation_leaves_both_valid(bound: Platform) -> None:
    """Binding Rotation: both must be valid side by side, until one is unbound; then the other one goes on."""
    bound.rotate()
    scenarios.run(bound.broker, scenarios.BOUND)
    assert bound.fetch("i1", "b1").status_code == bound.fetch("i1", "b2").status_code == 200
    bound.unbind()
    work = scenarios.run(bound.broker)
    assert (work.kind, work.binding_id) == ("unbind", "b1")
    assert bound.fetch("i1", "b2").json["credentials"] == scenarios.CREDENTIALS


def test_rotation_within_the_request(bound: Platform) -> None:
    """Binding Rotation: it is answered as a binding is: 201 with the new credentials, and 200 when asked again."""
    with bound.working(scenarios.BOUND):
        answer = bound.rotate(query="")
    assert (answer.status_code, answer.json["credentials"]) == (201, scenarios.CREDENTIALS)
    assert bound.rotate(query="").status_code == 200


def test_rotation_can_be_rotated(bound: Platform) -> None:
    """Binding Rotation: a successor is a binding as any other."""
    bound.rotate()
    scenarios.run(bound.broker, scenarios.BOUND)
    assert bound.rotate("b2", "b3").status_code == 202
    assert scenarios.claim(bound.broker).variables["apb_binding"]["parameters"] == {"access": "read"}


@pytest.mark.parametrize("predecessor", ["unknown", "foreign", "failed", "leaving"])
def test_rotation_of_what_is_not_valid_is_400(bound: Platform, predecessor: str) -> None:
    """Binding Rotation: the predecessor must be a binding of the same instance that is there."""
    bound.ready("i2")
    bound.bound("i2", "foreign")
    bound.bind(binding_id="failed")
    scenarios.run(bound.broker, scenarios.Result("failed"))
    bound.bound(binding_id="leaving")
    bound.unbind(binding_id="leaving")
    answer = bound.rotate(predecessor, "new")
    assert (answer.status_code, "predecessor_binding_id" in answer.json["description"]) == (400, True)


def test_rotation_under_an_id_in_use_is_409(bound: Platform) -> None:
    """Binding Rotation: a successor has an id of its own; one that exists with another predecessor, or without one, is another binding."""
    assert bound.rotate("b1", "b1").status_code == 409
    bound.bound(binding_id="b3", parameters={"access": "read"})
    assert bound.rotate("b1", "b3").status_code == 409
    bound.rotate()
    assert bound.bind(binding_id="b2", parameters={"access": "read"}).status_code == 409


def test_rotation_that_the_plan_does_not_offer_is_422(box_platform: Callable[..., Platform]) -> None:
    """Binding Rotation: only where the plan says binding_rotatable."""
    platform = box_platform(service={"rotatable": True}, plans={"small": {"rotatable": False}})
    platform.ready()
    platform.bound()
    assert platform.catalog().json["services"][0]["plans"][0]["binding_rotatable"] is False
    answer = platform.rotate()
    assert (answer.status_code, "small" in answer.json["description"]) == (422, True)


def test_rotation_needs_no_application_named_again(box_platform: Callable[..., Platform]) -> None:
    """Binding Rotation: the platform may not have what the first request had."""
    platform = box_platform(service={"rotatable": True, "bind": {"requires_app": True}})
    platform.ready()
    platform.bound(app_guid="app")
    assert platform.rotate().status_code == 202


def test_binding_tells_when_it_ends_and_when_to_renew_it(expiring: Platform) -> None:
    """Binding Metadata Object: UTC in the form of ISO 8601, and the time to renew is not after the end; both answers tell it."""
    told = expiring.fetch("i1", "b1").json["metadata"]
    assert expiring.bind().json["metadata"] == told
    assert all(TIME.fullmatch(told[name]) for name in ("expires_at", "renew_before"))
    expires, renew = (datetime.fromisoformat(told[name]) for name in ("expires_at", "renew_before"))
    assert expires - renew == timedelta(minutes=10)
    assert abs(expires - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=5)


def test_binding_within_the_request_tells_when_it_ends(expiring: Platform) -> None:
    """Binding Metadata Object: also in the answer that carries the credentials at once."""
    with expiring.working(scenarios.BOUND):
        answer = expiring.bind(binding_id="b2", query="")
    assert (answer.status_code, answer.json["metadata"].keys()) == (201, {"expires_at", "renew_before"})


def test_binding_without_an_end_tells_none(bound: Platform) -> None:
    """Binding Metadata Object: where the operator sets no time, there is none."""
    assert "metadata" not in bound.fetch("i1", "b1").json


def test_binding_that_expired_cannot_be_rotated_and_is_removed(expiring: Platform) -> None:
    """Binding Rotation: the predecessor must not be expired; its successor does not end with it."""
    expiring.rotate()
    scenarios.run(expiring.broker, scenarios.BOUND)
    with expiring.broker.database.engine.begin() as connection:
        connection.execute(text("UPDATE bindings SET expires_at = now() - interval '1 s' WHERE id = 'b1'"))
    assert expiring.rotate("b1", "b3").status_code == 400
    assert bindings.unbind_expired(expiring.broker) == 1
    assert scenarios.run(expiring.broker).binding_id == "b1"
    assert (expiring.fetch("i1", "b1").status_code, expiring.fetch("i1", "b2").status_code) == (404, 200)
