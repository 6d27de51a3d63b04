"""Errors over HTTP: one table from what went wrong to status and code, one place that renders them (OSB 2.17, "Service Broker Errors")."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from ansible_collections.apb.catalog.plugins.module_utils import service
from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from apb_broker.catalog.errors import NotOffered
from apb_broker.lifecycle import errors
from apb_broker.storage.errors import Unavailable

Headers = Mapping[str, str | list[str]]  # a list: the header several times

log = structlog.get_logger("apb.web")


class HttpError(Exception):
    """An answer other than success: status, a CamelCase code where the protocol has one, a sentence for the user."""

    def __init__(self, status: HTTPStatus, description: str, code: str | None = None, headers: Headers | None = None) -> None:
        super().__init__(description)
        self.status, self.code, self.headers = status, code, headers or {}


TABLE: dict[type[Exception], tuple[HTTPStatus, str | None]] = {
    service.ParameterError: (HTTPStatus.BAD_REQUEST, None),
    NotOffered: (HTTPStatus.BAD_REQUEST, None),
    errors.Invalid: (HTTPStatus.BAD_REQUEST, None),
    errors.NotFound: (HTTPStatus.NOT_FOUND, None),
    errors.Gone: (HTTPStatus.GONE, None),
    errors.Conflict: (HTTPStatus.CONFLICT, None),
    errors.Busy: (HTTPStatus.UNPROCESSABLE_ENTITY, "ConcurrencyError"),
    errors.AsyncRequired: (HTTPStatus.UNPROCESSABLE_ENTITY, "AsyncRequired"),
    errors.RequiresApp: (HTTPStatus.UNPROCESSABLE_ENTITY, "RequiresApp"),
    errors.MaintenanceConflict: (HTTPStatus.UNPROCESSABLE_ENTITY, "MaintenanceInfoConflict"),
    errors.Unsupported: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    errors.Protected: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    errors.Forbidden: (HTTPStatus.FORBIDDEN, None),
    errors.QuotaReached: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    errors.NoCapacity: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    errors.Unfinished: (HTTPStatus.INTERNAL_SERVER_ERROR, None),
    Unavailable: (HTTPStatus.SERVICE_UNAVAILABLE, None),
}


def register(app: Flask) -> None:
    """Every error of the application is rendered here."""
    app.register_error_handler(Exception, render)


def render(error: Exception) -> Response:
    """The error object; a cause nobody foresaw is logged and not shown."""
    if isinstance(error, HttpError):
        return _answer(error.status, error.code, str(error), error.headers)
    if isinstance(error, HTTPException):
        allow = {"Allow": str(error.get_response().headers["Allow"])} if error.code == HTTPStatus.METHOD_NOT_ALLOWED else {}
        return _answer(HTTPStatus(error.code or 500), None, error.description or error.name, allow)
    for kind, (status, code) in TABLE.items():
        if isinstance(error, kind):
            log.info("refused", reason=type(error).__name__)
            return _answer(status, code, str(error))
    log.error("request failed", exc_info=error)
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, None, "the broker failed; its log says why")


def _answer(status: HTTPStatus, code: str | None, description: str, headers: Headers | None = None) -> Response:
    response = jsonify({"description": description} if code is None else {"error": code, "description": description})
    response.status_code = status
    response.headers.update(headers or {})
    return response
