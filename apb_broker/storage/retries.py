"""Removals that failed and that the broker tries again by itself."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Operation

AT_A_TIME = 100


def due(unit: Unit) -> Sequence[Operation]:
    """Those whose time has come, the oldest first."""
    query = select(Operation).where(Operation.retry_at.is_not(None), Operation.retry_at <= func.now())
    return unit.session.scalars(query.order_by(Operation.retry_at).limit(AT_A_TIME)).all()


def settle(unit: Unit, instance_id: str, binding_id: str | None = None) -> None:
    """Nothing is tried again by itself any more: of a binding, or of an instance and all its bindings."""
    of_all = Operation.instance_id == instance_id
    of_binding = of_all if binding_id is None else of_all & (Operation.binding_id == binding_id)
    done = update(Operation).where(of_binding, Operation.retry_at.is_not(None)).values(retry_at=None)
    unit.session.execute(done.execution_options(synchronize_session="fetch"))


def plan(unit: Unit, operation: Operation, *, delay_seconds: float) -> None:
    """When it is tried again."""
    operation.retry_at = unit.now() + timedelta(seconds=delay_seconds)
