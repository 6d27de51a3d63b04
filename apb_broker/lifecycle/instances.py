"""Instances: whether a request to provision, update or deprovision one is accepted, and what is written when it is."""

from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.catalog.catalog import Offer
from apb_broker.lifecycle import errors, operations, placement, variables
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Accepted, Deprovision, Provision, Update
from apb_broker.storage.database import Unit
from apb_broker.storage.errors import DuplicateName
from apb_broker.storage.tables import Instance, Operation


def provision(broker: Broker, request: Provision) -> Accepted:
    """Accepts a new instance: host, ports, names and secrets are given now, so its connection is known at once.

    Order of checks and answers: OSB 2.17, "Provisioning". Raises Invalid, AsyncRequired, Conflict, Busy, NoCapacity.
    """
    offer = broker.catalog.offer(request.service_id, request.plan_id)
    parameters = service.create_parameters(offer.plan, request.parameters)
    if not request.accepts_incomplete:
        raise errors.AsyncRequired
    try:
        with broker.database.unit() as unit:
            unit.lock_instance(request.instance_id)
            instance = unit.instance(request.instance_id)
            if instance is not None:
                return _again(unit, instance, request, parameters)
            return _create(broker, unit, offer, request, parameters)
    except DuplicateName as error:
        name, space = request.context.get("instance_name"), request.space
        raise errors.Conflict(f"an instance named '{name}' exists in space '{space}' already: choose another name") from error


def _again(unit: Unit, instance: Instance, request: Provision, parameters: dict[str, Any]) -> Accepted:
    """A PUT on an id in use: identical means the same service, plan, parameters, organization and space."""
    active = operations.active_on_instance(unit, instance.id)
    if active is not None and active.kind == "deprovision":
        raise errors.Busy(f"instance {instance.id} is being removed (operation {active.id})")
    creation = active if active is not None and active.kind == "provision" else None
    current = instance.parameters if creation is None else creation.request["parameters"]
    same = (instance.service_id, instance.plan_id, instance.organization, instance.space, current) == (
        request.service_id,
        request.plan_id,
        request.organization,
        request.space,
        parameters,
    )
    if not same:
        raise errors.Conflict(f"instance {instance.id} exists with another service, plan, place or other parameters")
    if instance.state == "failed":
        raise errors.Conflict(f"instance {instance.id} exists, but its provisioning failed: remove it first")
    return Accepted(
        operation_id=None if creation is None else creation.id,
        created=False,
        connection=instance.connection,
        dashboard_url=instance.dashboard_url,
    )


def _create(broker: Broker, unit: Unit, offer: Offer, request: Provision, parameters: dict[str, Any]) -> Accepted:
    plan = offer.plan
    instance = Instance(
        id=request.instance_id,
        name=request.context.get("instance_name"),
        platform=request.context.get("platform"),
        organization=request.organization,
        space=request.space,
        requested_by=request.requested_by,
        context=request.context,
        service_id=request.service_id,
        service_name=offer.service.name,
        plan_id=request.plan_id,
        plan_name=plan.name,
        plan_snapshot=plan.snapshot(),
        role=offer.service.role,
        role_version=offer.service.version,
        mode=offer.mode,
        state="provisioning",
        names=service.names(offer.service.name, request.instance_id),
        placement={},
        ports={},
        connection={},
    )
    unit.add(instance, secrets=service.secrets(plan, parameters, {}))
    instance.placement, instance.ports = placement.place(unit, offer, instance.id, service.needs(plan, parameters))
    instance.connection = service.connection(plan, variables.describe(instance), parameters)
    operation = operations.accept(broker, unit, "provision", instance, request.requested_by, {"parameters": parameters})
    return Accepted(operation.id, created=True, connection=instance.connection)


def update(broker: Broker, request: Update) -> Accepted:
    """Accepts a change of parameters, or to another plan that keeps the data. A failing update changes nothing that is stored.

    Raises Invalid, AsyncRequired, NotFound, Busy, Unsupported, NoCapacity.
    """
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = _existing(unit, request.instance_id)
        if request.service_id != instance.service_id:
            raise errors.Invalid(
                f"service_id: instance {instance.id} belongs to service {instance.service_id}, not to {request.service_id}"
            )
        plan = _plan_after(broker, instance, request)
        active = next(iter(unit.active_operations(instance.id)), None)
        if active is not None and active.kind != "update":
            raise operations.busy(instance, active)
        if instance.state != "ready":
            raise errors.Unsupported(f"instance {instance.id} is {instance.state}, so it cannot be updated")
        desired = service.update_parameters(plan, instance.parameters, request.parameters or {})
        if not request.accepts_incomplete:
            raise errors.AsyncRequired
        if active is not None:
            return _update_again(instance, active, plan, desired)
        if (plan.id, desired) == (instance.plan_id, instance.parameters):
            return Accepted(None, created=False, connection=instance.connection)
        placement.resize(unit, broker.catalog.targets.get(instance.placement["target"]), instance, service.needs(plan, desired))
        asked = {"parameters": desired, "plan": plan.snapshot(), "secrets": service.secrets(plan, desired, instance.secrets)}
        operation = operations.accept(broker, unit, "update", instance, request.requested_by, asked)
        return Accepted(operation.id, created=True, connection=instance.connection)


def _plan_after(broker: Broker, instance: Instance, request: Update) -> Any:
    """The plan that an update leads to. An instance keeps its own as it was when it was made, also when that is no longer offered."""
    plan = service.plan_from_snapshot(instance.plan_snapshot)
    if request.plan_id is None or request.plan_id == instance.plan_id:
        return plan
    offer = broker.catalog.offer(instance.service_id, request.plan_id)
    if offer.plan.name not in plan.updates_to:
        able = ", ".join(plan.updates_to) or "no other plan"
        raise errors.Unsupported(f"plan_id: {plan.name} does not change to {offer.plan.name}; it changes to: {able}")
    if instance.placement["target"] not in {target.name for target in offer.targets}:
        raise errors.Unsupported(
            f"plan_id: {offer.plan.name} is not offered on target {instance.placement['target']}, where the instance is"
        )
    return offer.plan


def _update_again(instance: Instance, active: Operation, plan: Any, desired: dict[str, Any]) -> Accepted:
    if (active.request["plan"]["id"], active.request["parameters"]) != (plan.id, desired):
        raise errors.Busy(f"instance {instance.id} is busy: another update (operation {active.id}) is in progress")
    return Accepted(active.id, created=False, connection=instance.connection)


def deprovision(broker: Broker, request: Deprovision) -> Accepted:
    """Accepts a removal. One that is being provisioned is halted first; its bindings go with an instance.

    Raises AsyncRequired, Gone, Busy.
    """
    if not request.accepts_incomplete:
        raise errors.AsyncRequired
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = unit.instance(request.instance_id)
        if instance is None:
            raise errors.Gone(f"instance {request.instance_id} does not exist")
        active = unit.active_operations(instance.id)
        removal = next((operation for operation in active if operation.kind == "deprovision"), None)
        if removal is not None:
            return Accepted(removal.id, created=False)
        creation = next((operation for operation in active if operation.kind == "provision"), None)
        if active and creation is None:
            raise operations.busy(instance, active[0])
        if creation is not None:
            operations.cancel(unit, creation, "canceled: the instance is to be removed")
        operation = operations.accept(broker, unit, "deprovision", instance, request.requested_by, {}, waits_for=creation)
        instance.state = "deprovisioning"
        return Accepted(operation.id, created=True)


def fetch(broker: Broker, instance_id: str) -> dict[str, Any]:
    """What a platform may know of an instance. NotFound until it is provisioned, Busy while it is updated (OSB, "Fetching")."""
    with broker.database.unit() as unit:
        instance = _existing(unit, instance_id)
        if instance.state in ("provisioning", "failed"):
            raise errors.NotFound(f"instance {instance_id} is not provisioned")
        active = operations.active_on_instance(unit, instance_id)
        if active is not None and active.kind == "update":
            raise errors.Busy(f"instance {instance_id} is being updated (operation {active.id})")
        plan = service.plan_from_snapshot(instance.plan_snapshot)
        return {
            "service_id": instance.service_id,
            "plan_id": instance.plan_id,
            "dashboard_url": instance.dashboard_url,
            "parameters": service.redact(plan, instance.parameters or {}),
            "connection": instance.connection,
        }


def _existing(unit: Unit, instance_id: str) -> Instance:
    instance = unit.instance(instance_id)
    if instance is None:
        raise errors.NotFound(f"instance {instance_id} does not exist")
    return instance
