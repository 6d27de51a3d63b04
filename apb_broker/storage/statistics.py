"""Figures about operations: how those that ended did, counted as they end, and how the queue stands now."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select, text
from sqlalchemy.dialects.postgresql import insert

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import ACTIVE_STATES, Operation, OperationStatistics

BOUNDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0)
"""Upper ends, in seconds, of all buckets but the last."""


def count(unit: Unit, operation: Operation, seconds: float) -> None:
    """Adds an operation that has just ended, so many seconds after its acceptance. Figures stay locked until the end of the unit."""
    unit.lock_figures()  # all at once: two units that end several operations each would wait for each other's
    key = {
        "service_name": operation.service_name or "",
        "plan_name": operation.plan_name or "",
        "kind": operation.kind,
        "outcome": operation.state,
        "bucket": bisect.bisect_left(BOUNDS, seconds),
    }
    more = {"count": OperationStatistics.count + 1, "seconds": OperationStatistics.seconds + seconds}
    added = insert(OperationStatistics).values(**key, count=1, seconds=seconds)
    unit.session.execute(added.on_conflict_do_update(index_elements=list(key), set_=more))


def ended(unit: Unit) -> Sequence[OperationStatistics]:
    """How operations ended, by service, plan, kind, outcome and bucket."""
    return unit.session.scalars(select(OperationStatistics)).all()


@dataclass(frozen=True)
class QueueState:
    """How the queue stands: operations by state, seconds that the oldest queued one has waited beyond its time, runs by lease."""

    queued: int
    running: int
    oldest_seconds: float
    lost: int


def queue(unit: Unit) -> QueueState:
    """The queue now. Only active operations are read."""
    waited = func.extract("epoch", func.now() - Operation.due_at)
    queued = Operation.state == "queued"
    row = unit.session.execute(
        select(
            func.count().filter(queued),
            func.count().filter(~queued),
            func.coalesce(func.max(case((queued, waited))), 0),
            func.count().filter(Operation.lease_until < func.now()),
        ).where(text(f"state IN {ACTIVE_STATES}"))
    ).one()
    return QueueState(row[0], row[1], max(float(row[2]), 0.0), row[3])
