"""Bindings: whether a request to bind or unbind is accepted, and what is written when it is."""

import secrets
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.lifecycle import errors, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.requests import Accepted, Bind, Unbind
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Binding, Instance, Operation

PASSWORD_BYTES = 24


def bind(broker: Broker, request: Bind) -> Accepted:
    """Accepts an account of its own for a binding; several bindings of one instance may be made side by side.

    Raises Invalid, NotFound, Conflict, Busy, Unsupported.
    """
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = unit.instance(request.instance_id)
        if instance is None:
            raise errors.NotFound(f"instance {request.instance_id} does not exist")
        if (request.service_id, request.plan_id) != (instance.service_id, instance.plan_id):
            raise errors.Invalid(f"service_id, plan_id: instance {instance.id} is of another service or plan")
        plan = service.plan_from_snapshot(instance.plan_snapshot)
        parameters = service.bind_parameters(plan, request.parameters)
        binding = unit.binding(instance.id, request.binding_id)
        if binding is not None:
            return _again(unit, binding, parameters)
        _require_quiet(unit, instance)
        if instance.state != "ready":
            raise errors.Unsupported(f"instance {instance.id} is {instance.state}, so nothing can be bound to it")
        return _create(broker, unit, instance, request, parameters)


def _again(unit: Unit, binding: Binding, parameters: dict[str, Any]) -> Accepted:
    if binding.parameters != parameters:
        raise errors.Conflict(f"binding {binding.id} exists with other parameters")
    active = _active(unit, binding)
    if active is not None and active.kind == "unbind":
        raise errors.Busy(f"binding {binding.id} is being removed (operation {active.id})")
    if binding.state == "failed":
        raise errors.Conflict(f"binding {binding.id} exists, but making it failed: remove it first")
    return Accepted(active.id if active is not None else None, created=False)


def _create(broker: Broker, unit: Unit, instance: Instance, request: Bind, parameters: dict[str, Any]) -> Accepted:
    binding = Binding(
        instance_id=instance.id,
        id=request.binding_id,
        name=request.context.get("binding_name"),
        requested_by=request.requested_by,
        context=request.context,
        state="binding",
        username=service.binding_username(instance.id, request.binding_id),
    )
    unit.add(binding, parameters=parameters, password=secrets.token_urlsafe(PASSWORD_BYTES))
    operation = operations.accept(broker, unit, "bind", instance, request.requested_by, {}, binding=binding)
    return Accepted(operation.id, created=True)


def unbind(broker: Broker, request: Unbind) -> Accepted:
    """Accepts the removal of an account. One that is being made is halted first. Raises Gone, Busy."""
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = unit.instance(request.instance_id)
        binding = None if instance is None else unit.binding(request.instance_id, request.binding_id)
        if instance is None or binding is None:
            raise errors.Gone(f"binding {request.binding_id} of instance {request.instance_id} does not exist")
        active = _active(unit, binding)
        if active is not None and active.kind == "unbind":
            return Accepted(active.id, created=False)
        _require_quiet(unit, instance)
        operation = operations.accept_unbind(broker, unit, instance, binding, request.requested_by, halting=active)
        return Accepted(operation.id, created=True)


def undo(broker: Broker, instance_id: str, binding_id: str) -> None:
    """Takes a binding back that nobody will get the credentials of."""
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)
        instance, binding = unit.instance(instance_id), unit.binding(instance_id, binding_id)
        if instance is None or binding is None:
            return
        active = _active(unit, binding)
        if active is None or active.kind == "bind":
            operations.accept_unbind(broker, unit, instance, binding, binding.requested_by, halting=active)


def fetch(broker: Broker, instance_id: str, binding_id: str) -> dict[str, Any]:
    """Credentials and parameters of a binding. NotFound until it is made (OSB, "Fetching a Service Binding")."""
    with broker.database.unit() as unit:
        instance, binding = unit.instance(instance_id), unit.binding(instance_id, binding_id)
        if instance is None or binding is None or binding.state in ("binding", "failed"):
            raise errors.NotFound(f"binding {binding_id} of instance {instance_id} does not exist or is not made yet")
        plan = service.plan_from_snapshot(instance.plan_snapshot)
        return {"credentials": binding.credentials, "parameters": service.redact(plan, binding.parameters)}


def _active(unit: Unit, binding: Binding) -> Operation | None:
    operation = unit.last_operation(binding.instance_id, binding.id)
    return operation if operation is not None and operation.is_active else None


def _require_quiet(unit: Unit, instance: Instance) -> None:
    active = operations.active_on_instance(unit, instance.id)
    if active is not None:
        raise operations.busy(instance, active)
