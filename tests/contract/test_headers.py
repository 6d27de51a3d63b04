"""Headers and authentication: who calls, in which version, on whose behalf, and what a body is (OSB 2.17, "Headers", "Content Type")."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.conftest import Platform, identity

VERSION, REQUEST_IDENTITY, ORIGINATOR = "X-Broker-API-Version", "X-Broker-API-Request-Identity", "X-Broker-API-Originating-Identity"
INSTANCE = "/v2/service_instances/i1"


@pytest.mark.parametrize("authorization", [None, "Basic YWRtaW46d3Jvbmc=", "Basic bm9ib2R5Og==", "Bearer x", "Basic %%%"])
def test_authentication_failure_is_401(platform: Platform, authorization: str | None) -> None:
    """Platform to Service Broker Authentication: a failure to authenticate must be answered with 401."""
    answer = platform.call("GET", "/v2/catalog", headers={"Authorization": authorization})
    assert (answer.status_code, bool(answer.json["description"])) == (401, True)


@pytest.mark.parametrize("wrong", [{VERSION: None}, {VERSION: "1.0"}, {"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PUT", f"{INSTANCE}?accepts_incomplete=true", b"{"), ("POST", "/v2/catalog", b"x" * 2_000_000), ("GET", "/v2/%FF", b"")],
)
def test_authentication_comes_before_everything_else(platform: Platform, method: str, path: str, body: bytes, wrong: dict) -> None:
    """Platform to Service Broker Authentication: whatever else is wrong, somebody unknown learns nothing but 401."""
    assert platform.call(method, path, data=body, headers={"Authorization": None, **wrong}).status_code == 401


@pytest.mark.parametrize("version", [None, ""], ids=["absent", "empty"])
def test_version_missing_is_400(platform: Platform, version: str | None) -> None:
    """API Version Header: a request without it may be rejected with 400 and a message naming what to send."""
    answer = platform.call("GET", "/v2/catalog", headers={VERSION: version})
    assert (answer.status_code, "2.17" in answer.json["description"]) == (400, True)


def test_version_missing_is_412_where_the_operator_says_so(platform_with: Callable[[str], Platform]) -> None:
    """API Version Header: what some platforms expect instead."""
    assert platform_with("{missing_version_status: 412}").call("GET", "/v2/catalog", headers={VERSION: None}).status_code == 412


@pytest.mark.parametrize("version", ["2.13", "2.14", "2.15", "2.16", "2.17"])
def test_version_that_is_supported_is_served(platform: Platform, version: str) -> None:
    """API Version Header: MAJOR.MINOR, from 2.13 on."""
    assert platform.speaking(version).catalog().status_code == 200


@pytest.mark.parametrize("version", ["2.12", "2.18", "3.0", "2", "2.17.0", "02.17", "x"])
def test_version_that_is_not_supported_is_412(platform: Platform, version: str) -> None:
    """API Version Header: rejected with 412 and a message naming the version to use."""
    answer = platform.speaking(version).catalog()
    assert (answer.status_code, "2.17" in answer.json["description"]) == (412, True)


def test_version_that_the_operator_does_not_serve_is_412(platform_with: Callable[[str], Platform]) -> None:
    """API Version Header: the operator may serve fewer; the message names those."""
    platform = platform_with('{api_versions: ["2.16", "2.17"]}')
    answer = platform.speaking("2.15").catalog()
    assert (answer.status_code, "2.16, 2.17" in answer.json["description"]) == (412, True)
    assert platform.speaking("2.16").catalog().status_code == 200


def test_request_identity_is_echoed_on_every_answer(platform: Platform) -> None:
    """Request Identity: the broker should send it back, on errors too, whichever check made them."""
    requests: list[tuple[int, str, str, dict[str, Any]]] = [
        (200, "GET", "/v2/catalog", {}),
        (202, "PUT", f"{INSTANCE}?accepts_incomplete=true", {"json": {**platform.ids, "organization_guid": "o", "space_guid": "s"}}),
        (400, "PUT", INSTANCE, {"json": {}}),
        (400, "GET", "/v2/catalog", {"headers": {VERSION: None}}),
        (400, "GET", "/v2/%FF", {}),
        (401, "GET", "/v2/catalog", {"headers": {"Authorization": None}}),
        (404, "GET", "/v2/nothing", {}),
        (404, "GET", f"{INSTANCE}0", {}),
        (405, "POST", "/v2/catalog", {}),
        (410, "DELETE", f"{INSTANCE}0?{platform.named}&accepts_incomplete=true", {}),
        (412, "GET", "/v2/catalog", {"headers": {VERSION: "1.0"}}),
        (413, "PUT", INSTANCE, {"data": b"x" * 2_000_000}),
        (415, "PUT", INSTANCE, {"data": b"x", "headers": {"Content-Encoding": "br"}}),
        (422, "DELETE", f"{INSTANCE}?{platform.named}", {}),
    ]
    for number, (status, method, path, more) in enumerate(requests):
        headers = {**more.pop("headers", {}), REQUEST_IDENTITY: f"request-{number}"}
        answer = platform.call(method, path, headers=headers, **more)
        assert (answer.status_code, answer.headers.get(REQUEST_IDENTITY)) == (status, f"request-{number}"), (method, path)


def test_request_identity_is_not_made_up(platform: Platform) -> None:
    """Request Identity: its value is never empty, so where there is none, none is sent."""
    assert REQUEST_IDENTITY not in platform.catalog().headers
    assert REQUEST_IDENTITY not in platform.call("GET", "/v2/catalog", headers={REQUEST_IDENTITY: ""}).headers


def test_originating_identity_is_kept(platform: Platform) -> None:
    """Originating Identity: who asked is known of the instance, and as it was sent of each operation."""
    duke = {"username": "duke", "uid": "c2d", "groups": ["admin", "dev"], "extra": {"my.example": ["a"]}}
    body = {**platform.ids, "organization_guid": "o", "space_guid": "s", "context": {"platform": "kubernetes"}}
    answer = platform.call("PUT", f"{INSTANCE}?accepts_incomplete=true", json=body, headers=identity(**duke))
    assert answer.status_code == 202
    assert platform.call("GET", "/admin/v1/instances/i1").json["requested_by"] == "duke"
    with platform.broker.database.unit() as unit:
        kept = unit.operation(answer.json["operation"])
        assert kept is not None
        assert (kept.requested_by, kept.identity) == ("duke", {"platform": "kubernetes", "value": duke})


def test_originating_identity_of_cloud_foundry_is_a_user_id(platform: Platform) -> None:
    """Originating Identity: what the value holds is the platform's matter."""
    platform.ready()
    headers = identity("cloudfoundry", user_id="683ea748")
    answer = platform.call("DELETE", f"{INSTANCE}?{platform.named}&accepts_incomplete=true", headers=headers)
    listed = platform.call("GET", f"/admin/v1/operations/{answer.json['operation']}").json
    assert listed["requested_by"] == "683ea748"


def _encoded(text: bytes) -> str:
    return "kubernetes " + base64.b64encode(text).decode()


MALFORMED = {
    "empty": "",
    "no value": "kubernetes",
    "no base64": "kubernetes %%",
    "no padding": "kubernetes e30x",
    "no platform": base64.b64encode(b"{}").decode(),
    "no JSON": _encoded(b"duke"),
    "no object": _encoded(b'["duke"]'),
    "no text": _encoded(b"\xff\xfe{}"),
    "no number": _encoded(b'{"a": NaN}'),
    "too large a number": _encoded(b'{"a": 1e999}'),
    "NUL": _encoded(json.dumps({"username": "a\0b"}).encode()),
    "lone surrogate": _encoded(b'{"username": "\\ud800"}'),
    "too deep": _encoded(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_originating_identity_that_is_malformed_is_400(platform: Platform, value: str) -> None:
    """Originating Identity: a platform, a space, a base64 JSON object; what is none of it is refused without effect."""
    body = {**platform.ids, "organization_guid": "o", "space_guid": "s"}
    answer = platform.call("PUT", f"{INSTANCE}?accepts_incomplete=true", json=body, headers={ORIGINATOR: value})
    assert (answer.status_code, ORIGINATOR in answer.json["description"]) == (400, True)
    assert platform.poll().status_code == 404


def test_originating_identity_of_another_platform_than_the_contexts_is_400(platform: Platform) -> None:
    """Originating Identity: where a context is sent, its platform must be the same."""
    platform.ready()
    headers = identity("cloudfoundry", user_id="1")
    context = {"platform": "kubernetes"}
    body = {**platform.ids, "organization_guid": "o", "space_guid": "s", "context": context}
    for method, path in [("PUT", f"{INSTANCE}9"), ("PATCH", INSTANCE), ("PUT", f"{INSTANCE}/service_bindings/b1")]:
        answer = platform.call(method, f"{path}?accepts_incomplete=true", json=body, headers=headers)
        assert (answer.status_code, "kubernetes" in answer.json["description"]) == (400, True), path


def test_originating_identity_may_be_missing(platform: Platform) -> None:
    """Originating Identity: catalogs are fetched and orphans removed on nobody's behalf; then the caller itself is who asked."""
    assert platform.catalog().status_code == 200
    platform.ready()
    operation = platform.delete().json["operation"]
    assert platform.call("GET", f"/admin/v1/operations/{operation}").json["requested_by"] == "admin"


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", None])
def test_content_type_of_json_or_none_is_taken(platform: Platform, content_type: str | None) -> None:
    """Content Type: bodies should be application/json; one without may be processed all the same."""
    body = json.dumps({**platform.ids, "organization_guid": "o", "space_guid": "s"})
    answer = platform.call("PUT", f"{INSTANCE}?accepts_incomplete=true", data=body, content_type=content_type)
    assert answer.status_code == 202


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"])
def test_content_type_of_something_else_is_400(platform: Platform, content_type: str) -> None:
    """Content Type: a mismatch should be answered with 400."""
    body = json.dumps({**platform.ids, "organization_guid": "o", "space_guid": "s"})
    answer = platform.call("PUT", f"{INSTANCE}?accepts_incomplete=true", data=body, content_type=content_type)
    assert (answer.status_code, "Content-Type" in answer.json["description"]) == (400, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'"x"', b'{"a": NaN}', b"\xff\xfe", b"[" * 5000])
def test_content_that_is_no_object_is_400(platform: Platform, body: bytes) -> None:
    """Content Type: a body that cannot be processed should be answered with 400."""
    answer = platform.call("PUT", f"{INSTANCE}?accepts_incomplete=true", data=body, content_type="application/json")
    assert answer.status_code == 400


def test_content_type_of_every_answer_is_json(platform: Platform) -> None:
    """Content Type: answers with a body should say application/json."""
    platform.ready()
    answers = [platform.catalog(), platform.fetch(), platform.poll(), platform.fetch("none"), platform.put(), platform.delete()]
    assert {answer.content_type for answer in answers} == {"application/json"}


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_content_encoding_that_is_not_spoken_is_415(platform: Platform, encoding: str) -> None:
    """Content Type: a body in an encoding that is not understood says nothing; 415 names what is expected, as HTTP has it."""
    body = {**platform.ids, "organization_guid": "o", "space_guid": "s"}
    answer = platform.call("PUT", f"{INSTANCE}?accepts_incomplete=true", json=body, headers={"Content-Encoding": encoding})
    assert (answer.status_code, "Content-Encoding" in answer.json["description"]) == (415, True)
    assert platform.poll().status_code == 404
