"""Request bodies: unknown fields are ignored, missing or malformed ones are named in a 400 (OSB 2.17, "Vendor Extension Fields")."""

import json
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apb_broker.web.errors import HttpError

NonEmpty = Annotated[str, Field(min_length=1)]


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
    organization_guid: NonEmpty
    space_guid: NonEmpty
    context: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    maintenance_info: MaintenanceInfo | None = None


class UpdateBody(Body):
    """PATCH /v2/service_instances/:id."""

    service_id: NonEmpty
    plan_id: NonEmpty | None = None
    context: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    maintenance_info: MaintenanceInfo | None = None


class BindBody(Body):
    """PUT /v2/service_instances/:id/service_bindings/:id. A rotation (one with a predecessor) needs no other field."""

    predecessor_binding_id: NonEmpty | None = None
    service_id: NonEmpty | None = None
    plan_id: NonEmpty | None = None
    app_guid: NonEmpty | None = None
    bind_resource: BindResource | None = None
    context: dict[str, Any] | None = None
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
        value = json.loads(request.get_data(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not valid JSON") from error
    if not isinstance(value, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    require_storable(value, "body")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "; ".join(_sentence(problem) for problem in error.errors())) from error


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _sentence(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def require_storable(value: Any, where: str) -> None:
    """NUL and lone surrogates cannot be kept as text: a 400 that says where they are, without repeating the value."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{where}: holds a character that is not allowed (NUL or a lone surrogate)")
    elif isinstance(value, dict):
        for key, item in value.items():
            require_storable(key, where)
            require_storable(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            require_storable(item, f"{where}[{index}]")
