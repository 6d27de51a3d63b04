"""What operators see of instances and operations: plain JSON, without anything secret."""

import base64
import json
import time
from datetime import datetime
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.lifecycle import errors, health, protection
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage import listing
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Binding, Instance, Operation

LOG_POLL_SECONDS = 0.2


def instances(
    broker: Broker, *, name: str | None = None, space: str | None = None, after: str | None = None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the instances, oldest first: all, or those of a name and space; and what `after` the next one has, if there is one.

    Raises Invalid for an `after` that no page has told.
    """
    position = None if after is None else _position(after)
    with broker.database.unit() as unit:
        found = listing.page(unit, name=name, space=space, after=position, limit=limit + 1)
        shown = found[:limit]
        return [_listed(broker, each) for each in shown], _cursor(shown[-1].position) if shown and len(found) > limit else None


def _cursor(position: listing.Position) -> str:
    created_at, instance_id = position
    return base64.urlsafe_b64encode(json.dumps([created_at.isoformat(), instance_id]).encode()).decode()


def _position(cursor: str) -> listing.Position:
    try:
        created_at, instance_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        position = datetime.fromisoformat(created_at), instance_id
        if position[0].tzinfo is None or not isinstance(instance_id, str) or _cursor(position) != cursor:
            raise ValueError
    except (ValueError, TypeError, RecursionError) as error:
        raise errors.Invalid("after: expected what the page before says as `next`") from error
    return position


def instance(broker: Broker, instance_id: str) -> dict[str, Any]:
    """One instance. Raises NotFound."""
    with broker.database.unit() as unit:
        row = unit.instance(instance_id)
        if row is None:
            raise errors.NotFound(f"instance {instance_id} does not exist")
        return of_instance(broker, unit, row)


def operations(broker: Broker, *, instance_id: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    """Operations, newest first."""
    with broker.database.unit() as unit:
        return [of_operation(row) for row in unit.operations(instance_id=instance_id, state=state, limit=limit)]


def operation(broker: Broker, operation_id: str) -> dict[str, Any]:
    """One operation. Raises NotFound."""
    with broker.database.unit() as unit:
        return of_operation(_find(unit, operation_id))


def log(broker: Broker, operation_id: str, *, after: int, wait_seconds: float) -> dict[str, Any]:
    """Lines of an operation's log after a sequence number; waits for the first of them, or for the end. Raises NotFound."""
    give_up = time.monotonic() + wait_seconds
    while True:
        with broker.database.unit() as unit:
            row = _find(unit, operation_id)
            lines = [{"seq": line.sequence, "at": _time(line.at), "text": line.text} for line in unit.progress(operation_id, after=after)]
        if lines or not row.is_active or time.monotonic() >= give_up:
            return {"lines": lines, "state": row.state}
        time.sleep(LOG_POLL_SECONDS)


def _find(unit: Unit, operation_id: str) -> Operation:
    row = unit.operation(operation_id)
    if row is None:
        raise errors.NotFound(f"operation {operation_id} does not exist")
    return row


def of_instance(broker: Broker, unit: Unit, row: Instance) -> dict[str, Any]:
    """An instance as operators see it."""
    return _listed(broker, listing.one(unit, row))


def _listed(broker: Broker, listed: listing.Listed) -> dict[str, Any]:
    row, last = listed.instance, listed.operation
    plan = service.plan_from_snapshot(row.plan_snapshot)
    return {
        "id": row.id,
        "name": row.name,
        "service": row.service_name,
        "plan": row.plan_name,
        "service_id": row.service_id,
        "plan_id": row.plan_id,
        "mode": row.mode,
        "state": row.state,
        "parameters": service.redact(plan, row.parameters or {}),
        "connection": row.connection,
        "organization": row.organization,
        "space": row.space,
        "platform": row.platform,
        "principal": row.principal,
        "requested_by": row.requested_by,
        "role": row.role,
        "role_version": row.role_version,
        "maintenance_version": plan.maintenance.get("version"),
        "protected_by": protection.of(broker, row),
        "purge_at": _time(row.purge_at),
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
        "bindings": [_binding(plan, binding) for binding in listed.bindings],
        "operation": None if last is None else of_operation(last),
        "health": health.shown(listed.health),
    }


def _binding(plan: Any, row: Binding) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "username": row.username,
        "parameters": service.redact(plan, row.parameters or {}),
        "predecessor": row.predecessor,
        "expires_at": _time(row.expires_at),
        "renew_before": _time(row.renew_before),
        "requested_by": row.requested_by,
        "created_at": _time(row.created_at),
    }


def of_operation(row: Operation) -> dict[str, Any]:
    """An operation as operators see it."""
    return {
        "id": row.id,
        "kind": row.kind,
        "instance_id": row.instance_id,
        "instance_name": row.instance_name,
        "binding_id": row.binding_id,
        "state": row.state,
        "description": row.description,
        "error": row.error,
        "attempt": row.attempt,
        "epoch": row.epoch,
        "service": row.service_name,
        "plan": row.plan_name,
        "principal": row.principal,
        "requested_by": row.requested_by,
        "identity": row.identity,
        "worker": row.lease_owner,
        "cancel_requested": row.cancel_requested,
        "due_at": _time(row.due_at),
        "deadline_at": _time(row.deadline_at),
        "created_at": _time(row.created_at),
        "started_at": _time(row.started_at),
        "finished_at": _time(row.finished_at),
        "retry_at": _time(row.retry_at),
        "retries": row.retries,
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
