"""Values that come from outside: JSON that is read strictly, and texts and numbers that can be kept. Whatever cannot be is a 400."""

import json
import math
from http import HTTPStatus
from typing import Any

from flask import Flask, request

from apb_broker.web.errors import HttpError

MAX_BYTES = 800  # of an id or a name: three of them fit the row of an index of PostgreSQL (2704 bytes)
MAX_DEPTH = 64


def register(app: Flask) -> None:
    """Ids of any character are taken, except what no database can hold."""

    @app.before_request
    def check_ids() -> None:
        for name, value in (request.view_args or {}).items():
            require_storable(value, name)
            require_short(value, name)
        for name, value in request.args.items(multi=True):
            require_storable(name, "the query")
            require_storable(value, name)


def parse(text: str | bytes) -> Any:
    """What JSON says; there is no NaN in it, and no Infinity. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> None:
    raise ValueError(name)


def require_storable(value: Any, where: str, depth: int = 0) -> None:
    """Refuses NUL and lone surrogates, numbers beyond a double and deep nesting, by a 400 that says where, without repeating the value."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{where}: holds a character that is not allowed (NUL or a lone surrogate)")
    elif isinstance(value, float) and not math.isfinite(value):
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{where}: is too large a number")
    elif isinstance(value, dict | list) and depth >= MAX_DEPTH:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{where[:80]}: is nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, dict):
        for key, item in value.items():
            require_storable(key, where)
            require_storable(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            require_storable(item, f"{where}[{index}]", depth + 1)


def require_short(value: str, where: str) -> None:
    """An id or a name can be indexed. Refuses a longer one by a 400."""
    length = len(value.encode())
    if length > MAX_BYTES:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{where}: is {length} bytes long: at most {MAX_BYTES} are allowed")
