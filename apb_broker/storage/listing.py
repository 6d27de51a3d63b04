"""Instances with what belongs to them, for who looks at many: a page is four statements, however long it is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, true, tuple_
from sqlalchemy.orm import aliased

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Binding, Health, Instance, Operation

Position = tuple[datetime, str]
"""Where a page ends: when its last instance was made, and its id. It means the same when that one is gone."""


@dataclass
class Listed:
    """One instance: its bindings, oldest first, the last operation on itself, and how it was last found."""

    instance: Instance
    bindings: list[Binding] = field(default_factory=list)
    operation: Operation | None = None
    health: Health | None = None

    @property
    def position(self) -> Position:
        """Where a page that ends here ends."""
        return self.instance.created_at, self.instance.id


def page(unit: Unit, *, name: str | None, space: str | None, after: Position | None, limit: int) -> list[Listed]:
    """At most so many instances, oldest first, those after a position; all, or those of a name and space."""
    query = select(Instance).order_by(Instance.created_at, Instance.id).limit(limit)
    if name is not None:
        query = query.where(Instance.name == name)
    if space is not None:
        query = query.where(Instance.space == space)
    if after is not None:
        query = query.where(tuple_(Instance.created_at, Instance.id) > tuple_(*after))
    return _completed(unit, unit.session.scalars(query).all())


def one(unit: Unit, row: Instance) -> Listed:
    """An instance that was looked up already."""
    return _completed(unit, [row])[0]


def _completed(unit: Unit, rows: Sequence[Instance]) -> list[Listed]:
    found = {row.id: Listed(row) for row in rows}
    bindings = select(Binding).where(Binding.instance_id.in_(found)).order_by(Binding.created_at, Binding.id)
    for binding in unit.session.scalars(bindings):
        found[binding.instance_id].bindings.append(binding)
    for operation in _last_operations(unit, found):
        found[operation.instance_id].operation = operation
    for health in unit.session.scalars(select(Health).where(Health.instance_id.in_(found))):
        found[health.instance_id].health = health
    return list(found.values())


def _last_operations(unit: Unit, instance_ids: Collection[str]) -> Sequence[Operation]:
    """The newest operation on each instance itself: one entry of an index for each."""
    newest = (
        select(Operation)
        .where(Operation.instance_id == Instance.id, Operation.binding_id.is_(None))
        .order_by(Operation.binding_id.desc(), Operation.sequence.desc())
        .limit(1)
        .lateral()
    )
    last = aliased(Operation, newest)
    return unit.session.scalars(select(last).select_from(Instance).join(last, true()).where(Instance.id.in_(instance_ids))).all()
