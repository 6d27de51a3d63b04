"""The statements on the health table: which instance is to be looked at, who looks, and how many are how.

A row is owned by whoever claimed it last, by its epoch, as an operation is. A look is less than an operation in all: it is claimed only
where nothing is in progress, and whatever is accepted meanwhile makes it worth nothing.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, exists, func, or_, select, text, update

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import ACTIVE_STATES, Health, Instance, Operation, epoch_sequence

ENROLL = text("""
INSERT INTO health (instance_id, due_at)
SELECT id, now() + make_interval(secs => :within * random()) FROM instances
WHERE state = 'ready' AND NOT EXISTS (SELECT FROM health WHERE health.instance_id = instances.id)
ON CONFLICT DO NOTHING
""")
ENROLL_ONE = text("""
INSERT INTO health (instance_id, due_at) VALUES (:id, now() + make_interval(secs => :within * random())) ON CONFLICT DO NOTHING
""")


def enroll(unit: Unit, *, within_seconds: float) -> None:
    """Gives each ready instance that has none a row, due at some time within so many seconds. All instances are read."""
    unit.session.execute(ENROLL, {"within": within_seconds})


def enroll_one(unit: Unit, instance_id: str, *, within_seconds: float) -> None:
    """The same for one that is there."""
    unit.session.execute(ENROLL_ONE, {"id": instance_id, "within": within_seconds})


def _is_busy(instance_id: Any) -> Any:
    return exists().where(Operation.instance_id == instance_id, Operation.state.in_(ACTIVE_STATES))


def claim(unit: Unit, *, owner: str, lease_seconds: float) -> Health | None:
    """Takes the row that has been due for longest, of an instance that is ready and that nobody works on; or None."""
    candidate = (
        select(Health.instance_id)
        .join(Instance, Instance.id == Health.instance_id)
        .where(
            Health.due_at <= func.now(),
            or_(Health.lease_until.is_(None), Health.lease_until < func.now()),
            Instance.state == "ready",
            ~_is_busy(Health.instance_id),
        )
        .order_by(Health.due_at)
        .with_for_update(skip_locked=True, of=Health)
        .limit(1)
        .scalar_subquery()
    )
    return unit.session.scalars(
        update(Health)
        .where(Health.instance_id == candidate)
        .values(
            epoch=epoch_sequence.next_value(),
            lease_owner=owner,
            lease_until=func.now() + timedelta(seconds=lease_seconds),
            claimed_at=func.now(),
        )
        .returning(Health)
    ).one_or_none()


def renew(unit: Unit, held: dict[str, int], *, lease_seconds: float) -> dict[str, bool]:
    """Extends the leases of rows held as {instance id: epoch}. Returns {instance id: somebody works on it now} of those still held."""
    if not held:
        return {}
    rows = unit.session.execute(
        update(Health)
        .where(or_(*(and_(Health.instance_id == id_, Health.epoch == epoch) for id_, epoch in held.items())))
        .values(lease_until=func.now() + timedelta(seconds=lease_seconds))
        .returning(Health.instance_id, _is_busy(Health.instance_id))
        .execution_options(synchronize_session=False)
    )
    return {row[0]: row[1] for row in rows}


def find(unit: Unit, instance_id: str, *, lock: bool = False) -> Health | None:
    """The row of an instance."""
    return unit.session.get(Health, instance_id, with_for_update=lock, populate_existing=lock)


def is_disturbed(unit: Unit, row: Health) -> bool:
    """Whether anything was in progress on the instance since the row was claimed."""
    since = or_(Operation.state.in_(ACTIVE_STATES), Operation.finished_at >= row.claimed_at)
    return bool(unit.session.scalar(select(exists().where(Operation.instance_id == row.instance_id, since))))


def counts(unit: Unit) -> Sequence[tuple[str, str, str, int]]:
    """(service, plan, status, number of instances)."""
    status = func.coalesce(Health.status, "unknown")
    query = select(Instance.service_name, Instance.plan_name, status, func.count()).outerjoin(Health, Health.instance_id == Instance.id)
    rows = unit.session.execute(query.group_by(Instance.service_name, Instance.plan_name, status))
    return [(service, plan, found, number) for service, plan, found, number in rows]
