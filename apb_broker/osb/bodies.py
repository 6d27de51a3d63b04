"""Request bodies: unknown fields are ignored, missing or malformed ones are named in a 400 (OSB 2.17, "Vendor Extension Fields").

What the database cannot hold is malformed too (`web.values`). Whatever a model checks beyond its fields stands in its JSON Schema too.
"""

from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from flask import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from apb_broker.web import current, values
from apb_broker.web.errors import HttpError

JSON = "application/json"
CONTEXT_TEXTS = ("platform", "organization_guid", "space_guid", "instance_name", "binding_name")
STORABLE: dict[str, Any] = {"pattern": r"^[^\u0000]*$"}
SHORT: dict[str, Any] = {**STORABLE, "maxLength": values.MAX_NAME_BYTES}


def _with_texts(context: dict[str, Any]) -> dict[str, Any]:
    """What is read of a context is text; anything else there is the platform's own."""
    for name in CONTEXT_TEXTS:
        value = context.get(name)
        if not isinstance(value, str | None):
            raise ValueError(f"{name} should be a string")
        try:
            values.require_short(value or "")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return context


NonEmpty = Annotated[str, Field(min_length=1, json_schema_extra=STORABLE)]
Name = Annotated[str, Field(min_length=1, json_schema_extra=SHORT), AfterValidator(values.require_short)]
Context = Annotated[
    dict[str, Any],
    AfterValidator(_with_texts),
    WithJsonSchema({"type": "object", "properties": {name: {**SHORT, "type": ["string", "null"]} for name in CONTEXT_TEXTS}}),
]


class Body(BaseModel):
    """What all bodies share."""

    model_config = ConfigDict(extra="ignore", strict=True)


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
    """The request's body as that model. Raises a 400 that names the field, a 415 for an encoding that is not spoken here."""
    asked = current.asked()
    encoding = asked.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding: expected none, not {encoding}: send the body as it is")
    if asked.content_type != JSON and asked.mimetype not in ("", JSON):
        raise HttpError(HTTPStatus.BAD_REQUEST, f"Content-Type: expected {JSON}, not {asked.mimetype}")
    try:
        value = values.parse(_data(asked))
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not valid JSON") from error
    if not isinstance(value, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    try:
        body = model.model_validate(value)
    except ValidationError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "; ".join(_sentence(problem) for problem in error.errors())) from error
    for name in body.model_fields_set:  # what is ignored may hold anything
        values.require_storable(getattr(body, name), f"body.{name}", depth=1)
    return body


def _data(asked: Request) -> bytes:
    try:
        data = asked.get_data()
    except HTTPException:
        raise  # too large, or the platform went away
    except Exception as error:  # what the server calls malformed chunks is its own affair
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body cannot be read to its end") from error
    # Of a body whose length is not told, werkzeug reads as much as is allowed and says nothing of the rest.
    if asked.content_length is None and len(data) >= (asked.max_content_length or len(data) + 1):
        raise RequestEntityTooLarge
    return data


def _sentence(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    message = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
    return f"{field}: {message[0].lower()}{message[1:]}"
