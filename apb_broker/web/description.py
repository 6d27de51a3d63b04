"""What is said of a route for /openapi.json, as far as it does not say that itself: one `Operation`, by its endpoint.

Those of an interface stand in the interface's own `description`, those of no interface here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from apb_broker.web import answers, values

Schema = dict[str, Any]
JSON = "application/json"
TEXT: Schema = {"type": "string", "pattern": r"^[^\u0000]*$"}
ID: Schema = {**TEXT, "minLength": 1}
KEPT_ID: Schema = {**ID, "maxLength": values.MAX_NAME_BYTES}
ETAG = {"ETag": "Of this version of it, for If-None-Match"}


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a header; those of the path are known from the route."""

    name: str
    description: str
    where: str = "query"
    schema: Schema = field(default_factory=lambda: TEXT)
    required: bool = False


@dataclass(frozen=True)
class Link:
    """What can be done next: the endpoint, and where its parameters and the fields of its body are found (OpenAPI runtime expressions)."""

    endpoint: str
    parameters: Mapping[str, str]
    body: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Answer:
    """An answer that is no refusal. Without a model it has no body, unless it is text of another kind."""

    description: str
    model: type[BaseModel] | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Operation:
    """What a route takes and how it answers, as far as the route itself does not say."""

    answers: Mapping[HTTPStatus, Answer]
    refusals: tuple[HTTPStatus, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    is_open: bool = False  # to anybody, without authentication


Operations = Mapping[str, Operation]
OPERATIONS: Operations = {
    "openapi": Operation(
        {
            HTTPStatus.OK: Answer("This document", answers.Description, headers=ETAG),
            HTTPStatus.NOT_MODIFIED: Answer("Whoever asks has it already (If-None-Match)"),
        }
    ),
    "health.live": Operation({HTTPStatus.OK: Answer("It does", answers.Alive)}, is_open=True),
    "health.ready": Operation({HTTPStatus.OK: Answer("They can", answers.Ready)}, is_open=True),
    "metrics.metrics": Operation({HTTPStatus.OK: Answer("The metrics", content_type="text/plain")}),
}
