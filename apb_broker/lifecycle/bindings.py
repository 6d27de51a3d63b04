"""Bindings: whether a request to bind or unbind is accepted, and what is written when it is."""

import secrets
from datetime import UTC
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.lifecycle import audit, errors, operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.ownership import instance_of
from apb_broker.lifecycle.requests import Accepted, Bind, Caller, Unbind
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Binding, Instance, Operation

PASSWORD_BYTES = 24
EXPIRY_RETRY_SECONDS = 300


def bind(broker: Broker, request: Bind) -> Accepted:
    """Accepts an account of its own for a binding; several bindings of one instance may be made side by side.

    With a predecessor it is the rotation of that binding (OSB 2.17, "Binding Rotation"): both are valid until they are removed or expire.
    Raises Invalid, NotOffered, NotFound, RequiresApp, Conflict, Busy, Unsupported.
    """
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = instance_of(unit, request.caller, request.instance_id)
        if instance is None:
            raise _unknown(broker, request)
        _require_same("service_id", request.service_id, instance.service_id)
        _require_same("plan_id", request.plan_id, instance.plan_id)
        plan = service.plan_from_snapshot(instance.plan_snapshot)
        if not plan.bindable:
            raise errors.Unsupported(f"nothing can be bound to an instance of plan {plan.name}")
        binding = unit.binding(instance.id, request.binding_id)
        parameters = _parameters(unit, instance, plan, request)
        if plan.requires_app and request.app is None and request.predecessor is None:
            raise errors.RequiresApp
        if binding is not None:
            return _again(broker, unit, instance, binding, request, parameters)
        _require_ready(unit, instance)
        return _create(broker, unit, instance, request, parameters)


def _unknown(broker: Broker, request: Bind) -> errors.NotFound:
    """There is no such instance. What is wrong with the request by itself counts before that: raises NotOffered, ParameterError."""
    if request.service_id is not None and request.plan_id is not None:
        service.bind_parameters(broker.catalog.offer(request.service_id, request.plan_id).plan, request.parameters or {})
    return errors.NotFound(f"instance {request.instance_id} does not exist")


def _require_same(field: str, given: str | None, found: str) -> None:
    if given is not None and given != found:
        raise errors.Invalid(f"{field}: the instance's is {found}, not {given}")


def _parameters(unit: Unit, instance: Instance, plan: Any, request: Bind) -> dict[str, Any]:
    """Those that were given, with defaults; a rotation's are its predecessor's."""
    if request.predecessor is None:
        return dict(service.bind_parameters(plan, request.parameters or {}))
    if not plan.rotatable:
        raise errors.Unsupported(f"predecessor_binding_id: bindings of plan {plan.name} are not rotatable")
    predecessor = unit.binding(instance.id, request.predecessor)
    known = unit.binding(instance.id, request.binding_id)
    if known is not None and known.predecessor == request.predecessor:
        inherited = known.parameters  # sent again: the predecessor may be gone by now
    elif predecessor is None or predecessor.state != "ready" or unit.is_past(predecessor.expires_at):
        raise errors.Invalid(f"predecessor_binding_id: the instance has no valid binding {request.predecessor}")
    else:
        inherited = predecessor.parameters
    if request.parameters is not None and service.bind_parameters(plan, request.parameters) != inherited:
        raise errors.Invalid("parameters: a rotation takes over those of its predecessor: leave them out")
    return dict(inherited)


def _again(broker: Broker, unit: Unit, instance: Instance, binding: Binding, request: Bind, parameters: dict[str, Any]) -> Accepted:
    """A PUT on an id in use. One that could not be made is tried again."""
    if (binding.parameters, binding.predecessor) != (parameters, request.predecessor):
        raise errors.Conflict(f"binding {binding.id} exists with other parameters")
    active = _active(unit, binding)
    if active is not None and active.kind == "unbind":
        raise errors.Busy(f"binding {binding.id} is being removed (operation {active.id})")
    if binding.state != "failed":
        return Accepted(active.id if active is not None else None, created=False)
    last = unit.last_operation(instance.id, binding.id)
    if last is None or last.kind != "bind":
        raise errors.Conflict(f"binding {binding.id} exists, but its removal failed: remove it first")
    return Accepted(repeat(broker, unit, instance, binding.id, "bind", request.caller).id, created=True)


def repeat(broker: Broker, unit: Unit, instance: Instance, binding_id: str, kind: str, caller: Caller) -> Operation:
    """Runs what failed on a binding again. The caller holds the instance's lock. Raises Busy, NotFound, Unsupported."""
    _require_quiet(unit, instance)
    binding = unit.binding(instance.id, binding_id)
    if binding is None:
        raise errors.NotFound(f"binding {binding_id} of instance {instance.id} does not exist")
    if kind == "unbind":
        return operations.accept_unbind(broker, unit, instance, binding, caller)
    _require_ready(unit, instance)
    binding.state = "binding"
    return operations.accept(broker, unit, "bind", instance, caller, _expiry(broker, instance), binding=binding)


def _expiry(broker: Broker, instance: Instance) -> dict[str, Any]:
    """How long the binding will be valid, as the operator says for new ones of this plan."""
    expiry = broker.catalog.binding_expiry(instance.plan_id)
    return {} if expiry is None else {"expiry": expiry.model_dump()}


def _create(broker: Broker, unit: Unit, instance: Instance, request: Bind, parameters: dict[str, Any]) -> Accepted:
    binding = Binding(
        instance_id=instance.id,
        id=request.binding_id,
        name=request.context.get("binding_name"),
        requested_by=request.caller.user,
        context=request.context,
        state="binding",
        username=service.binding_username(instance.id, request.binding_id),
        predecessor=request.predecessor,
    )
    unit.seal(binding, parameters=parameters, password=secrets.token_urlsafe(PASSWORD_BYTES))
    expiry = _expiry(broker, instance)
    operation = operations.accept(broker, unit, "bind", instance, request.caller, expiry, binding=binding, rows=[binding])
    return Accepted(operation.id, created=True)


def unbind(broker: Broker, request: Unbind) -> Accepted:
    """Accepts the removal of an account. One that is being made is halted first. Raises Gone, Busy."""
    with broker.database.unit() as unit:
        unit.lock_instance(request.instance_id)
        instance = instance_of(unit, request.caller, request.instance_id)
        binding = None if instance is None else unit.binding(request.instance_id, request.binding_id)
        if instance is None or binding is None:
            raise errors.Gone(f"binding {request.binding_id} of instance {request.instance_id} does not exist")
        active = _active(unit, binding)
        if active is not None and active.kind == "unbind":
            return Accepted(active.id, created=False)
        _require_quiet(unit, instance)
        operation = operations.accept_unbind(broker, unit, instance, binding, request.caller, halting=active)
        return Accepted(operation.id, created=True)


def require(broker: Broker, caller: Caller, instance_id: str, binding_id: str) -> None:
    """Raises Gone when there is no such binding to be removed."""
    with broker.database.unit() as unit:
        if instance_of(unit, caller, instance_id) is None or unit.binding(instance_id, binding_id) is None:
            raise errors.Gone(f"binding {binding_id} of instance {instance_id} does not exist")


def undo(broker: Broker, instance_id: str, binding_id: str) -> None:
    """Takes a binding back that nobody will get the credentials of."""
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)
        instance, binding = unit.instance(instance_id), unit.binding(instance_id, binding_id)
        if instance is None or binding is None or instance.state == "deprovisioning":
            return
        active = _active(unit, binding)
        if active is None or active.kind == "bind":
            operations.accept_unbind(broker, unit, instance, binding, operations.ours(instance), halting=active)


def unbind_expired(broker: Broker) -> int:
    """Removes the bindings whose time is over; one whose instance is busy, or whose removal failed, when it is looked at again.

    Returns how many removals were accepted.
    """
    accepted = 0
    with broker.database.unit() as unit:
        found = [(row.instance_id, row.id) for row in unit.expired_bindings(retry_seconds=EXPIRY_RETRY_SECONDS)]
    for instance_id, binding_id in found:
        with broker.database.unit() as unit:
            unit.lock_instance(instance_id)
            instance, binding = unit.instance(instance_id), unit.binding(instance_id, binding_id)
            is_quiet = not any(active.binding_id in (None, binding_id) for active in unit.active_operations(instance_id))
            if instance is not None and binding is not None and is_quiet:
                operations.accept_unbind(broker, unit, instance, binding, operations.ours(instance))
                accepted += 1
    return accepted


def fetch(broker: Broker, caller: Caller, instance_id: str, binding_id: str) -> dict[str, Any]:
    """Credentials and parameters of a binding. NotFound until it is made (OSB, "Fetching a Service Binding").

    Who was given credentials is in the audit.
    """
    with broker.database.unit() as unit:
        instance, binding = instance_of(unit, caller, instance_id), unit.binding(instance_id, binding_id)
        if instance is None or binding is None or binding.credentials is None:
            raise errors.NotFound(f"binding {binding_id} of instance {instance_id} does not exist or is not made yet")
        plan = service.plan_from_snapshot(instance.plan_snapshot)
        audit.note(unit, caller, "credentials", "done", instance_id=instance.id, binding_id=binding.id)
        return {
            "credentials": binding.credentials,
            "parameters": service.redact(plan, binding.parameters),
            "endpoints": _endpoints(binding.credentials),
            "metadata": _metadata(binding),
        }


def _endpoints(credentials: dict[str, Any]) -> list[dict[str, Any]]:
    """Where the credentials are used (OSB 2.17, "Binding", endpoints): their host and port, where they have both."""
    host, port = credentials.get("host"), credentials.get("port")
    return [{"host": host, "ports": [str(port)], "protocol": "tcp"}] if host and port else []


def _metadata(binding: Binding) -> dict[str, Any]:
    """Until when it is valid, and when to have rotated it (OSB 2.17, "Binding Metadata")."""
    times = {"expires_at": binding.expires_at, "renew_before": binding.renew_before}
    return {name: f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.0Z" for name, time in times.items() if time is not None}


def _active(unit: Unit, binding: Binding) -> Operation | None:
    operation = unit.last_operation(binding.instance_id, binding.id)
    return operation if operation is not None and operation.is_active else None


def _require_ready(unit: Unit, instance: Instance) -> None:
    _require_quiet(unit, instance)
    if instance.state != "ready":
        raise errors.Unsupported(f"instance {instance.id} is {instance.state}, so nothing can be bound to it")


def _require_quiet(unit: Unit, instance: Instance) -> None:
    active = operations.active_on_instance(unit, instance.id)
    if active is not None:
        raise operations.busy(instance, active)
