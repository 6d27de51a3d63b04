"""Unbinding: the account goes, at once or later, and asking again does no harm (OSB 2.17, "Unbinding")."""

import pytest

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.contract.conftest import Platform

FAILED = Result("failed", message="the server does not answer")


@pytest.fixture
def bound(platform: Platform) -> Platform:
    """A platform with one binding."""
    platform.ready()
    platform.bound()
    return platform


def test_unbind_is_accepted_and_polled_to_its_end(bound: Platform) -> None:
    """Unbinding: 202 with an operation; a re-sent request is 202 with the same one, not 200."""
    first = bound.unbind()
    assert (first.status_code, first.json.keys()) == (202, {"operation"})
    assert len(first.json["operation"]) <= 10_000
    assert (bound.unbind().status_code, bound.unbind().json) == (202, first.json)
    assert scenarios.run(bound.broker).kind == "unbind"
    assert bound.poll("i1", "b1", operation=first.json["operation"]).json["state"] == "succeeded"
    assert bound.poll("i1", "b1").json["state"] == "succeeded"


def test_unbind_of_unknown_is_410_and_again_too(bound: Platform) -> None:
    """Unbinding: 410 must be returned if the binding does not exist, nor its instance."""
    assert bound.unbind("unknown").status_code == bound.unbind(binding_id="unknown").status_code == 410
    bound.unbind()
    scenarios.run(bound.broker)
    assert [bound.unbind(query=query).status_code for query in ("&accepts_incomplete=true", "")] == [410, 410]


def test_unbind_within_the_request_is_200(bound: Platform) -> None:
    """Synchronous Operations: 200 with an empty object once it is gone."""
    with bound.working(scenarios.SUCCESS):
        answer = bound.unbind(query="")
    assert (answer.status_code, answer.json) == (200, {})
    assert bound.fetch("i1", "b1").status_code == 404


def test_unbind_that_fails_within_the_request_is_500_and_can_be_repeated(bound: Platform) -> None:
    """Orphan Mitigation: a platform tries again until it succeeds."""
    with bound.working(FAILED):
        answer = bound.unbind(query="")
    assert (answer.status_code, answer.json["description"]) == (500, "the server does not answer")
    assert bound.unbind().status_code == 202
    scenarios.run(bound.broker)
    assert bound.unbind().status_code == 410


@pytest.mark.parametrize("missing", ["service_id", "plan_id"])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
def test_unbind_needs_its_query(bound: Platform, missing: str, value: str | None) -> None:
    """Unbinding: missing mandatory data must be 400; the parameter is named. For what does not exist 410 says more."""
    given = {name: text for name, text in {**bound.ids, "accepts_incomplete": "true", missing: value}.items() if text is not None}
    answer = bound.call("DELETE", "/v2/service_instances/i1/service_bindings/b1", query_string=given)
    assert (answer.status_code, missing in answer.json["description"]) == (400, True)
    assert bound.fetch("i1", "b1").status_code == 200
    assert bound.call("DELETE", "/v2/service_instances/i1/service_bindings/none", query_string=given).status_code == 410


def test_unbind_during_bind_halts_it(platform: Platform) -> None:
    """Unbinding: a broker that accepts it during the creation must halt that and remove what was made; the create ends failed."""
    platform.ready()
    creation = platform.bind().json["operation"]
    work = scenarios.claim(platform.broker)
    removal = platform.unbind()
    assert (removal.status_code, removal.json["operation"] != creation) == (202, True)
    assert operations.claim(platform.broker, "other") is None
    assert operations.renew(platform.broker, {work.operation_id: work.epoch}) == {work.operation_id: True}
    operations.finish(platform.broker, work.operation_id, work.epoch, Result("canceled"))
    assert scenarios.run(platform.broker).kind == "unbind"
    assert platform.poll("i1", "b1", operation=creation).json["state"] == "failed"
    assert platform.poll("i1", "b1").json["state"] == "succeeded"


def test_unbind_leaves_other_bindings(bound: Platform) -> None:
    """Types of Binding: one is taken back without affecting the others."""
    bound.bound(binding_id="b2")
    bound.unbind()
    scenarios.run(bound.broker)
    assert bound.fetch("i1", "b2").json["credentials"] == scenarios.CREDENTIALS


def test_bind_during_its_removal_is_a_concurrency_error(bound: Platform) -> None:
    """Blocking Operations: the id is free again when it is gone."""
    bound.unbind()
    assert bound.bind().json["error"] == "ConcurrencyError"
    scenarios.run(bound.broker)
    assert bound.bind().status_code == 202


def test_bind_of_an_id_whose_removal_failed_is_409(bound: Platform) -> None:
    """Binding: it still exists, half of it perhaps; it has to be removed first."""
    bound.unbind()
    scenarios.run(bound.broker, FAILED)
    answer = bound.bind()
    assert (answer.status_code, "remove it first" in answer.json["description"]) == (409, True)
