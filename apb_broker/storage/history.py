"""What operations tell of instances and bindings that are gone: operations outlive both."""

from datetime import datetime

from sqlalchemy import or_, select

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import ACTIVE_STATES, Operation


def subjects(unit: Unit) -> list[tuple[str, str, str | None]]:
    """(service's name, instance's id, binding's id or None) of everything that was ever worked on."""
    query = (
        select(Operation.service_name, Operation.instance_id, Operation.binding_id).where(Operation.service_name.is_not(None)).distinct()
    )
    return [(service or "", instance_id, binding_id) for service, instance_id, binding_id in unit.session.execute(query)]


def touched_since(unit: Unit, time: datetime) -> set[str]:
    """Ids of the instances on which something is in progress, or was after that time."""
    query = select(Operation.instance_id).where(or_(Operation.state.in_(ACTIVE_STATES), Operation.finished_at >= time))
    return set(unit.session.scalars(query.distinct()))
