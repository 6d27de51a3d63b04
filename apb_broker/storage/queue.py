"""The queue's statements on the operations table: claim, renew, write as the owner, requeue, sweep, cancel.

An operation is owned by whoever claimed it last: each claim takes a new, higher epoch, and every later write names
operation and epoch, so that an owner that was given up on can change nothing.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, insert, or_, select, text, true, update
from sqlalchemy.orm import aliased

from apb_broker.storage import statistics
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import ACTIVE_STATES, Operation, Progress, epoch_sequence

CHANNEL = "apb_operations"
CANCEL = "cancel"  # what is said on it of an operation that is to be halted; nothing else needs to be said
NOTIFY, NOTIFY_CANCEL = text(f"NOTIFY {CHANNEL}"), text(f"NOTIFY {CHANNEL}, '{CANCEL}'")
LEFT_SECONDS = 2.0  # how long a worker leaves to others what it could not do itself
APPEND = insert(Progress.__table__)  # type: ignore[arg-type]


def notify(unit: Unit) -> None:
    """Wakes the workers when the unit commits."""
    unit.session.execute(NOTIFY)


def notify_owner(unit: Unit) -> None:
    """The same, and tells whose operation is to be halted to look."""
    unit.session.execute(NOTIFY_CANCEL)


def claim(unit: Unit, *, owner: str, lease_seconds: float, left: Collection[str] = ()) -> Operation | None:
    """Takes the oldest operation that is due, or None. Two workers never get the same one. Those `left` are taken a little later.

    Operations on an instance come after all that were accepted before them, and before all that are accepted after them;
    only its bindings proceed side by side. (A removal is accepted while what it halts has still to end.)
    """
    earlier = aliased(Operation)
    in_the_way = or_(earlier.binding_id.is_(None), Operation.binding_id.is_(None), earlier.binding_id == Operation.binding_id)
    candidate = (
        select(Operation.id)
        .where(
            Operation.state == "queued",
            Operation.due_at <= func.now(),
            or_(Operation.id.not_in(left), Operation.due_at <= func.now() - timedelta(seconds=LEFT_SECONDS)) if left else true(),
            Operation.deadline_at > func.now(),
            ~exists().where(
                earlier.instance_id == Operation.instance_id, earlier.sequence < Operation.sequence, _is_active(earlier), in_the_way
            ),
        )
        .order_by(Operation.sequence)
        .with_for_update(skip_locked=True, of=Operation)
        .limit(1)
        .scalar_subquery()
    )
    return unit.session.scalars(
        update(Operation)
        .where(Operation.id == candidate)
        .values(
            state="running",
            epoch=epoch_sequence.next_value(),
            attempt=Operation.attempt + 1,
            lease_owner=owner,
            lease_until=func.now() + timedelta(seconds=lease_seconds),
            started_at=func.coalesce(Operation.started_at, func.now()),
        )
        .returning(Operation)
    ).one_or_none()


def next_epoch(unit: Unit) -> int:
    """An epoch of its own, for work that no operation stands for."""
    return unit.session.execute(select(epoch_sequence.next_value())).scalar_one()


def _is_active(table: type[Operation]) -> ColumnElement[bool]:
    """As literals, so that the index of active operations serves also a prepared statement."""
    return table.state.in_(bindparam("active", ACTIVE_STATES, expanding=True, literal_execute=True))


def renew(unit: Unit, held: dict[str, int], *, lease_seconds: float) -> dict[str, bool]:
    """Extends the leases of operations held as {id: epoch}. Returns {id: cancel requested} of those still held."""
    if not held:
        return {}
    rows = unit.session.execute(
        update(Operation)
        .where(
            Operation.state == "running",
            or_(*(and_(Operation.id == id_, Operation.epoch == epoch) for id_, epoch in held.items())),
        )
        .values(lease_until=func.now() + timedelta(seconds=lease_seconds))
        .returning(Operation.id, Operation.cancel_requested)
        .execution_options(synchronize_session=False)
    )
    return {row.id: row.cancel_requested for row in rows}


def write_as_owner(unit: Unit, operation_id: str, epoch: int, **values: Any) -> bool:
    """Changes a running operation if that epoch still owns it; says whether it does."""
    done = unit.session.execute(
        update(Operation)
        .where(Operation.id == operation_id, Operation.epoch == epoch, Operation.state == "running")
        .values(**values)
        .returning(Operation.id)
        .execution_options(synchronize_session=False)
    ).first()
    return done is not None


def end(unit: Unit, operation: Operation, *, state: str, error: str = "") -> None:
    """Ends an operation that nobody owns any more. What was asked for is forgotten: it may hold secrets."""
    operation.state, operation.error, operation.request = state, error, None
    operation.lease_owner = operation.lease_until = None
    operation.finished_at = unit.now()
    unit.session.flush()
    statistics.count(unit, operation, (operation.finished_at - operation.created_at).total_seconds())
    append_progress(unit, operation.id, error or state)


def requeue(unit: Unit, operation: Operation, *, delay_seconds: float) -> None:
    """Puts an operation back, to be claimed again after a while."""
    operation.state, operation.lease_owner, operation.lease_until = "queued", None, None
    operation.due_at = unit.session.scalars(select(func.now() + timedelta(seconds=delay_seconds))).one()
    unit.session.flush()


def abandoned(unit: Unit, *, grace_seconds: float, only: str | None = None) -> Sequence[Operation]:
    """Locks and returns operations nobody works on: their lease ran out (and a grace with it), or their deadline passed unclaimed.

    With `only` it looks at that operation alone.
    """
    return unit.session.scalars(
        select(Operation)
        .where(
            true() if only is None else Operation.id == only,
            or_(
                and_(Operation.state == "running", Operation.lease_until < func.now() - timedelta(seconds=grace_seconds)),
                and_(Operation.state == "queued", Operation.deadline_at < func.now()),
            ),
        )
        .order_by(Operation.sequence)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()


def append_progress(unit: Unit, operation_id: str, *lines: str) -> None:
    """Adds lines to an operation's log."""
    unit.flush()
    unit.session.execute(APPEND, [{"operation_id": operation_id, "text": line} for line in lines])
