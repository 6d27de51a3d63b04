"""What an operator may do by hand: run an operation again, cancel one, forget an instance that cannot be removed."""

from typing import Any

from apb_broker.lifecycle import audit, bindings, errors, instances, operations, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage import queue
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Instance, Operation


def retry(broker: Broker, caller: Caller, operation_id: str) -> dict[str, Any]:
    """Runs a failed operation again, as a new one, or at once what waits to be run again. Returns that operation.

    Raises NotFound, Unsupported when it is not the last one of its subject or what was asked for is no longer known (updates), Busy.
    """
    with broker.database.unit() as unit:
        operation = _locked(unit, operation_id)
        instance = unit.instance(operation.instance_id)
        if operation.state == "running":
            raise errors.Busy(f"operation {operation_id} is running")
        if operation.state == "queued":
            operation.due_at = unit.now()
            queue.append_progress(unit, operation.id, f"to be run at once, says {caller.user}")
            queue.notify(unit)
            audit.note(unit, caller, "retry", "done", instance_id=operation.instance_id, binding_id=operation.binding_id)
            return views.of_operation(operation)
        if operation.state != "failed" or instance is None:
            raise errors.Unsupported(f"operation {operation_id} has {operation.state}, so there is nothing to be run again")
        again = _again(broker, unit, instance, operation, caller)
        return views.of_operation(_locked(unit, again.id))


def _again(broker: Broker, unit: Unit, instance: Instance, operation: Operation, caller: Caller) -> Operation:
    last = unit.last_operation(instance.id, operation.binding_id)
    if last is None or last.id != operation.id:
        raise errors.Unsupported(f"operation {operation.id} is not the last one there: retry {last.id if last else 'nothing'}")
    if operation.kind == "update":
        raise errors.Unsupported("what an update asked for is forgotten when it ends: send the update again")
    if operation.binding_id is None:
        return instances.repeat(broker, unit, instance, operation.kind, caller)
    return bindings.repeat(broker, unit, instance, operation.binding_id, operation.kind, caller)


def cancel(broker: Broker, caller: Caller, operation_id: str) -> dict[str, Any]:
    """Ends what is queued; asks the worker of what runs to halt it. Returns the operation.

    Raises NotFound, Unsupported when it has ended.
    """
    with broker.database.unit() as unit:
        operation = _locked(unit, operation_id)
        if not operation.is_active:
            raise errors.Unsupported(f"operation {operation_id} has {operation.state}: there is nothing to cancel")
        operations.cancel(broker, unit, operation, f"canceled by {caller.user}")
        audit.note(
            unit, caller, "cancel", "done", instance_id=operation.instance_id, binding_id=operation.binding_id, detail=operation.kind
        )
        return views.of_operation(operation)


def _locked(unit: Unit, operation_id: str) -> Operation:
    """The operation, as nobody else changes it until the end of the unit."""
    operation = unit.operation(operation_id)
    if operation is None:
        raise errors.NotFound(f"operation {operation_id} does not exist")
    unit.lock_instance(operation.instance_id)
    unit.session.refresh(operation, with_for_update=True)
    return operation


def forget(broker: Broker, caller: Caller, instance_id: str) -> dict[str, Any]:
    """Forgets an instance whose removal failed and cannot succeed: its host is gone for good. Nothing is run anywhere.

    Its ports and memory are free for others afterwards. Returns what was known of it, for whoever removes by hand what is left.
    Raises NotFound, Unsupported.
    """
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)
        instance = unit.instance(instance_id)
        if instance is None:
            raise errors.NotFound(f"instance {instance_id} does not exist")
        last = unit.last_operation(instance_id)
        if last is None or (last.kind, last.state) != ("deprovision", "failed"):
            raise errors.Unsupported(f"instance {instance_id} is forgotten only after its removal has failed: deprovision it first")
        left = {"id": instance.id, "service": instance.service_name, "names": instance.names, "placement": instance.placement}
        left["ports"], left["usernames"] = instance.ports, [binding.username for binding in unit.bindings(instance_id)]
        unit.delete(instance)
        where = f"{instance.names['slug']} on {instance.placement['host']} ({instance.placement['address']})"
        audit.note(unit, caller, "forget", "done", instance_id=instance_id, detail=where)
        return left
