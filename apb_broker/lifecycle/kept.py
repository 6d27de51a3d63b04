"""Instances that were deleted and are kept for a while: restored by an operator, or removed for good when their time is over.

For the platform such an instance is gone (`ownership.instance_of`). Its server is stopped; directory, data, names, port, memory and its
place in quotas stay its own. The bindings' rows stay too, as those of accounts that have to be gone before it is anybody's again.
"""

from typing import Any

from apb_broker.lifecycle import audit, errors, operations, outcomes, removal, views
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Instance, Operation

PURGE_RETRY_SECONDS = 300


def refusal(instance: Instance, active: Operation | None) -> errors.Refused:
    """Why the id of a kept instance cannot be used for another."""
    if active is not None:
        return errors.Busy(f"instance {instance.id} is being restored (operation {active.id})")
    return errors.Conflict(
        f"instance {instance.id} was deleted and is kept until {_moment(instance)}. Until then an operator can restore it "
        f"(apb restore-instance {instance.id}) or remove it for good (apb purge {instance.id}); choose another id, or wait"
    )


def _moment(instance: Instance) -> str:
    """When it is removed for good, for people."""
    if instance.deletion_protection:
        return "an operator takes its protection back"
    return "" if instance.purge_at is None else f"{instance.purge_at:%Y-%m-%d %H:%M} UTC"


def restore(broker: Broker, caller: Caller, instance_id: str) -> dict[str, Any]:
    """Gives a kept instance back to its owner: the server is provisioned again on its data. Returns the operation.

    Raises NotFound, Busy, Unsupported when it is not kept, or when its removal for good has begun.
    """
    with broker.database.unit() as unit:
        instance = _locked(unit, instance_id)
        active = next(iter(unit.active_operations(instance_id)), None)
        if active is not None and active.kind == "provision" and instance.is_deleted:
            return views.of_operation(active)
        if active is not None:
            raise operations.busy(instance, active)
        operation = accept_restore(broker, unit, instance, caller)
        audit.note(unit, caller, "restore", "done", instance_id=instance_id)
        return views.of_operation(operation)


def accept_restore(broker: Broker, unit: Unit, instance: Instance, caller: Caller) -> Operation:
    """Queues it. The caller holds the instance's lock, and nothing is in progress. Raises Unsupported."""
    if not instance.is_deleted:
        raise errors.Unsupported(f"instance {instance.id} is {instance.state}: only what was deleted and is kept can be restored")
    begun = unit.last_begun(instance.id, "deprovision")
    if begun is None or begun.state != "succeeded":
        raise errors.Unsupported(f"the removal of instance {instance.id} for good has begun: it cannot be restored any more")
    instance.state = "provisioning"
    outcomes.spare(unit, instance)
    asked = {**removal.instead("restore"), "parameters": instance.parameters}
    return operations.accept(broker, unit, "provision", instance, caller, asked)


def purge(broker: Broker, caller: Caller, instance_id: str) -> dict[str, Any]:
    """Removes for good, at once, what is kept, or what could not be stopped. Returns the operation. Raises NotFound, Busy, Unsupported.

    A restore in progress is halted. For the platform the instance is gone from now on, whether or not this succeeds.
    """
    with broker.database.unit() as unit:
        instance = _locked(unit, instance_id)
        last = unit.last_operation(instance_id)
        if last is not None and last.is_active and last.kind == "deprovision":
            raise operations.busy(instance, last)
        if not instance.is_deleted and (last is None or (last.kind, last.state) != ("deprovision", "failed")):
            raise errors.Unsupported(f"instance {instance_id} was not deleted: deprovision it first")
        operation = _purge(broker, unit, instance, caller)
        audit.note(unit, caller, "purge", "done", instance_id=instance_id)
        return views.of_operation(operation)


def _purge(broker: Broker, unit: Unit, instance: Instance, caller: Caller) -> Operation:
    if instance.purge_at is None:
        instance.purge_at = unit.now()
    return removal.accept(broker, unit, instance, caller)


def _locked(unit: Unit, instance_id: str) -> Instance:
    unit.lock_instance(instance_id)
    instance = unit.instance(instance_id)
    if instance is None:
        raise errors.NotFound(f"instance {instance_id} does not exist")
    return instance


def purge_due(broker: Broker) -> int:
    """Part of the sweep: queues the removal of those whose time is over; where one failed, again after a while. Returns how many."""
    with broker.database.unit() as unit:
        found = [row.id for row in unit.instances_to_purge(retry_seconds=PURGE_RETRY_SECONDS)]
    return sum(_purge_due(broker, instance_id) for instance_id in found)


def _purge_due(broker: Broker, instance_id: str) -> bool:
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)
        for instance in unit.instances_to_purge(retry_seconds=PURGE_RETRY_SECONDS, only=instance_id):
            _purge(broker, unit, instance, operations.ours(instance))
            return True
    return False  # another worker, or an operator, was faster
