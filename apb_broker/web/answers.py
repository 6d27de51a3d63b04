"""Bodies of answers that no interface owns. The models here, in `osb.answers` and in `admin.answers` describe what routes make."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


def _left_out(schema: dict[str, Any]) -> None:
    """What there is not is left out of an answer, never null: a field with a default need not be there."""
    for field in schema.get("properties", {}).values():
        if "default" in field:
            del field["default"]
            given = [alternative for alternative in field.pop("anyOf", []) if alternative != {"type": "null"}]
            if given:
                field.update(given[0] if len(given) == 1 else {"anyOf": given})


class Answer(BaseModel):
    """What all answers share: no other fields than these are served."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_left_out)


class Error(Answer):
    """Why a request was not carried out (OSB 2.17, "Service Broker Errors")."""

    error: Literal["AsyncRequired", "ConcurrencyError", "RequiresApp", "MaintenanceInfoConflict"] | None = None
    description: str = Field(min_length=1)


class Alive(Answer):
    """This process can do its work."""

    status: Literal["ok"]


class Description(BaseModel):
    """An OpenAPI 3.1 document; what is in it is said by that specification."""

    openapi: str = Field(pattern=r"^3\.1\.")
    paths: dict[str, Any]
