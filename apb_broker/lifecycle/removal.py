"""The removal of an instance: what is halted for it, and whether the server goes at once or is kept for a while, stopped."""

from typing import Any

from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Caller
from apb_broker.storage import queue
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Instance, Operation


def accept(broker: Broker, unit: Unit, instance: Instance, caller: Caller) -> Operation:
    """Queues the removal behind what is in progress, all of which is halted. The caller holds the instance's lock."""
    active = unit.active_operations(instance.id)
    for operation in active:
        operations.cancel(broker, unit, operation, "canceled: the instance is to be removed")
    halted = next((operation for operation in active if operation.is_active), None)
    keep_seconds = _keep_seconds(broker, instance)
    removal = operations.accept(broker, unit, "deprovision", instance, caller, _request(keep_seconds), waits_for=halted)
    if keep_seconds is not None:
        queue.append_progress(unit, removal.id, f"the server is to be stopped, and kept for {keep_seconds:g} s")
    instance.state = "deprovisioning"
    return removal


def _keep_seconds(broker: Broker, instance: Instance) -> float | None:
    """How long it is to be kept. Nothing is kept twice, nor what was never provisioned, nor what is a share of something."""
    offer = broker.catalog.of_plan(instance.plan_id)
    if offer is None or instance.mode != "host" or not instance.was_made or instance.is_deleted:
        return None
    return offer.keep_deleted_seconds


def _request(keep_seconds: float | None) -> dict[str, Any]:
    return {} if keep_seconds is None else {**instead("stop"), "keep_seconds": keep_seconds}


def instead(action: str) -> dict[str, Any]:
    """What is asked for when an operation runs another playbook than its kind's.

    Workers of the previous release do not know that, and would remove what is to be kept. With a plan that is none they fail
    the operation before anything runs, so that it can be asked for again.
    """
    return {"action": action, "plan": None}
