"""docs/osb.md shows what is really answered: its examples are sent, one after the other."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker.catalog.config import Settings
from apb_broker.lifecycle.outcomes import Result
from apb_broker.osb import versions
from apb_broker.web import values
from tests import scenarios
from tests.conftest import CONFIG
from tests.contract import examples
from tests.contract.conftest import Platform

DOCUMENT = (Path(__file__).parents[2] / "docs" / "osb.md").read_text(encoding="utf-8")
EXPIRING = "targets: [local], binding_expiry: {after_seconds: 2592000, renew_seconds: 259200}}]"
ROUTES = {
    ("GET", "/v2/catalog"),
    *((method, "/v2/service_instances/ID") for method in ("PUT", "GET", "PATCH", "DELETE")),
    *((method, "/v2/service_instances/ID/service_bindings/ID") for method in ("PUT", "GET", "DELETE")),
    ("GET", "/v2/service_instances/ID/last_operation"),
    ("GET", "/v2/service_instances/ID/service_bindings/ID/last_operation"),
}


def _result(event: str) -> Result:
    what, _, why = event.removeprefix("meanwhile ").removeprefix("the operation ").partition(": ")
    return {"succeeds": scenarios.SUCCESS, "succeeds with credentials": scenarios.BOUND, "fails": Result("failed", message=why)}[what]


def test_examples_are_answered_as_they_are_shown(platform_at: Callable[[str], Platform], tmp_path: Path) -> None:
    """Status, the headers that are shown, and each field of the body; what follows an answer uses what was in it."""
    platform = platform_at(CONFIG.format(directory=tmp_path).replace("targets: [local]}]", EXPIRING))
    known: dict[str, str] = {}
    for example in examples.read(DOCUMENT):
        meanwhile = [event for event in example.events if event.startswith("meanwhile")]
        for event in example.events:
            if event not in meanwhile:
                scenarios.run(platform.broker, _result(event))
        request, expected = example.request, example.answer
        headers = {name: examples.filled(value, known) for name, value in request.headers.items()}
        with platform.working(*map(_result, meanwhile)) if meanwhile else contextlib.nullcontext():
            path = examples.filled(request.path, known)
            answer = platform.call(request.method, path, data=request.body, content_type="application/json", headers=headers)
        found = list(
            examples.differences(expected.headers, {name: answer.headers.get(name) for name in expected.headers}, known, "headers")
        )
        found += examples.differences(expected.body, answer.get_json(silent=True), known)
        assert (answer.status_code, found) == (expected.status, []), f"{request.method} {request.path}: {answer.text}"


def test_examples_show_every_route() -> None:
    """All ten of them, and several statuses."""
    shown = {(example.request.method, _route(example.request.path)) for example in examples.read(DOCUMENT)}
    assert shown == ROUTES
    assert {200, 201, 202, 304, 400, 409, 410, 422} <= {example.answer.status for example in examples.read(DOCUMENT)}


def _route(path: str) -> str:
    parts = path.partition("?")[0].split("/")
    return "/".join(
        "ID" if before in ("service_instances", "service_bindings") else part for before, part in zip(["", *parts], parts, strict=False)
    )


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        ({"a": 1}, {"a": 2}, ["body.a: 2 instead of 1"]),
        ({"a": 1}, {}, ["body.a: is missing"]),
        ({"a": "…"}, {"a": 1, "b": 2}, ["body: has more fields: ['b']"]),
        ({"a": "…", "…": "…"}, {"a": 1, "b": 2}, []),
        ([1, "…"], [1, 2, 3], []),
        ([1], [1, 2], ["body: has 2 entries, not 1"]),
        ({"a": "<x>"}, {"a": ""}, ["body.a: '' is no text"]),
        (None, {"a": 1}, ["body: {'a': 1} instead of None"]),
    ],
)
def test_examples_that_are_not_so_are_noticed(expected: object, found: object, said: list[str]) -> None:
    """The comparison can fail."""
    assert list(examples.differences(expected, found, {})) == said


@pytest.mark.parametrize("block", ["```sh\ncurl x\n```\n```sh\ncurl y\n```\n", "```http\nHTTP/1.1 200 OK\n```\n"])
def test_examples_have_a_command_and_an_answer(block: str) -> None:
    """None is passed over."""
    with pytest.raises(ValueError, match="belong together"):
        examples.read(block)


def test_documentation_names_limits_settings_and_newer_fields() -> None:
    """What stands in the code stands on the page."""
    for text in (f"| {values.MAX_NAME_BYTES} bytes", f"| nesting of a body | {values.MAX_DEPTH} |"):
        assert text in DOCUMENT
    for name in ("api_versions", "missing_version_status", "deleted_operation_status", "sync_wait_seconds", "operation_deadline_seconds"):
        default = getattr(Settings(), name)
        shown = "all five" if name == "api_versions" else f"{default:g}"
        assert f"| `settings.{name}` | {shown} |" in DOCUMENT
    section = DOCUMENT.partition("## Versions")[2].partition("\n## ")[0]
    for fields in (versions.SERVICE_FIELDS, versions.PLAN_FIELDS, versions.BODY_FIELDS):
        for name, version in fields.items():
            assert f"`{name}`" in section.partition(f"from {version} on")[0], name
