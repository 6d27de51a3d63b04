"""The OpenAPI 3.1 description at /openapi.json, made of what is served: paths, methods and summaries come from the application's routes,
bodies from pydantic models, and the rest from the `description` of each interface.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from apb_broker.web import answers
from apb_broker.web.description import JSON, KEPT_ID, OPERATIONS, Answer, Link, Operation, Operations, Parameter

VERSION = "3.1.1"
PATH_PARAMETERS = {
    "instance_id": "The instance. Any characters, percent-encoded, slashes too",
    "binding_id": "The binding. Any characters, percent-encoded, slashes too",
    "operation_id": "The operation, as an accepted request was answered",
}
REFUSALS = {
    HTTPStatus.BAD_REQUEST: "Malformed, incomplete, or with a value that the service does not take",
    HTTPStatus.UNAUTHORIZED: "Nobody, or somebody unknown, asks",
    HTTPStatus.FORBIDDEN: "Not for this user",
    HTTPStatus.NOT_FOUND: "There is nothing of that id, or not yet",
    HTTPStatus.CONFLICT: "Something else of that id exists",
    HTTPStatus.GONE: "There is nothing of that id (any more)",
    HTTPStatus.PRECONDITION_FAILED: "The header names a version of the protocol that is not served",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is encoded (Content-Encoding)",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Not supported, not possible now, or only later: `error` says which",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many failed logins; Retry-After says when to try again",
}
FAILURE = "The broker failed, or cannot reach its database"
SECURITY_SCHEMES = {
    "basic": {"type": "http", "scheme": "basic", "description": "A user of apb.yml"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of apb.yml"},
}

OF_ALL = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}  # wherever somebody has to be known
OF_BODIES = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "How to say who asks"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "Seconds"},
}
SCHEMAS, RESPONSES, FAILED = "#/components/schemas/", "#/components/responses/", "FAILED"

IN_PATH = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
OF_FLASK = {"HEAD", "OPTIONS"}  # methods that Flask adds to routes by itself
INTRODUCTION = """\
The broker speaks the Open Service Broker API 2.17 below /v2 to platforms, and an API of its own below /admin/v1 to operators.

What `parameters` a plan takes is not in this document: it differs from plan to plan and with apb.yml. The catalog (GET /v2/catalog) holds a
JSON Schema for each plan, and requests are checked against it. Of `context` only the names that are described here are looked at.

A part of the catalog (`brokers` of apb.yml) is a broker of its own: the same routes, /v2, below /brokers/NAME.

Unknown fields of requests are ignored. Platforms of older versions (X-Broker-API-Version) get answers without the fields they do not know.
"""


def register(app: Flask, described: Operations) -> None:
    """Adds /openapi.json, the same for everybody. `described` is by endpoint."""

    @cache
    def text() -> str:
        return json.dumps(document(app, {**OPERATIONS, **described}), ensure_ascii=False)

    @app.get("/openapi.json")
    def openapi() -> Response:
        """This document, in OpenAPI 3.1."""
        response = Response(text(), mimetype="application/json")
        response.add_etag()
        response.make_conditional(request)
        return response


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """The application's routes: each rule with each of its methods."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - OF_FLASK):
            yield rule, method


def path(rule: Rule) -> str:
    """A route's path as OpenAPI writes it."""
    return IN_PATH.sub(r"{\1}", rule.rule)


def document(app: Flask, described: Operations) -> dict[str, Any]:
    """The description of those routes of an application that have one; that all have is for a test to see."""
    paths: dict[str, Any] = {}
    for rule, method in routes(app):
        if rule.endpoint in described:
            paths.setdefault(path(rule), {})[method.lower()] = _operation(app, rule, described[rule.endpoint])
    return {
        "openapi": VERSION,
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "apb: Ansible Playbook Broker", "version": "2.17", "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SECURITY_SCHEMES],
        "paths": paths,
        "components": {
            "schemas": _schemas(described.values()),
            "responses": {status.name: _refusal(status) for status in REFUSALS} | {FAILED: _error(FAILURE)},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _schemas(described: Iterable[Operation]) -> dict[str, Any]:
    models: set[type[BaseModel]] = {answers.Error}
    for operation in described:
        models |= {answer.model for answer in operation.answers.values() if answer.model is not None}
        models |= {operation.body} if operation.body is not None else set()
    ordered = sorted(models, key=lambda model: model.__name__)
    _names, made = models_json_schema([(model, "validation") for model in ordered], ref_template=f"{SCHEMAS}{{model}}")
    found: dict[str, Any] = made["$defs"]
    return found


def _operation(app: Flask, rule: Rule, operation: Operation) -> dict[str, Any]:
    summary, _, more = (app.view_functions[rule.endpoint].__doc__ or "").partition("\n")
    made: dict[str, Any] = {
        "operationId": operation_id(rule.endpoint),
        "tags": [rule.endpoint.partition(".")[0] if "." in rule.endpoint else "broker"],
        "summary": summary.strip(),
        **({"description": " ".join(more.split())} if more.strip() else {}),
        "parameters": [_path_parameter(name) for name in _in_order(rule)] + [_parameter(each) for each in operation.parameters],
    }
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": _content(operation.body, JSON)}
    if operation.is_open:
        made["security"] = []
    made["responses"] = {str(int(status)): _answer(answer) for status, answer in operation.answers.items()} | _refusals(operation)
    return made


def operation_id(endpoint: str) -> str:
    """A route's name in the document."""
    return endpoint.replace(".", "_")


def _in_order(rule: Rule) -> list[str]:
    return IN_PATH.findall(rule.rule)


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": PATH_PARAMETERS[name], "schema": KEPT_ID}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        made["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()}
    if answer.model is not None or answer.content_type != JSON:
        made["content"] = _content(answer.model, answer.content_type)
    if answer.links:
        made["links"] = {operation_id(link.endpoint): _link(link) for link in answer.links}
    return made


def _content(model: type[BaseModel] | None, content_type: str) -> dict[str, Any]:
    return {content_type: {"schema": {"type": "string"} if model is None else {"$ref": f"{SCHEMAS}{model.__name__}"}}}


def _link(link: Link) -> dict[str, Any]:
    body = {} if link.body is None else {"requestBody": dict(link.body)}
    return {"operationId": operation_id(link.endpoint), "parameters": dict(link.parameters), **body}


def _refusals(operation: Operation) -> dict[str, Any]:
    known = set(operation.refusals)
    known |= set() if operation.is_open else OF_ALL
    known |= set() if operation.body is None else OF_BODIES
    named = {str(int(status)): {"$ref": f"{RESPONSES}{status.name}"} for status in sorted(known)}
    return {**named, "5XX": {"$ref": f"{RESPONSES}{FAILED}"}}


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.get(status, {}).items()}
    return {**_error(REFUSALS[status]), **({"headers": headers} if headers else {})}


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": _content(answers.Error, JSON)}
