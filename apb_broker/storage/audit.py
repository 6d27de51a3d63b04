"""The audit's statements: rows are added, and read. The database itself refuses to change one."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Audit


def append(unit: Unit, **values: Any) -> None:
    """Adds a row, in the unit that does what it tells."""
    unit.session.add(Audit(**values))
    unit.session.flush()


def rows(unit: Unit, *, instance_id: str | None, before: int | None, limit: int) -> Sequence[Audit]:
    """The newest rows, all or an instance's; `before` is the sequence number of the last one seen."""
    query = select(Audit).order_by(Audit.sequence.desc()).limit(limit)
    if instance_id is not None:
        query = query.where(Audit.instance_id == instance_id)
    if before is not None:
        query = query.where(Audit.sequence < before)
    return unit.session.scalars(query).all()
