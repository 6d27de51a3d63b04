"""The broker does what /openapi.json says, whatever is sent: status, content type, body; nothing without authentication, never a 5xx."""

import contextlib
from typing import Any

import hypothesis
import hypothesis.errors
import pytest
from hypothesis import strategies
from schemathesis import Case
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode

from apb_broker.lifecycle import views
from tests.fuzz import budget
from tests.fuzz.described import Described

SETTINGS = hypothesis.settings(
    database=None, deadline=None, phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck), print_blob=False
)

STEPS = 25
ROUTES, MORE = 8, 3
"""How many routes are to succeed when links are followed, and how much longer they may be followed for that: ids, and so the ways that are
taken, differ each time."""


def test_every_route_answers_as_described(described: Described) -> None:
    """Any route with anything, right and wrong, on ids that come again and again while workers go on."""
    routes = [result.ok() for result in described.schema.get_all_operations()]
    strategy = strategies.one_of(
        [route.as_strategy(generation_mode=mode) for route in routes for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    )
    wanted = budget.share("routes")

    @hypothesis.seed(budget.SEED)
    @hypothesis.settings(SETTINGS, max_examples=wanted)
    @hypothesis.given(case=strategy)
    def send(case: Case) -> None:
        described.send(case)

    described.begin()
    send()
    print(described.report())
    assert not described.failures, described.report()
    assert described.counted.requests >= wanted, described.report()
    assert described.counted.share_of_success > 0.2, described.report()
    assert len(described.succeeded()) > 12, described.report()


def test_requests_that_follow_from_each_other_answer_as_described(described: Described) -> None:
    """The links of the document are followed: catalog, instance, bindings, last operations, removal."""

    class Platform(described.schema.include(tag="osb").as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            described.begin()
            self.control.max_operations_per_source = STEPS  # else the catalog is fetched again and again when the links were followed twice

        def get_call_kwargs(self, case: Case) -> dict:
            return {"headers": described.headers}

        def before_call(self, case: Case) -> None:
            described.prepare(case)

        def validate_response(self, response: Response, case: Case, *_args: Any, **_options: Any) -> None:
            described.check(case, response)
            described.go_on()

    wanted, seed = budget.share("stateful"), budget.SEED
    while (missing := wanted - described.counted.requests) > 0 or (len(described.succeeded()) < ROUTES and missing > -MORE * wanted):
        scenarios = max(1, -(-missing // STEPS))
        seeded = hypothesis.seed(seed)(type("Platform", (Platform,), {}))
        with contextlib.suppress(hypothesis.errors.Flaky):  # operations have other ids each time; what is wrong is in described.failures
            seeded.run(settings=hypothesis.settings(SETTINGS, max_examples=scenarios, stateful_step_count=STEPS))
        seed += 1
    print(described.report())
    assert not described.failures, described.report()
    assert described.counted.share_of_success > 0.3, described.report()
    assert len(described.succeeded()) >= ROUTES, described.report()


def test_answer_that_is_not_as_described_is_found(described: Described, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above rely on: neither another body nor a failure goes unnoticed."""
    route = described.schema["/admin/v1/operations"]["GET"]
    monkeypatch.setattr(views, "operations", lambda *_args, **_options: [{"id": 7}])
    described.send(route.Case())
    monkeypatch.setattr(views, "operations", lambda *_args, **_options: 1 // 0)
    described.send(route.Case())
    assert {kind.rpartition(": ")[2] for kind in described.failures} == {"JsonSchemaError", "ServerError"}
