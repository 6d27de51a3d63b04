"""The protocol's headers: version, request identity, originating identity (OSB 2.17, "Headers")."""

import base64
import json
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, request

from apb_broker.web.errors import HttpError

VERSIONS = ("2.13", "2.14", "2.15", "2.16", "2.17")


def register(app: Flask) -> None:
    """Checks the version after authentication and before the route; echoes the request's identity on every answer."""

    @app.before_request
    def check_version() -> None:
        if not f"{request.path}/".startswith("/v2/"):
            return
        version = request.headers.get("X-Broker-API-Version")
        if version is None:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"the header X-Broker-API-Version is missing: send one of {', '.join(VERSIONS)}")
        if version not in VERSIONS:
            raise HttpError(
                HTTPStatus.PRECONDITION_FAILED, f"X-Broker-API-Version {version} is not served: send one of {', '.join(VERSIONS)}"
            )

    @app.after_request
    def echo_identity(response: Response) -> Response:
        identity = request.headers.get("X-Broker-API-Request-Identity")
        if identity:
            response.headers["X-Broker-API-Request-Identity"] = identity
        return response


def requested_by() -> str:
    """Who asked: the platform's user where it names one, else the authenticated one."""
    value = _originating_identity(request.headers.get("X-Broker-API-Originating-Identity"))
    return str(value.get("username") or value.get("user_id") or g.user)


def _originating_identity(header: str | None) -> dict[str, Any]:
    if header is None:
        return {}
    _platform, _, encoded = header.strip().partition(" ")
    try:
        value = json.loads(base64.b64decode(encoded, validate=True))
    except ValueError as error:
        raise HttpError(
            HTTPStatus.BAD_REQUEST, "X-Broker-API-Originating-Identity: expected `platform` and a base64 JSON object"
        ) from error
    if not isinstance(value, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "X-Broker-API-Originating-Identity: its value is not a JSON object")
    return value
