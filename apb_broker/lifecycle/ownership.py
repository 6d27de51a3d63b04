"""Who may know of an instance: the principal that made it. To anybody else it does not exist."""

from apb_broker.lifecycle.requests import Caller
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Instance, Operation


def owns(caller: Caller, row: Instance | Operation) -> bool:
    """Whether the row is the caller's. Rows from before there were owners are every platform's."""
    return row.principal is None or row.principal == caller.principal


def instance_of(unit: Unit, caller: Caller, instance_id: str) -> Instance | None:
    """The caller's instance of that id. One that was deleted and is kept is nobody's."""
    found = unit.instance(instance_id)
    return found if found is not None and owns(caller, found) and not found.is_deleted else None
