"""Ids of any character in paths: WSGI decodes %2F to a slash before Flask sees it, so paths are taken from the request's own line.

Slashes and percent signs that were encoded reach the router encoded, everything else decoded; converter `id` decodes the rest.
"""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from flask import Flask, request
from werkzeug.routing import BaseConverter

from apb_broker.web.errors import HttpError

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
AUTHORITY = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
VALID = "apb.path_is_text"


class IdConverter(BaseConverter):
    """One segment of a path, whatever it holds."""

    regex = "[^/]+"
    part_isolating = True

    def to_python(self, value: str) -> str:
        """The id itself."""
        return unquote(value)


def register(app: Flask) -> None:
    """Adds the converter, and what prepares paths for it."""
    app.url_map.converters["id"] = IdConverter
    app.url_map.merge_slashes = False
    app.wsgi_app = _Paths(app.wsgi_app)  # type: ignore[method-assign]

    @app.before_request
    def check_path() -> None:
        if not request.environ.get(VALID, True):
            raise HttpError(HTTPStatus.BAD_REQUEST, "the path is not UTF-8 text, percent-encoded")


class _Paths:
    """Replaces PATH_INFO by what the request's line really says."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
        if raw:
            path = AUTHORITY.sub("", raw).partition("?")[0].removeprefix(environ.get("SCRIPT_NAME", ""))
            environ["PATH_INFO"] = path
            if "%" in path or not path.isascii():
                segments = [unquote_to_bytes(segment) for segment in path.split("/")]
                environ[VALID] = all(map(_is_text, segments))
                environ["PATH_INFO"] = b"/".join(map(_kept, segments)).decode("latin-1")
        return self._app(environ, start_response)


def _kept(segment: bytes) -> bytes:
    return segment.replace(b"%", b"%25").replace(b"/", b"%2F")


def _is_text(segment: bytes) -> bool:
    try:
        segment.decode()
    except UnicodeDecodeError:
        return False
    return True
