"""Removals that failed are tried again by the broker itself, until one succeeds or an operator forgets the instance.

Back-off: within minutes at first, then four times a day. One that was canceled is not tried again: somebody wanted that.
"""

from apb_broker.lifecycle import bindings, errors, instances, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage import retries
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Operation

BUSY_SECONDS = 60.0


def retry_due(broker: Broker) -> int:
    """Accepts those again whose time has come. Returns how many."""
    with broker.database.unit() as unit:
        found = [(row.id, row.instance_id) for row in retries.due(unit)]
    return sum(_retry(broker, operation_id, instance_id) for operation_id, instance_id in found)


def _retry(broker: Broker, operation_id: str, instance_id: str) -> bool:
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)
        operation = unit.operation(operation_id)
        if operation is None or operation.retry_at is None:
            return False  # another worker's sweep was faster
        try:
            again = _again(broker, unit, operation)
        except errors.Busy:
            retries.plan(unit, operation, delay_seconds=BUSY_SECONDS)
            return False
        operation.retry_at = None
        queued = None if again is None else unit.operation(again.id)
        if queued is not None:
            queued.retries = operation.retries + 1
        return queued is not None


def _again(broker: Broker, unit: Unit, operation: Operation) -> Operation | None:
    """The same removal once more; None when there is nothing to be removed, or something else was asked for since."""
    instance, last = unit.instance(operation.instance_id), unit.last_operation(operation.instance_id, operation.binding_id)
    if instance is None or last is None or last.id != operation.id:
        return None
    caller = operations.ours(instance)
    if operation.binding_id is None:
        return instances.repeat(broker, unit, instance, operation.kind, caller)
    if unit.binding(instance.id, operation.binding_id) is None:
        return None
    return bindings.repeat(broker, unit, instance, operation.binding_id, operation.kind, caller)
