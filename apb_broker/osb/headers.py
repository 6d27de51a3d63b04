"""The protocol's headers: version, request identity, originating identity (OSB 2.17, "Headers")."""

import base64
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, request

from apb_broker.lifecycle.requests import Caller
from apb_broker.osb import versions
from apb_broker.web import current, requestlog, values
from apb_broker.web.current import broker
from apb_broker.web.errors import HttpError

VERSION = versions.VERSION_HEADER
IDENTITY = "X-Broker-API-Originating-Identity"
REQUEST_IDENTITY = requestlog.REQUEST_IDENTITY


def register(app: Flask) -> None:
    """Checks the version after authentication and before the route; echoes the request's identity on every answer."""

    @app.before_request
    def check_version() -> None:
        asked = current.asked()
        if not f"{asked.path}/".startswith("/v2/"):
            return
        version, settings = asked.headers.get(VERSION), broker().settings
        if not version:
            status = HTTPStatus(settings.missing_version_status)
            raise HttpError(status, f"the header {VERSION} is missing: send one of {', '.join(settings.api_versions)}")
        if version not in versions.VERSIONS or version not in settings.api_versions:
            sentence = f"{VERSION} {version} is not served: send one of {', '.join(settings.api_versions)}"
            raise HttpError(HTTPStatus.PRECONDITION_FAILED, sentence)
        g.api_version = version

    @app.after_request
    def echo_identity(response: Response) -> Response:
        identity = request.headers.get(REQUEST_IDENTITY)
        if identity:
            response.headers[REQUEST_IDENTITY] = identity
        return response


def version() -> str:
    """The version this request speaks."""
    found: str = g.api_version
    return found


def caller(context: dict[str, Any] | None = None) -> Caller:
    """Who asks. Raises a 400 for an originating identity that is malformed, or of another platform than the context's."""
    sent, user = current.asked().headers, g.user
    identity, request_id = _originating_identity(sent.get(IDENTITY)), sent.get(REQUEST_IDENTITY)
    if identity is None:
        return Caller(user, user, request_id=request_id)
    platform = (context or {}).get("platform")
    if platform is not None and platform != identity["platform"]:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{IDENTITY}: its platform is {identity['platform']}, that of context is {platform}")
    value = identity["value"]
    return Caller(user, str(value.get("username") or value.get("user_id") or user), identity, request_id)


def _originating_identity(header: str | None) -> dict[str, Any] | None:
    if header is None:
        return None
    platform, _, encoded = header.strip().partition(" ")
    try:
        value = values.parse(base64.b64decode(encoded.strip(), validate=True))
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{IDENTITY}: expected a platform, a space and a base64 JSON object") from error
    if not isinstance(value, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{IDENTITY}: its value is not a JSON object")
    identity = {"platform": platform, "value": value}
    values.require_storable(identity, IDENTITY)
    return identity
