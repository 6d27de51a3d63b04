"""Slices of the catalog over HTTP: /brokers/NAME/v2/… is the /v2/… of a part, which platforms register as a broker of its own."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from flask import Flask, request

from apb_broker.web.paths import Wsgi

PATH = re.compile(r"(?P<script>/brokers/(?P<name>[^/]*))(?P<path>/v2(?:/.*)?)", re.DOTALL)
SLICE = "apb.slice"


def register(app: Flask, names: Collection[str]) -> None:
    """Adds the step that tells slices apart. It sees paths as `web.paths` leaves them, so that has to be registered later."""
    app.wsgi_app = _Slices(app.wsgi_app, names)  # type: ignore[method-assign]


def name() -> str | None:
    """The slice this request is for; None: the whole."""
    found: str | None = request.environ.get(SLICE)
    return found


class _Slices:
    """Moves /brokers/NAME from the path to where the application is mounted (SCRIPT_NAME, PEP 3333). Other names are left to the router."""

    def __init__(self, app: Wsgi, names: Collection[str]) -> None:
        self._app, self._names = app, names

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found = PATH.fullmatch(environ.get("PATH_INFO", ""))
        if found is not None and found["name"] in self._names:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + found["script"]
            environ["PATH_INFO"] = found["path"]
            environ[SLICE] = found["name"]
        return self._app(environ, start_response)
