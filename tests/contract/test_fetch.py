"""Fetching instances and bindings: what is told, when, and what never (OSB 2.17, "Fetching a Service Instance", "… Service Binding")."""

from collections.abc import Callable

import pytest

from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.contract.conftest import Platform

FAILED = Result("failed", message="no")


def test_fetch_tells_what_the_instance_is(platform: Platform) -> None:
    """Fetching a Service Instance: service, plan, parameters, maintenance version and metadata; secrets are withheld."""
    platform.ready(parameters={"memory": 2, "password": "a-long-enough-one"})
    found = platform.fetch()
    assert found.status_code == 200
    assert {name: found.json[name] for name in platform.ids} == platform.ids
    assert found.json["parameters"] == {"memory": 2}
    assert found.json["maintenance_info"] == {"version": "1.0.0"}
    assert found.json["metadata"]["labels"]["plan"] == "redis-standard"
    assert found.json["apb_connection"] == {"host": "127.0.0.1", "port": 31000}
    assert "a-long-enough-one" not in found.text


def test_fetch_of_what_is_not_provisioned_is_404(platform: Platform) -> None:
    """Fetching a Service Instance: 404 if it does not exist, or while it is being provisioned (for the first time or again)."""
    assert platform.fetch().status_code == 404
    platform.put()
    assert platform.fetch().status_code == 404
    scenarios.run(platform.broker, FAILED)
    assert platform.fetch().status_code == 404
    platform.put()
    assert platform.fetch().status_code == 404
    scenarios.run(platform.broker)
    assert platform.poll().json["state"] == "succeeded"
    assert platform.fetch().status_code == 200


def test_fetch_during_an_update_is_a_concurrency_error(platform: Platform) -> None:
    """Fetching a Service Instance: 422 ConcurrencyError while it is updated; the old values after a failure."""
    platform.ready()
    platform.patch(parameters={"memory": 2})
    answer = platform.fetch()
    assert (answer.status_code, answer.json["error"]) == (422, "ConcurrencyError")
    scenarios.run(platform.broker, FAILED)
    assert platform.fetch().json["parameters"] == {"memory": 1}


def test_fetch_of_what_could_not_be_removed_still_answers(platform: Platform) -> None:
    """Fetching a Service Instance: 404 would say that it does not exist, and it does until its removal has succeeded."""
    platform.ready()
    platform.bound()
    platform.unbind()
    scenarios.run(platform.broker, FAILED)
    assert platform.fetch("i1", "b1").status_code == 200
    platform.delete()
    assert platform.fetch().status_code == 200
    scenarios.run(platform.broker, FAILED)
    assert platform.fetch().status_code == 200
    platform.delete()
    scenarios.run(platform.broker)
    assert platform.fetch().status_code == 404


@pytest.mark.parametrize("binding_id", [None, "b1"], ids=["instance", "binding"])
def test_fetch_takes_hints_and_does_not_believe_them(platform: Platform, binding_id: str | None) -> None:
    """Fetching: service_id and plan_id are hints, of a plan before a change perhaps; present ones must not be empty."""
    platform.ready()
    platform.bound()
    assert platform.fetch("i1", binding_id, "?service_id=another&plan_id=before").status_code == 200
    for name in ("service_id", "plan_id"):
        answer = platform.fetch("i1", binding_id, f"?{name}=")
        assert (answer.status_code, name in answer.json["description"]) == (400, True)


def test_fetch_of_a_binding_has_its_credentials(platform: Platform) -> None:
    """Fetching a Service Binding: credentials must be returned if the binding was made asynchronously; parameters with them."""
    platform.ready()
    platform.bound(parameters={"access": "read"})
    assert platform.poll("i1", "b1").json["state"] == "succeeded"
    found = platform.fetch("i1", "b1")
    assert (found.status_code, found.json["credentials"]) == (200, scenarios.CREDENTIALS)
    assert found.json["parameters"] == {"access": "read"}
    assert found.json["endpoints"] == [{"host": "127.0.0.1", "ports": ["31000"], "protocol": "tcp"}]


def test_fetch_of_a_binding_that_is_not_made_is_404(platform: Platform) -> None:
    """Fetching a Service Binding: 404 if it does not exist (nor its instance), or while it is being made."""
    platform.ready()
    assert platform.fetch("none", "b1").status_code == platform.fetch("i1", "b1").status_code == 404
    platform.bind()
    assert platform.fetch("i1", "b1").status_code == 404
    scenarios.run(platform.broker, FAILED)
    assert platform.fetch("i1", "b1").status_code == 404
    platform.bound()
    assert platform.fetch("i1", "b1").status_code == 200
    platform.unbind()
    scenarios.run(platform.broker)
    assert platform.fetch("i1", "b1").status_code == 404


def test_fetch_of_a_binding_of_another_instance_is_404(platform: Platform) -> None:
    """Fetching a Service Binding: a binding is of one instance; the same id on another one is another binding."""
    platform.ready()
    platform.ready("i2")
    platform.bound()
    assert platform.fetch("i2", "b1").status_code == 404


def test_fetch_of_a_binding_during_an_update_answers(platform: Platform) -> None:
    """Fetching a Service Binding: no 422 is foreseen here; its credentials are what they were."""
    platform.ready()
    platform.bound()
    platform.patch(parameters={"memory": 2})
    assert platform.fetch("i1", "b1").json["credentials"] == scenarios.CREDENTIALS


def test_fetch_tells_the_maintenance_version_of_the_instance(box_platform: Callable[..., Platform]) -> None:
    """Fetching a Service Instance: the version it was last run with, not the one the catalog has by now."""
    platform = box_platform(service={"maintenance": {"version": "1.0.0"}})
    platform.ready()
    found = box_platform(service={"maintenance": {"version": "2.0.0"}}).fetch().json
    assert (found["plan_id"], found["maintenance_info"]) == (platform.ids["plan_id"], {"version": "1.0.0"})
