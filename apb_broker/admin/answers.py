"""Bodies of answers to operators. Nothing secret is in any of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from apb_broker.web.answers import Answer

State = Literal["queued", "running", "succeeded", "failed"]


class OperationView(Answer):
    """An operation, the queue's row and the history's."""

    id: str
    kind: Literal["provision", "update", "deprovision", "bind", "unbind", "repair"]
    instance_id: str
    instance_name: str | None
    binding_id: str | None
    state: State
    description: str
    error: str
    attempt: int
    epoch: int
    service: str | None
    plan: str | None
    principal: str | None
    requested_by: str
    identity: dict[str, Any] | None
    worker: str | None
    cancel_requested: bool
    due_at: datetime
    deadline_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    retry_at: datetime | None
    retries: int


class OperationViews(Answer):
    """Operations, newest first."""

    operations: list[OperationView]


class BindingView(Answer):
    """A binding, without its credentials."""

    id: str
    name: str | None
    state: Literal["binding", "ready", "failed", "unbinding"]
    username: str
    parameters: dict[str, Any]
    predecessor: str | None
    expires_at: datetime | None
    renew_before: datetime | None
    requested_by: str
    created_at: datetime


class HealthView(Answer):
    """How an instance was found when it was last looked at; `unknown` before that, and when it could not be looked at."""

    status: Literal["ok", "failing", "unknown"]
    message: str
    drift: list[str]
    since: datetime | None
    checked_at: datetime | None
    repairs: int
    next_repair_at: datetime | None


class InstanceView(Answer):
    """An instance with its bindings and the last operation on it; parameters without the sensitive ones."""

    id: str
    name: str | None
    service: str
    plan: str
    service_id: str
    plan_id: str
    mode: Literal["host", "shared"]
    state: Literal["provisioning", "ready", "failed", "deprovisioning", "kept"]
    parameters: dict[str, Any]
    connection: dict[str, Any]
    organization: str
    space: str
    platform: str | None
    principal: str | None
    requested_by: str
    role: str
    role_version: str
    maintenance_version: str | None
    protected_by: Annotated[Literal["operator", "plan"] | None, Field(description="Whose word keeps platforms from deleting it")]
    purge_at: Annotated[datetime | None, Field(description="It was deleted and is kept until then; for its platform it is gone")]
    created_at: datetime
    updated_at: datetime
    bindings: list[BindingView]
    operation: OperationView | None
    health: HealthView


class InstanceViews(Answer):
    """Instances, oldest first."""

    instances: list[InstanceView]
    next: Annotated[str | None, Field(description="There are more: what `after` the next page has")]


class LogLine(Answer):
    """One line of an operation's log."""

    seq: int
    at: datetime
    text: str


class Log(Answer):
    """Lines of an operation's log, and how the operation stood when they were read."""

    lines: list[LogLine]
    state: State


class Forgotten(Answer):
    """What was known of an instance that is forgotten, for whoever removes by hand what is left of it."""

    id: str
    service: str
    names: dict[str, Any]
    placement: dict[str, Any]
    ports: dict[str, Any]
    usernames: list[str]


class AuditEntry(Answer):
    """Who did what, and what became of it."""

    seq: int
    at: datetime
    principal: str
    requested_by: str
    identity: dict[str, Any] | None
    request_id: str | None
    action: str
    outcome: Literal["accepted", "succeeded", "failed", "done"]
    instance_id: str | None
    binding_id: str | None
    operation_id: str | None
    detail: str


class AuditEntries(Answer):
    """The audit, newest first."""

    audit: list[AuditEntry]
