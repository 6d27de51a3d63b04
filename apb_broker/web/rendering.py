"""How answers become JSON: by pydantic's encoder, in half the time of Python's."""

from typing import Any

from flask import Response
from flask.json.provider import DefaultJSONProvider
from pydantic_core import PydanticSerializationError, to_json


class Json(DefaultJSONProvider):
    """Compact, fields in the order in which they are given."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """The answer with that body."""
        try:
            body = to_json(self._prepare_response_obj(args, kwargs)) + b"\n"
        except PydanticSerializationError:  # half a character (a lone surrogate), which Python escapes
            return super().response(*args, **kwargs)  # type: ignore[return-value]  # Flask has two types for one
        return Response(body, content_type=self.mimetype)
