"""The audit: what was asked for, by whom, and what became of it. Written in the transaction that does it; never a secret."""

from typing import Any

from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage import audit, tables
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Audit, Operation


def note(
    unit: Unit, caller: Caller, action: str, outcome: str, *, instance_id: str, binding_id: str | None = None, detail: str = ""
) -> None:
    """Something that is done at once."""
    audit.append(unit, **_who(caller), action=action, outcome=outcome, instance_id=instance_id, binding_id=binding_id, detail=detail)


def acceptance(caller: Caller, operation: Operation) -> Audit:
    """The entry of an operation that is to be queued, for who writes both."""
    return tables.new(Audit, **_who(caller), **_what(operation), outcome="accepted")


def ended(unit: Unit, operation: Operation) -> None:
    """The end of an operation, which is the broker's own doing."""
    who = {"principal": operation.principal or "", "requested_by": "apb", "identity": None, "request_id": None}
    audit.append(unit, **who, **_what(operation), outcome=operation.state, detail=operation.error)


def _who(caller: Caller) -> dict[str, Any]:
    return {
        "principal": caller.principal,
        "requested_by": caller.user,
        "identity": caller.identity,
        "request_id": caller.request_id,
    }


def _what(operation: Operation) -> dict[str, Any]:
    return {
        "action": operation.kind,
        "instance_id": operation.instance_id,
        "binding_id": operation.binding_id,
        "operation_id": operation.id,
    }


def read(broker: Broker, *, instance_id: str | None, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest entries; `before` goes on with older ones than that `seq`."""
    with broker.database.unit() as unit:
        return [
            {
                "seq": row.sequence,
                "at": row.at.isoformat(),
                "principal": row.principal,
                "requested_by": row.requested_by,
                "identity": row.identity,
                "request_id": row.request_id,
                "action": row.action,
                "outcome": row.outcome,
                "instance_id": row.instance_id,
                "binding_id": row.binding_id,
                "operation_id": row.operation_id,
                "detail": row.detail,
            }
            for row in audit.rows(unit, instance_id=instance_id, before=before, limit=limit)
        ]
