"""Health: each ready instance is looked at from time to time, by its role's `verify`, whenever nothing else is to be done.

Owns what a look says and what becomes of it. A look never stands in anybody's way: what is accepted meanwhile goes on beside it, its run is
halted, and what it found is thrown away. It leaves nothing behind but how the instance is. Repairing is `lifecycle.repair`'s.
"""

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apb_broker.lifecycle import audit, operations, repair, variables
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.operations import Work
from apb_broker.lifecycle.outcomes import Result
from apb_broker.storage import health
from apb_broker.storage.database import Unit
from apb_broker.storage.errors import StorageError
from apb_broker.storage.tables import Health, Instance, Operation

VERIFY = "verify"
DEADLINE_SECONDS = 120.0
AGAIN_SECONDS = 30.0
"""After a look that said nothing, and how long an unwell instance waits for the next one at least."""

MESSAGE_LENGTH = 500


@dataclass(frozen=True)
class Change:
    """An instance that is otherwise than before, and is to be told of."""

    instance_id: str
    before: str
    after: str
    message: str


def enroll(broker: Broker) -> None:
    """Has all instances looked at that are ready and that nobody looks at: those of before there were looks, or while they were off.

    A new one is enrolled when it becomes ready (`lifecycle.outcomes`).
    """
    if broker.settings.verify_every_seconds:
        with broker.database.unit() as unit:
            health.enroll(unit, within_seconds=broker.settings.verify_every_seconds)


def claim(broker: Broker, owner: str) -> Work | None:
    """The instance that is due for longest, to be looked at; or None. One that cannot be looked at at all is told so."""
    if not broker.settings.verify_every_seconds:
        return None
    with broker.database.unit() as unit:
        row = health.claim(unit, owner=owner, lease_seconds=broker.settings.lease_seconds)
        instance = None if row is None else unit.instance(row.instance_id)
        if row is None or instance is None:
            return None
        row_id, epoch = row.instance_id, row.epoch
    try:
        with broker.database.unit() as unit:
            return _work(unit, row_id, epoch)
    except StorageError:
        raise
    except Exception as error:  # whatever it is: the others have to be looked at
        _settle(broker, row_id, epoch, Result("failed", message=f"the broker cannot look at it: {type(error).__name__}", transient=True))
        return None


def _work(unit: Unit, instance_id: str, epoch: int) -> Work:
    instance = unit.instance(instance_id)
    if instance is None:
        raise LookupError("the instance does not exist any more")
    # No row of its own: an operation is what somebody asked for.
    asked = Operation(id=str(uuid.uuid4()), kind=VERIFY, instance_id=instance_id, epoch=epoch)
    made = variables.build(unit, asked, instance, None)
    return Work(
        operation_id=asked.id,
        epoch=epoch,
        kind=VERIFY,
        action=VERIFY,
        instance_id=instance_id,
        binding_id=None,
        role=instance.role,
        target=instance.placement["target"],
        variables=made,
        secrets=variables.secrets_of(made, asked, instance),
        deadline_seconds=DEADLINE_SECONDS,
    )


def renew(broker: Broker, held: dict[str, int]) -> dict[str, bool]:
    """Extends the leases of {instance id: epoch}; returns {instance id: whether to halt the look} of those still ours."""
    with broker.database.unit() as unit:
        return health.renew(unit, held, lease_seconds=broker.settings.lease_seconds)


def finish(broker: Broker, work: Work, result: Result) -> Change | None:
    """Keeps what a look found. Returns the change, if there is one that is to be told."""
    return _settle(broker, work.instance_id, work.epoch, result)


def _settle(broker: Broker, instance_id: str, epoch: int, result: Result) -> Change | None:
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)
        row, instance = health.find(unit, instance_id, lock=True), unit.instance(instance_id)
        if row is None or instance is None or row.epoch != epoch:
            return None
        row.lease_owner = row.lease_until = None
        if result.status in ("lost", "canceled") or instance.state != "ready" or health.is_disturbed(unit, row):
            row.due_at = unit.now() + _some(AGAIN_SECONDS)
            return None
        return _keep(broker, unit, row, instance, result)


def _keep(broker: Broker, unit: Unit, row: Health, instance: Instance, result: Result) -> Change | None:
    before, now = row.status, unit.now()
    row.status, row.message, row.drift = _verdict(result)
    row.checked_at = now
    if row.status != before:
        row.since = now
    policy = repair.policy(broker, instance)
    if row.status == "ok":
        row.repairs, row.repair_at = 0, None
    elif row.status == "failing" and policy == "run-again":
        repair.begin(broker, unit, row, instance)
    every = broker.settings.verify_every_seconds
    row.due_at = now + _some(every if row.status == "ok" else min(every, AGAIN_SECONDS * 2))
    if row.status == before or policy == "off":
        return None
    detail = f"{before}, now {row.status}" + (f": {row.message}" if row.message else "")
    audit.note(unit, operations.ours(instance), "health", "done", instance_id=instance.id, detail=detail)
    return Change(instance.id, before, row.status, row.message)


def _verdict(result: Result) -> tuple[str, str, list[Any]]:
    """Status, message, drift. What cannot be looked at is not failing: nobody knows."""
    if result.status == "succeeded":
        return "ok", "", []
    if "unreachable" in result.published or result.transient:
        return "unknown", str(result.published.get("unreachable") or result.message)[:MESSAGE_LENGTH], []
    drift = [str(sentence) for sentence in result.published.get("drift", [])]
    return "failing", ("; ".join(drift) or result.message)[:MESSAGE_LENGTH], drift


def _some(seconds: float) -> timedelta:
    """About so long: looks that fell together once do not stay together."""
    return timedelta(seconds=seconds * random.uniform(0.75, 1.25))  # noqa: S311 - no secret


def view(unit: Unit, instance_id: str) -> dict[str, Any]:
    """How an instance is, plain JSON; times are ISO 8601, None before the first look."""
    return shown(health.find(unit, instance_id))


def shown(row: Health | None) -> dict[str, Any]:
    """The same, where its row was looked up already."""
    if row is None or row.checked_at is None:
        return {"status": "unknown", "message": "", "drift": [], "since": None, "checked_at": None, "repairs": 0, "next_repair_at": None}
    return {
        "status": row.status,
        "message": row.message,
        "drift": row.drift,
        "since": _time(row.since),
        "checked_at": _time(row.checked_at),
        "repairs": row.repairs,
        "next_repair_at": _time(row.repair_at) if row.status == "failing" else None,
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
