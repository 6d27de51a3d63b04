"""Request bodies: unknown fields are ignored, missing or malformed ones are named in a 400 (OSB 2.17, "Vendor Extension Fields")."""

from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError
from werkzeug.exceptions import HTTPException

from apb_broker.web import values
from apb_broker.web.errors import HttpError

NUL_FREE: dict[str, Any] = {"pattern": r"^[^\u0000]*$"}  # `read` sees to it
KEPT: dict[str, Any] = {**NUL_FREE, "maxLength": values.MAX_BYTES}


def _short(value: str, name: str = "this") -> str:
    if len(value.encode()) > values.MAX_BYTES:
        raise PydanticCustomError("too_long", f"{name} is longer than {values.MAX_BYTES} bytes")
    return value


NonEmpty = Annotated[str, Field(min_length=1, json_schema_extra=NUL_FREE)]
Kept = Annotated[str, Field(min_length=1, json_schema_extra=KEPT), AfterValidator(_short)]


class Body(BaseModel):
    """What all bodies share."""

    model_config = ConfigDict(extra="ignore", strict=True)


def _looked_at(context: dict[str, Any]) -> dict[str, Any]:
    for name in LOOKED_AT:
        value = context.get(name)
        if value is not None and not isinstance(value, str):
            raise PydanticCustomError("no_text", f"{name} is not text")
        _short(value or "", name)
    return context


LOOKED_AT = ("platform", "instance_name", "binding_name")  # of a context; the rest is kept as it is
Context = Annotated[
    dict[str, Any],
    AfterValidator(_looked_at),
    WithJsonSchema({"type": "object", "properties": {name: {**KEPT, "type": ["string", "null"]} for name in LOOKED_AT}}),
]


class MaintenanceInfo(Body):
    """Which maintenance version the platform believes in. Only it counts, nothing else there is looked at."""

    version: Annotated[str, Field(min_length=1)]


class BindResource(Body):
    """What a binding is for."""

    app_guid: Annotated[str, Field(min_length=1)] | None = None


class ProvisionBody(Body):
    """PUT /v2/service_instances/:id."""

    service_id: NonEmpty
    plan_id: NonEmpty
    organization_guid: Kept
    space_guid: Kept
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


def _given(*names: str) -> dict[str, Any]:
    """The schema of an object in which these texts are given."""
    return {"required": list(names), "properties": {name: {"type": "string"} for name in names}}


class BindBody(Body):
    """PUT /v2/service_instances/:id/service_bindings/:id. A rotation (one with a predecessor) needs no other field."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_given("predecessor_binding_id"), _given("service_id", "plan_id")]})

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
    """The request's body as that model. Raises a 400 that names the field."""
    if request.mimetype not in ("", "application/json"):
        raise HttpError(HTTPStatus.BAD_REQUEST, f"Content-Type: expected application/json, not {request.mimetype}")
    try:
        value = values.parse(_data())
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not valid JSON") from error
    if not isinstance(value, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    try:
        body = model.model_validate(value)
    except ValidationError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "; ".join(_sentence(problem) for problem in error.errors())) from error
    for name in body.model_fields_set:  # what is ignored may hold anything
        values.require_storable(getattr(body, name), name)
    return body


def _data() -> bytes:
    """The body as it came. Raises a 400 when it did not come whole, a 413 when it is too large."""
    try:
        return request.get_data()
    except HTTPException:
        raise
    except Exception as error:  # the server's own kinds: it reads the body from the connection only now, and finds chunks that are none
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not what its headers say it is") from error


def _sentence(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
