"""The document at /openapi.json: whole, valid, the same for everybody, and true."""

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flask import Response
from schemathesis.specs.openapi.definitions import OPENAPI_31

from apb_broker import application
from apb_broker.admin import description as of_admin
from apb_broker.catalog import config as configuration
from apb_broker.lifecycle.broker import Broker
from apb_broker.osb import bodies
from apb_broker.osb import description as of_osb
from apb_broker.web import description as of_web
from apb_broker.web import openapi
from tests import scenarios
from tests.contract.conftest import HEADERS, Platform
from tests.contract.description import Description


@pytest.fixture
def document(platform: Platform) -> dict[str, Any]:
    """The document of that platform's broker."""
    found: dict[str, Any] = platform.call("GET", "/openapi.json").json
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What it describes, by operationId."""
    return {operation["operationId"]: operation for methods in document["paths"].values() for operation in methods.values()}


def test_document_describes_every_route_and_nothing_else(platform: Platform, document: dict[str, Any]) -> None:
    """A route without an entry in a `description` is missing there, an entry without a route is in vain."""
    rules = list(platform.client.application.url_map.iter_rules())
    served = {(openapi.path(rule), method.lower()) for rule in rules for method in rule.methods or () if method not in ("HEAD", "OPTIONS")}
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == served
    assert {*of_web.OPERATIONS, *of_osb.OPERATIONS, *of_admin.OPERATIONS} == {rule.endpoint for rule in rules}


def test_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    """By the schema of OpenAPI 3.1 itself; the schemas in it are JSON Schema 2020-12; what is referred to is there."""
    assert [error.message for error in jsonschema.Draft202012Validator(OPENAPI_31).iter_errors(document)] == []
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    references = set(_references(document))
    known = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in document["components"][kind]}
    assert references <= known
    assert len(references) > 30


def _references(value: Any) -> Any:
    if isinstance(value, dict):
        yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_document_is_the_same_for_everybody_who_logs_in(broker: Broker, tmp_path: Path) -> None:
    """Whoever asks, and whatever there is; nothing without a login."""
    text = (tmp_path / "apb.yml").read_text()
    ops = "{name: ops, password_file: admin.password, roles: [operator]}"
    (tmp_path / "apb.yml").write_text(text.replace("roles: [platform, operator]}]", f"roles: [platform]}}, {ops}]"))
    client = application.create(broker, configuration.load(tmp_path / "apb.yml")).test_client()
    logins = [
        {"Authorization": "Basic " + base64.b64encode(f"{name}:secret of the operator".encode()).decode()} for name in ("admin", "ops")
    ]
    first = client.get("/openapi.json", headers=logins[0])
    scenarios.ready(broker, "i1")
    second = client.get("/openapi.json", headers=logins[1])
    assert (first.status_code, first.mimetype, second.data) == (200, "application/json", first.data)
    assert client.get("/openapi.json", headers={**logins[0], "If-None-Match": first.headers["ETag"]}).status_code == 304
    assert client.get("/openapi.json").status_code == 401


def test_document_tells_what_needs_no_login(platform: Platform, document: dict[str, Any]) -> None:
    """Every route that is not open to all answers 401 to nobody; both ways to log in are described."""
    assert set(document["components"]["securitySchemes"]) == {"basic", "bearer"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            status = platform.client.open(path.replace("{", "").replace("}", ""), method=method.upper()).status_code
            assert (status != 401) == (operation.get("security") == []), (method, path, status)


def test_links_lead_to_operations_that_take_what_they_bring(document: dict[str, Any]) -> None:
    """Target, its parameters, and the parameters of the source that are taken along."""
    described = operations(document)
    links = [
        (source, link)
        for source in described.values()
        for answer in source["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 20
    for source, link in links:
        target = described[link["operationId"]]
        assert set(link["parameters"]) <= {parameter["name"] for parameter in target["parameters"]}
        in_path = {value.rpartition(".")[2] for value in link["parameters"].values() if value.startswith("$request.path.")}
        assert in_path <= {parameter["name"] for parameter in source["parameters"]}
        assert "requestBody" in target or "requestBody" not in link


IDS = {"service_id": "s", "plan_id": "p"}
PLACE = {**IDS, "organization_guid": "o", "space_guid": "s"}


@pytest.mark.parametrize(
    ("model", "body"),
    [
        *(
            (bodies.BindBody, body)
            for body in ({}, IDS, {"predecessor_binding_id": "b"}, {"predecessor_binding_id": None}, {"service_id": "s"})
        ),
        *(
            (bodies.BindBody, {**IDS, **more})
            for more in ({"plan_id": None}, {"bind_resource": {"app_guid": ""}}, {"predecessor_binding_id": ""})
        ),
        *(
            (bodies.ProvisionBody, PLACE | more)
            for more in ({}, {"x_vendor": "\0"}, {"space_guid": ""}, {"plan_id": None}, {"service_id": 7})
        ),
        *((bodies.ProvisionBody, PLACE | more) for more in ({"space_guid": "x" * 800}, {"space_guid": "x" * 801}, {"space_guid": "\0"})),
        *(
            (bodies.ProvisionBody, PLACE | {"context": more})
            for more in ({"instance_name": 7}, {"instance_name": None}, {"platform": "x" * 801})
        ),
        *(
            (bodies.ProvisionBody, PLACE | {"maintenance_info": more})
            for more in (None, {}, {"version": ""}, {"version": "1.0.0", "x": 1}, "1")
        ),
        *(
            (bodies.UpdateBody, body)
            for body in ({}, {"service_id": "s"}, {"service_id": "s", "parameters": []}, {"service_id": "s", "plan_id": ""})
        ),
    ],
)
def test_request_body_is_described_as_it_is_checked(
    platform: Platform, document: dict[str, Any], model: type[bodies.Body], body: Any
) -> None:
    """The schema takes what the model takes, also where the model's own rules go beyond its fields."""
    with platform.client.application.test_request_context(data=json.dumps(body), content_type="application/json"):
        try:
            bodies.read(model)
            is_taken = True
        except bodies.HttpError:
            is_taken = False
    assert Description(document).fits(body, model.__name__) == is_taken


def test_parameters_of_plans_are_in_the_catalog_not_in_the_document(document: dict[str, Any]) -> None:
    """They differ from plan to plan; the document says where they are."""
    assert "catalog" in document["info"]["description"]
    parameters = document["components"]["schemas"]["ProvisionBody"]["properties"]["parameters"]["anyOf"][0]
    assert parameters == {"type": "object", "additionalProperties": True}


def test_a_description_finds_what_is_not_as_it_says(document: dict[str, Any]) -> None:
    """What the contract's tests rely on: another status, another type, another field."""
    description = Description(document)
    url = "/v2/service_instances/i1/last_operation?service_id=x"
    description.check("GET", url, Response('{"state": "failed", "description": "x"}', mimetype="application/json"))
    for wrong in (
        Response('{"state": "failed", "description": "x"}', status=201, mimetype="application/json"),
        Response('{"state": "failed", "description": "x"}', mimetype="text/html"),
        Response('{"state": "lost", "description": "x"}', mimetype="application/json"),
        Response('{"state": "failed", "description": "x", "credentials": {}}', mimetype="application/json"),
    ):
        with pytest.raises(AssertionError):
            description.check("GET", url, wrong)


def test_headers_are_described(document: dict[str, Any]) -> None:
    """Those of the protocol, on each of its routes; the version is required, one of those that are known."""
    for operation in operations(document).values():
        if operation["operationId"].startswith("osb_"):
            headers = {each["name"]: each for each in operation["parameters"] if each["in"] == "header"}
            assert set(headers) == {"X-Broker-API-Version", "X-Broker-API-Originating-Identity", "X-Broker-API-Request-Identity"}
            assert headers["X-Broker-API-Version"]["required"]
            assert HEADERS["X-Broker-API-Version"] in headers["X-Broker-API-Version"]["schema"]["enum"]
