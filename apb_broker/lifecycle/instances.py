"""Instances: whether a request to provision, update or deprovision one is accepted, and what is written when it is."""

import contextlib
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.catalog.catalog import Offer
from apb_broker.catalog.errors import NotOffered
from apb_broker.lifecycle import allowance, audit, errors, health, kept, operations, placement, protection, removal, repair, variables
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.ownership import instance_of, owns
from apb_broker.lifecycle.requests import Accepted, Caller, Deprovision, Provision, Update
from apb_broker.storage import tables
from apb_broker.storage.database import Unit
from apb_broker.storage.drafts import Draft
from apb_broker.storage.errors import DuplicateName, Taken
from apb_broker.storage.tables import Instance, Operation


def provision(broker: Broker, request: Provision) -> Accepted:
    """Accepts a new instance: host, ports, names and secrets are given now, so its connection is known at once.

    Order of checks and answers: OSB 2.17, "Provisioning". Raises Invalid, MaintenanceConflict, AsyncRequired, Conflict, Busy, NoCapacity.

    Most ids are new, and most instances need nothing that is counted. Such a one is inserted before anything is looked at: the database's
    keys refuse an id or a port that somebody has. Then what is there counts, and is looked at under its lock.
    """
    offer = broker.catalog.offer(request.service_id, request.plan_id)
    parameters = service.create_parameters(offer.plan, request.parameters)
    _require_maintenance(offer.plan, request.maintenance_version)
    if not request.accepts_incomplete:
        raise errors.AsyncRequired
    placed, draft = placement.guess(offer, service.needs(offer.plan, parameters)), broker.database.draft()
    if placed is not None and draft is not None and allowance.is_free(broker, offer, request):
        with contextlib.suppress(Taken, DuplicateName):
            return _create(broker, draft, offer, request, parameters, placed)
    with contextlib.suppress(Taken):
        return _provision_with_a_look(broker, offer, request, parameters)
    return _provision_with_a_look(broker, offer, request, parameters)  # a guess of somebody else's took the port that it held


def _provision_with_a_look(broker: Broker, offer: Offer, request: Provision, parameters: dict[str, Any]) -> Accepted:
    try:
        with broker.database.unit() as unit:
            unit.lock_instance(request.instance_id)
            instance = unit.instance(request.instance_id)
            if instance is not None:
                return _again(broker, unit, instance, request, parameters)
            allowance.require_new(broker, unit, offer, request)
            placed = placement.choose(unit, offer, service.needs(offer.plan, parameters))
            return _create(broker, unit, offer, request, parameters, placed)
    except DuplicateName as error:
        name, space = request.context.get("instance_name"), request.space
        raise errors.Conflict(f"an instance named '{name}' exists in space '{space}' already: choose another name") from error


def _require_maintenance(plan: Any, asked: str | None) -> None:
    """What the platform believes to be the plan's maintenance version has to be it (OSB 2.17, "Maintenance Info")."""
    offered = plan.maintenance.get("version")
    if asked is not None and asked != offered:
        raise errors.MaintenanceConflict(
            f"maintenance_info.version: {asked} is asked for, plan {plan.name} is at {offered or 'no version'}: fetch the catalog again"
        )


def _again(broker: Broker, unit: Unit, instance: Instance, request: Provision, parameters: dict[str, Any]) -> Accepted:
    """A PUT on an id in use: identical means the same service, plan, parameters, organization and space.

    One whose provisioning failed is tried again: what is left of the first time is taken up by the second.
    """
    if not owns(request.caller, instance):
        raise errors.Conflict(f"instance {instance.id} exists already: choose another id")
    active = operations.active_on_instance(unit, instance.id)
    if active is not None and active.kind == "deprovision":
        raise errors.Busy(f"instance {instance.id} is being removed (operation {active.id})")
    if instance.is_deleted:
        raise kept.refusal(instance, active)
    creation = active if active is not None and active.kind == "provision" else None
    same = (instance.service_id, instance.plan_id, instance.organization, instance.space, instance.parameters) == (
        request.service_id,
        request.plan_id,
        request.organization,
        request.space,
        parameters,
    )
    if not same:
        raise errors.Conflict(f"instance {instance.id} exists with another service, plan, place or other parameters")
    if instance.state == "failed":
        creation = _provision_again(broker, unit, instance, request.caller)
    return _accepted(instance, creation)


def repeat(broker: Broker, unit: Unit, instance: Instance, kind: str, caller: Caller) -> Operation:
    """Runs what failed on the instance itself again: its provision or deprovision. The caller holds its lock. Raises Conflict."""
    if kind == "deprovision":
        return removal.accept(broker, unit, instance, caller)
    if kind == repair.REPAIR:
        return _repair_again(broker, unit, instance, caller)
    if instance.is_deleted:
        return kept.accept_restore(broker, unit, instance, caller)
    return _provision_again(broker, unit, instance, caller)


def _repair_again(broker: Broker, unit: Unit, instance: Instance, caller: Caller) -> Operation:
    active = next(iter(unit.active_operations(instance.id)), None)
    if active is not None:
        raise operations.busy(instance, active)
    if instance.state != "ready":
        raise errors.Unsupported(f"instance {instance.id} is {instance.state}, so it cannot be repaired")
    return repair.accept(broker, unit, instance, caller)


def _provision_again(broker: Broker, unit: Unit, instance: Instance, caller: Caller) -> Operation:
    last = unit.last_operation(instance.id)
    if last is not None and last.kind != "provision":
        raise errors.Conflict(f"instance {instance.id} exists, but its removal failed: remove it first")
    instance.state = "provisioning"
    return operations.accept(broker, unit, "provision", instance, caller, {"parameters": instance.parameters})


def _accepted(instance: Instance, operation: Operation | None, *, created: bool = False) -> Accepted:
    """The answer: what may be known of the instance at once."""
    return Accepted(
        operation_id=None if operation is None else operation.id,
        created=created,
        connection=instance.connection,
        dashboard_url=instance.dashboard_url,
        metadata=_metadata(instance),
    )


def _metadata(instance: Instance) -> dict[str, Any]:
    """Labels to choose by, attributes to know by (OSB 2.17, "Service Instance Metadata")."""
    labels = {"service": instance.service_name, "plan": instance.plan_name, "mode": instance.mode}
    return {"labels": labels, "attributes": {"name": instance.names["slug"]}}


def _with_health(metadata: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """How it is, and since when, among the attributes, once it was looked at."""
    if found["checked_at"] is None:
        return metadata
    told = {"health": found["status"], "health_since": found["since"], "health_message": found["message"]}
    return {**metadata, "attributes": {**metadata["attributes"], **{name: text for name, text in told.items() if text}}}


def _create(
    broker: Broker, unit: Unit | Draft, offer: Offer, request: Provision, parameters: dict[str, Any], placed: placement.Placed
) -> Accepted:
    plan = offer.plan
    instance = tables.new(
        Instance,
        id=request.instance_id,
        name=request.context.get("instance_name"),
        platform=request.context.get("platform"),
        organization=request.organization,
        space=request.space,
        principal=request.caller.principal,
        requested_by=request.caller.user,
        context=request.context,
        service_id=request.service_id,
        service_name=offer.service.name,
        plan_id=request.plan_id,
        plan_name=plan.name,
        plan_snapshot=plan.snapshot_text,
        role=offer.service.role,
        role_version=offer.service.version,
        mode=offer.mode,
        state="provisioning",
        names=service.names(offer.service.name, request.instance_id),
        placement=placed.placement,
        ports=placed.ports,
    )
    known = variables.describe(instance)
    tables.put(
        instance,
        connection=service.connection(plan, known, parameters),
        dashboard_url=service.dashboard_url(plan, known, parameters),
    )
    unit.seal(instance, parameters=parameters, secrets=service.secrets(plan, parameters, {}))
    rows = [instance, *placement.rows(instance.id, placed)]
    operation = operations.accept(broker, unit, "provision", instance, request.caller, {"parameters": parameters}, rows=rows)
    return _accepted(instance, operation, created=True)


def update(broker: Broker, request: Update) -> Accepted:
    """Accepts a change of parameters, of the context, to another plan that keeps the data, or to the plan's new maintenance version.

    A failing update changes nothing that is stored. A change of the context alone is done at once.
    Raises Invalid, NotOffered, MaintenanceConflict, AsyncRequired, NotFound, Busy, Unsupported, NoCapacity.
    """
    try:
        return _update(broker, request)
    except DuplicateName as error:
        raise errors.Unsupported(
            f"context.instance_name: an instance of this name exists in space '{(request.context or {}).get('space_guid', '')}' already"
        ) from error


def _update(broker: Broker, request: Update) -> Accepted:
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = instance_of(unit, request.caller, request.instance_id)
        if instance is None:
            raise _unknown(broker, request)
        plan, desired = _desired(broker, instance, request)
        is_change = (plan, desired) != (service.plan_from_snapshot(instance.plan_snapshot), instance.parameters)
        if is_change and not request.accepts_incomplete:
            raise errors.AsyncRequired
        active = operations.active_on_instance(unit, instance.id) or next(iter(unit.active_operations(instance.id)), None)
        if active is not None and active.kind == "update":
            return _update_again(instance, active, plan, desired)
        if active is not None:
            raise operations.busy(instance, active)
        if instance.state != "ready":
            raise errors.Unsupported(f"instance {instance.id} is {instance.state}, so it cannot be updated")
        if not is_change:
            _set_context(unit, instance, request)
            return _accepted(instance, None)
        if plan.id != instance.plan_id:
            allowance.require_change(broker, unit, broker.catalog.offer(instance.service_id, plan.id), instance)
        placement.resize(unit, broker.catalog.targets.get(instance.placement["target"]), instance, service.needs(plan, desired))
        asked = {"parameters": desired, "plan": plan.snapshot(), "secrets": service.secrets(plan, desired, instance.secrets)}
        asked["context"] = request.context
        operation = operations.accept(broker, unit, "update", instance, request.caller, asked)
        return _accepted(instance, operation, created=True)


def _unknown(broker: Broker, request: Update) -> errors.NotFound:
    """There is no such instance. What is wrong with the request by itself counts before that: raises NotOffered, MaintenanceConflict."""
    if request.plan_id is None:
        broker.catalog.service(request.service_id)
    else:
        _require_maintenance(broker.catalog.offer(request.service_id, request.plan_id).plan, request.maintenance_version)
    return errors.NotFound(f"instance {request.instance_id} does not exist")


def _desired(broker: Broker, instance: Instance, request: Update) -> tuple[Any, dict[str, Any]]:
    """Plan and parameters that an update leads to, checked in the order of OSB 2.17, "Updating a Service Instance"."""
    if request.service_id != instance.service_id:
        raise errors.Invalid(f"service_id: instance {instance.id} belongs to service {instance.service_id}, not to {request.service_id}")
    plan = _plan_after(broker, instance, request)
    desired = service.update_parameters(plan, instance.parameters, request.parameters or {})
    _require_maintenance(_offered(broker, plan), request.maintenance_version)
    return plan, desired


def _set_context(unit: Unit, instance: Instance, request: Update) -> None:
    context = request.context
    if context is not None and context != instance.context:
        instance.context, instance.name = context, context.get("instance_name", instance.name)
        unit.flush()
        audit.note(unit, request.caller, "context", "done", instance_id=instance.id)


def _plan_after(broker: Broker, instance: Instance, request: Update) -> Any:
    """The plan that an update leads to.

    An instance keeps its own as it was when it was made, also when that is no longer offered, until it is asked to take over the
    catalog's: by another plan, or by the plan's new maintenance version.
    """
    plan = service.plan_from_snapshot(instance.plan_snapshot)
    if request.plan_id is None or request.plan_id == instance.plan_id:
        return _maintained(broker, plan, request.maintenance_version)
    offer = broker.catalog.offer(instance.service_id, request.plan_id)
    if offer.plan.name not in plan.updates_to:
        able = ", ".join(plan.updates_to) or "no other plan"
        raise errors.Unsupported(f"plan_id: {plan.name} does not change to {offer.plan.name}; it changes to: {able}")
    if instance.placement["target"] not in {target.name for target in offer.targets}:
        raise errors.Unsupported(
            f"plan_id: {offer.plan.name} is not offered on target {instance.placement['target']}, where the instance is"
        )
    return offer.plan


def _maintained(broker: Broker, plan: Any, asked: str | None) -> Any:
    """The plan as the catalog has it now, when its version is asked for and the instance has an older one."""
    offered = _offered(broker, plan)
    own, newest = plan.maintenance.get("version"), offered.maintenance.get("version")
    return offered if asked is not None and asked == newest != own else plan


def _offered(broker: Broker, plan: Any) -> Any:
    """The plan as the catalog has it; one that is no longer on offer is as it was."""
    try:
        return broker.catalog.offer(plan.service_id, plan.id).plan
    except NotOffered:
        return plan


def _update_again(instance: Instance, active: Operation, plan: Any, desired: dict[str, Any]) -> Accepted:
    asked = service.plan_from_snapshot(active.request["plan"])
    if (asked.snapshot(), active.request["parameters"]) != (plan.snapshot(), desired):
        raise errors.Busy(f"instance {instance.id} is busy: another update (operation {active.id}) is in progress")
    return _accepted(instance, active)


def deprovision(broker: Broker, request: Deprovision) -> Accepted:
    """Accepts a removal. Whatever is in progress is halted first; its bindings go with an instance.

    Raises AsyncRequired, Gone, Protected.
    """
    if not request.accepts_incomplete:
        raise errors.AsyncRequired
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = instance_of(unit, request.caller, request.instance_id)
        if instance is None:
            raise errors.Gone(f"instance {request.instance_id} does not exist")
        active = unit.active_operations(instance.id)
        begun = next((operation for operation in active if operation.kind == "deprovision"), None)
        if begun is not None:
            return Accepted(begun.id, created=False)
        protection.require_none(broker, instance)
        return Accepted(removal.accept(broker, unit, instance, request.caller).id, created=True)


def fetch(broker: Broker, caller: Caller, instance_id: str) -> dict[str, Any]:
    """What a platform may know of an instance. NotFound until it is provisioned, Busy while it is updated (OSB, "Fetching")."""
    with broker.database.unit() as unit:
        instance = _existing(unit, caller, instance_id)
        if not instance.was_made:
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
            "maintenance_info": {"version": plan.maintenance["version"]} if plan.maintenance else None,
            "metadata": _with_health(_metadata(instance), health.view(unit, instance.id)),
        }


def _existing(unit: Unit, caller: Caller, instance_id: str) -> Instance:
    instance = instance_of(unit, caller, instance_id)
    if instance is None:
        raise errors.NotFound(f"instance {instance_id} does not exist")
    return instance
