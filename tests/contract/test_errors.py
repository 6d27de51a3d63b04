"""Errors: an object in JSON with a sentence for people, whatever went wrong (OSB 2.17, "Service Broker Errors")."""

import json
import socket
from typing import Any

import pytest
from gunicorn.http.errors import InvalidRequestLine, LimitRequestHeaders, LimitRequestLine, UnsupportedTransferCoding

from apb_broker.lifecycle import instances
from apb_broker.storage.errors import Unavailable
from apb_broker.web import malformed
from tests.contract.conftest import Platform

INSTANCE = "/v2/service_instances/i1?accepts_incomplete=true"


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2", "/", "/admin/v1/nothing", "/v2/catalog/", "/v2/service_instances/", "//v2/catalog"])
def test_unknown_route_is_a_json_404(platform: Platform, path: str) -> None:
    """Service Broker Errors: a description, whatever was asked for."""
    answer = platform.call("GET", path)
    assert (answer.status_code, bool(answer.json["description"])) == (404, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v2/catalog"), ("OPTIONS", "/v2/catalog"), ("POST", INSTANCE), ("PATCH", "/v2/service_instances/i1/last_operation")],
)
def test_wrong_method_is_a_json_405(platform: Platform, method: str, path: str) -> None:
    """Service Broker Errors: the same for a method that a route does not have; Allow says which it has."""
    answer = platform.call(method, path)
    assert (answer.status_code, bool(answer.json["description"]), "GET" in answer.headers["Allow"]) == (405, True, True)


@pytest.mark.parametrize("length", ["told", "not told"])
def test_body_beyond_the_limit_is_a_json_413(platform: Platform, length: str) -> None:
    """Service Broker Errors: a body of more than 1 MiB is not read to its end, and has no effect."""
    body = json.dumps({**platform.ids, "organization_guid": "o", "space_guid": "s", "x": "y" * 1024 * 1024}).encode()
    environ: dict[str, Any] = (
        {} if length == "told" else {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    )
    answer = platform.call("PUT", INSTANCE, data=body, content_type="application/json", environ_overrides=environ)
    assert (answer.status_code, bool(answer.json["description"])) == (413, True)
    assert platform.poll().status_code == 404


def test_body_up_to_the_limit_is_read(platform: Platform) -> None:
    """Service Broker Errors: 1 MiB is enough for whatever a platform says about itself."""
    assert platform.put(x_vendor="y" * (1024 * 1024 - 500)).status_code == 202


class _Broken:
    """The input of a request whose chunks are malformed: the server notices while it is read."""

    def read(self, _size: int = -1) -> bytes:
        raise UnsupportedTransferCoding("chunked")

    readline = readinto = readall = read


def test_body_in_malformed_chunks_is_400(platform: Platform) -> None:
    """Service Broker Errors: a 5xx would make the platform clean up what was never begun."""
    environ = {"wsgi.input": _Broken(), "wsgi.input_terminated": True}
    answer = platform.call("PUT", INSTANCE, content_type="application/json", environ_overrides=environ)
    assert (answer.status_code, answer.json["description"]) == (400, "the body cannot be read to its end")


@pytest.mark.parametrize(
    ("target", "status"),
    [("/v2/catalog%", 404), ("/v2/%zz", 404), ("*", 404), ("/v2/%FF", 400), ("/v2/service_instances/%C3", 400), ("http://[", 404)],
)
def test_malformed_target_is_a_json_answer(platform: Platform, target: str, status: int) -> None:
    """Service Broker Errors: what is no path of ours is not found, what is no text is malformed."""
    answer = platform.call("GET", "/v2/catalog", environ_overrides={"RAW_URI": target, "REQUEST_URI": target})
    assert (answer.status_code, bool(answer.json["description"])) == (status, True)


def test_target_with_its_authority_is_the_path_behind_it(platform: Platform) -> None:
    """Service Broker Errors: HTTP lets a client send the whole URL."""
    whole = {"RAW_URI": "http://broker.example:8780/v2/catalog?x=1"}
    assert platform.call("GET", "/", environ_overrides=whole).json["services"]


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (InvalidRequestLine("secret"), 400),
        (UnsupportedTransferCoding("secret"), 400),
        (LimitRequestLine(5000, 4094), 414),
        (LimitRequestHeaders("secret"), 431),
    ],
)
def test_what_is_no_http_is_a_json_answer(problem: Exception, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Service Broker Errors: also before there is a request; what was sent is not repeated."""

    class Log:
        """Gunicorn's."""

        warning = debug = staticmethod(print)

    worker = object.__new__(malformed.Worker)
    worker.log = Log()
    client, server = socket.socketpair()
    with client, server:
        worker.handle_error(None, server, ("", 0), problem)
        head, _, body = client.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert list(json.loads(body)) == ["description"]
    assert "secret" not in body.decode() + capsys.readouterr().out


NOT_KEPT = {
    "NUL": '{"x": "a\\u0000b"}',
    "NUL in a key": '{"a\\u0000b": 1}',
    "lone surrogate": '{"x": ["\\ud800"]}',
    "too large a number": '{"x": {"y": 1e999}}',
    "too deep": '{"x": ' + "[" * 100 + "]" * 100 + "}",
}


@pytest.mark.parametrize("context", NOT_KEPT.values(), ids=NOT_KEPT)
def test_value_that_cannot_be_kept_is_400(platform: Platform, context: str) -> None:
    """Service Broker Errors: what JSON may say but no database holds is bad input, not a failure; the field is named."""
    body = json.dumps({**platform.ids, "organization_guid": "o", "space_guid": "s"})[:-1] + f', "context": {context}}}'
    answer = platform.call("PUT", INSTANCE, data=body, content_type="application/json")
    assert (answer.status_code, "context" in answer.json["description"]) == (400, True)


@pytest.mark.parametrize("name", ["platform", "instance_name", "organization_guid", "space_guid"])
@pytest.mark.parametrize("value", [7, ["a"], {"a": 1}, True, "x" * 801], ids=["number", "list", "object", "boolean", "long"])
def test_context_of_another_shape_is_400(platform: Platform, name: str, value: object) -> None:
    """Service Broker Errors: what is read of a context is text of at most 800 bytes; the field is named."""
    answer = platform.put(context={name: value})
    assert (answer.status_code, name in answer.json["description"]) == (400, True)


def test_error_of_a_known_kind_has_its_code(platform: Platform) -> None:
    """Service Broker Errors: `error` is one word in CamelCase where the protocol has one for it, and not there otherwise."""
    assert platform.put(query="").json.keys() == {"error", "description"}
    assert platform.put(plan_id="none").json.keys() == {"description"}
    assert platform.delete("none").json.keys() == {"description"}


def test_error_says_nothing_of_usability(platform: Platform) -> None:
    """Service Broker Errors: instance_usable and update_repeatable must not be present for errors of other operations."""
    platform.ready()
    platform.bind()
    refused = [platform.put(space_guid="other"), platform.put("i2", query=""), platform.bind(app_guid=""), platform.fetch("none")]
    for answer in refused:
        assert answer.status_code >= 400
        assert not {"instance_usable", "update_repeatable"} & answer.json.keys()


def test_error_nobody_foresaw_is_a_json_500_without_its_cause(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Service Broker Errors: the cause is the log's, not the platform's."""

    def fail(*_arguments: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(instances, "fetch", fail)
    answer = platform.fetch()
    assert (answer.status_code, answer.json) == (500, {"description": "the broker failed; its log says why"})


def test_database_that_is_away_is_a_json_503(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Service Broker Errors: nothing was changed, and it may be asked again."""

    def fail(*_arguments: object) -> None:
        raise Unavailable("the database cannot be used now")

    monkeypatch.setattr(instances, "fetch", fail)
    assert platform.fetch().status_code == 503
