"""Request bodies: unknown fields are ignored, missing or malformed ones are named in a 400 (OSB 2.17, "Vendor Extension Fields").

What the database cannot hold is malformed too: characters, numbers, depth and lengths are checked here, for ids in paths as well.
"""

import json
import math
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from apb_broker.web.errors import HttpError

MAX_NAME_BYTES = 800  # ids and names are keys of indexes, which take up to three of them in 2,700 bytes
MAX_DEPTH = 64
CONTEXT_TEXTS = ("platform", "organization_guid", "space_guid", "instance_name", "binding_name")


def _short(value: str) -> str:
    if len(value.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
        raise ValueError(f"expected at most {MAX_NAME_BYTES} bytes as UTF-8")
    return value


def _with_texts(context: dict[str, Any]) -> dict[str, Any]:
    """What is read of a context is text; anything else there is the platform's own."""
    for name in CONTEXT_TEXTS:
        value = context.get(name)
        if not isinstance(value, str | None):
            raise ValueError(f"{name} should be a string")
        try:
            _short(value or "")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return context


NonEmpty = Annotated[str, Field(min_length=1)]
Name = Annotated[NonEmpty, AfterValidator(_short)]
Context = Annotated[dict[str, Any], AfterValidator(_with_texts)]


class Body(BaseModel):
    """What all bodies share."""

    model_config = ConfigDict(extra="ignore", strict=True)


class MaintenanceInfo(Body):
    """Which maintenance version the platform believes in. Only it counts, nothing else there is looked at."""

    version: NonEmpty


class BindResource(Body):
    """What a binding is for."""

    app_guid: NonEmpty | None = None


class ProvisionBody(Body):
    """PUT /v2/service_instances/:id."""

    service_id: NonEmpty
    plan_id: NonEmpty
    organization_guid: Name
    space_guid: Name
    context: Context | None = None
    parameters: dict[str, Any] | None = None
    maintenance_info: MaintenanceInfo | None = None


class UpdateBody(Body):
    """PATCH /v2/service_instances/:id."""

    service_id: NonEmpty
    plan_id: NonEmpty | None = None
    context: Context | None = None
    parameters: dict[str, Any] | None = None
    maintenance_info: MaintenanceInfo | None = None


class BindBody(Body):
    """PUT /v2/service_instances/:id/service_bindings/:id. A rotation (one with a predecessor) needs no other field."""

    predecessor_binding_id: NonEmpty | None = None
    service_id: NonEmpty | None = None
    plan_id: NonEmpty | None = None
    app_guid: NonEmpty | None = None
    bind_resource: BindResource | None = None
    context: Context | None = None
    parameters: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "BindBody":
        if self.predecessor_binding_id is None:
            for name in ("service_id", "plan_id"):
                if getattr(self, name) is None:
                    raise HttpError(HTTPStatus.BAD_REQUEST, f"{name}: field required")
        return self


Model = TypeVar("Model", bound=Body)


def read(model: type[Model]) -> Model:
    """The request's body as that model. Raises a 400 that names the field, a 415 for an encoding that is not spoken here."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding: expected none, not {encoding}: send the body as it is")
    if request.mimetype not in ("", "application/json"):
        raise HttpError(HTTPStatus.BAD_REQUEST, f"Content-Type: expected application/json, not {request.mimetype}")
    try:
        value = json.loads(_data(), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not valid JSON") from error
    if not isinstance(value, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    require_storable(value, "body")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "; ".join(_sentence(problem) for problem in error.errors())) from error


def _data() -> bytes:
    try:
        data = request.get_data()
    except HTTPException:
        raise  # too large, or the platform went away
    except Exception as error:  # what the server calls malformed chunks is its own affair
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body cannot be read to its end") from error
    # Of a body whose length is not told, werkzeug reads as much as is allowed and says nothing of the rest.
    if request.content_length is None and len(data) >= (request.max_content_length or len(data) + 1):
        raise RequestEntityTooLarge
    return data


def refuse_constant(name: str) -> None:
    """NaN and Infinity are no JSON, though Python reads them. Raises ValueError."""
    raise ValueError(name)


def _sentence(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    message = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
    return f"{field}: {message[0].lower()}{message[1:]}"


def require_id(value: str, name: str) -> None:
    """An id of any character, unless it cannot be kept. Raises a 400."""
    require_storable(value, name)
    try:
        _short(value)
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{name}: {error}") from error


def require_storable(value: Any, where: str, depth: int = 0) -> None:
    """What JSON may say but no database keeps: a 400 that says where it is, without repeating the value."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
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
