"""The audit's statements: rows are added, and read. The database itself refuses to change one."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Audit

APPEND = insert(Audit.__table__)  # type: ignore[arg-type]


def append(unit: Unit, **values: Any) -> None:
    """Adds a row, in the unit that does what it tells."""
    unit.flush()
    unit.session.execute(APPEND, values)


def rows(unit: Unit, *, instance_id: str | None, before: int | None, limit: int) -> Sequence[Audit]:
    """The newest rows, all or an instance's; `before` is the sequence number of the last one seen."""
    query = select(Audit).order_by(Audit.sequence.desc()).limit(limit)
    if instance_id is not None:
        query = query.where(Audit.instance_id == instance_id)
    if before is not None:
        query = query.where(Audit.sequence < before)
    return unit.session.scalars(query).all()
