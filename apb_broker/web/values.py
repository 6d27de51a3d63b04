"""Values that come from outside: JSON that is read strictly, and ids, texts and numbers that can be kept. What cannot be kept is a 400."""

import json
import math
import re
from http import HTTPStatus
from typing import Any

from flask import Flask

from apb_broker.web import current
from apb_broker.web.errors import HttpError

MAX_NAME_BYTES = 800  # ids and names are keys of indexes, which take up to three of them in 2,700 bytes
MAX_DEPTH = 64
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def register(app: Flask) -> None:
    """Ids of any character are taken, except what no database can hold."""

    @app.before_request
    def check_ids() -> None:
        asked = current.asked()
        for name, value in (asked.view_args or {}).items():
            require_id(value, name)
        for name, value in asked.args.items(multi=True) if asked.query_string else ():
            require_storable(value, name)


def parse(text: str | bytes) -> Any:
    """What JSON says. NaN and Infinity are none, though Python reads them. Raises ValueError."""
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        return _decode(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _no_constant(name: str) -> None:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_constant=_no_constant).decode  # made once, not for each request


def require_short(value: str) -> str:
    """A name that can be the key of an index. Raises ValueError."""
    if len(value.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
        raise ValueError(f"expected at most {MAX_NAME_BYTES} bytes as UTF-8")
    return value


def require_id(value: str, name: str) -> None:
    """An id of any character, unless it cannot be kept. Raises a 400."""
    require_storable(value, name)
    try:
        require_short(value)
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{name}: {error}") from error


def require_storable(value: Any, where: str, depth: int = 0) -> None:
    """What JSON may say but no database keeps: a 400 that says where it is, without repeating the value."""
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{where}: holds a character that is not allowed (NUL or a lone surrogate)")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{where}: is a number beyond what a number can be")
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{where[:MAX_DEPTH]}…: is nested more than {MAX_DEPTH} deep")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            require_storable(key, where)
            require_storable(item, f"{where}.{key}" if isinstance(value, dict) else f"{where}[{key}]", depth + 1)
