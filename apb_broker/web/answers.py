"""Bodies of answers that no interface owns. Those here, in `osb.answers` and in `admin.answers` describe what routes make."""

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
    """This process answers."""

    status: Literal["ok"]


class Ready(Alive):
    """Requests can be accepted; without a worker what they ask for waits."""

    workers: int = Field(ge=0, description="Those that were heard of lately")


class Description(BaseModel):
    """An OpenAPI 3.1 document; what is in it is said by that specification."""

    openapi: str = Field(pattern=r"^3\.1\.")
    paths: dict[str, Any]
