"""What the end of an operation does to its instance or binding."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.lifecycle import audit, placement, variables
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage import health, queue, retries
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Binding, Instance, Operation

SPARED_SECONDS = 86400  # at least, for whoever restores a kept instance, or halts its removal
REMOVE_AGAIN_SECONDS = (60, 300, 900, 3600, 2 * 3600, 4 * 3600, 6 * 3600)
"""After how long a removal that failed is tried again; the last one from then on, so four times a day."""


@dataclass(frozen=True)
class Result:
    """How a run ended. `lost` means that its outcome is unknown; it may be run again, since every action is idempotent."""

    status: Literal["succeeded", "failed", "canceled", "lost"]
    published: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    transient: bool = False  # failed for a reason that may pass by itself

    @property
    def may_be_repeated(self) -> bool:
        """Whether trying again by ourselves can help."""
        return self.status == "lost" or (self.status == "failed" and self.transient)


def apply(broker: Broker, unit: Unit, operation: Operation, result: Result) -> None:
    """Writes the end of an operation and of what it means. The caller holds the locks."""
    instance = unit.instance(operation.instance_id)
    error = "" if result.status == "succeeded" else result.message or result.status
    if instance is not None:
        error = _APPLY[operation.kind](unit, operation, instance, result, error)
        if operation.kind == "provision" and instance.state == "ready":
            _have_looked_at(broker, unit, instance)
    queue.end(unit, operation, state="failed" if error else "succeeded", error=error)
    audit.ended(unit, operation)


def _have_looked_at(broker: Broker, unit: Unit, instance: Instance) -> None:
    """From now on it is looked at, at some time of its own."""
    if broker.settings.verify_every_seconds:
        health.enroll_one(unit, instance.id, within_seconds=broker.settings.verify_every_seconds)


def _provision(unit: Unit, operation: Operation, instance: Instance, result: Result, error: str) -> str:
    error = error or _keep(operation, instance, result)
    if instance.state == "provisioning":  # not when a removal was accepted meanwhile
        instance.state = "failed" if error else "ready"
        if instance.is_deleted and not error:
            _give_back(unit, instance)
    return error


def _give_back(unit: Unit, instance: Instance) -> None:
    """A kept instance is its owner's again, without the accounts of its former bindings."""
    instance.purge_at = None
    for binding in unit.bindings(instance.id):
        unit.delete(binding)


def _repair(unit: Unit, operation: Operation, instance: Instance, result: Result, error: str) -> str:
    """As ready as before, whatever became of it; whether it helped is to be seen at once."""
    row = health.find(unit, instance.id)
    if row is not None:
        row.due_at = unit.now()
    return error or _keep(operation, instance, result)


def _update(unit: Unit, operation: Operation, instance: Instance, result: Result, error: str) -> str:
    error = error or _keep(operation, instance, result)
    plan = service.plan_from_snapshot(instance.plan_snapshot)
    placement.settle(unit, instance, service.needs(plan, instance.parameters))
    return error


def _keep(operation: Operation, instance: Instance, result: Result) -> str:
    """Desired values become the instance's only here, on success. Returns why they do not, or ""."""
    plan = service.plan_from_snapshot(operation.request.get("plan") or instance.plan_snapshot)
    published = result.published.get("connection", {})
    try:
        service.check_late(plan, published)
    except service.ServiceError as error:
        return str(error)
    instance.parameters = operation.request["parameters"]
    instance.plan_id, instance.plan_name, instance.plan_snapshot = plan.id, plan.name, plan.snapshot()
    instance.secrets = operation.request.get("secrets", instance.secrets)
    late = {name: value for name, value in instance.connection.items() if name in plan.late}
    instance.connection = {**service.connection(plan, variables.describe(instance), instance.parameters), **late, **published}
    instance.outputs = {**(instance.outputs or {}), **result.published.get("outputs", {})}
    instance.dashboard_url = result.published.get("dashboard_url", instance.dashboard_url)
    context = operation.request.get("context")
    if context is not None:
        instance.context, instance.name = context, context.get("instance_name", instance.name)
    return ""


def _deprovision(unit: Unit, operation: Operation, instance: Instance, result: Result, error: str) -> str:
    keep_seconds = operation.request.get("keep_seconds")
    if error:
        instance.state = "failed"
        _remove_again(unit, operation, result)
        if instance.is_deleted and operation.started_at is None:  # nobody has touched it
            spare(unit, instance)
        return error
    retries.settle(unit, instance.id)
    if keep_seconds is None:
        unit.delete(instance)
    else:
        _set_aside(unit, instance, keep_seconds)
    return error


def _set_aside(unit: Unit, instance: Instance, seconds: float) -> None:
    """From now on it is gone for its platform, and its bindings are accounts that are to be gone when it comes back."""
    instance.state, instance.purge_at = "kept", unit.now() + timedelta(seconds=seconds)
    for binding in unit.bindings(instance.id):
        binding.state = "unbinding"


def spare(unit: Unit, instance: Instance) -> None:
    """Puts off the end of a kept instance that an operator is busy with."""
    soonest = unit.now() + timedelta(seconds=SPARED_SECONDS)
    instance.purge_at = soonest if instance.purge_at is None else max(instance.purge_at, soonest)


def _remove_again(unit: Unit, operation: Operation, result: Result) -> None:
    """Says when `lifecycle.janitor` tries a failed removal again. What was canceled stays as it is."""
    retries.settle(unit, operation.instance_id, operation.binding_id)
    if result.status != "canceled":
        retries.plan(unit, operation, delay_seconds=REMOVE_AGAIN_SECONDS[min(operation.retries, len(REMOVE_AGAIN_SECONDS) - 1)])


def _bind(unit: Unit, operation: Operation, instance: Instance, result: Result, error: str) -> str:
    binding = unit.binding(instance.id, operation.binding_id or "")
    if binding is None:
        return error or "the binding does not exist any more"
    if not error:
        error = _mismatch(instance, result.published.get("credentials"))
    if not error:
        binding.credentials = result.published["credentials"]
        _set_expiry(unit, binding, operation.request.get("expiry"))
    if binding.state == "binding":  # not when a removal was accepted meanwhile
        binding.state = "failed" if error else "ready"
    return error


def _set_expiry(unit: Unit, binding: Binding, expiry: dict[str, float] | None) -> None:
    """Its time begins when it is handed out."""
    if expiry is not None:
        binding.expires_at = unit.now() + timedelta(seconds=expiry["after_seconds"])
        binding.renew_before = binding.expires_at - timedelta(seconds=expiry["renew_seconds"])


def _mismatch(instance: Instance, credentials: Any) -> str:
    """Why these credentials are not handed out, or ""."""
    if not isinstance(credentials, dict):
        return "the role published no credentials"
    try:
        service.check_credentials(service.plan_from_snapshot(instance.plan_snapshot), credentials)
    except service.CredentialsError as error:
        return str(error)
    return ""


def _unbind(unit: Unit, operation: Operation, instance: Instance, result: Result, error: str) -> str:
    binding = unit.binding(instance.id, operation.binding_id or "")
    if binding is not None:
        if error:
            binding.state = "failed"
            _remove_again(unit, operation, result)
        else:
            retries.settle(unit, instance.id, binding.id)
            unit.delete(binding)
    return error


_APPLY: dict[str, Callable[[Unit, Operation, Instance, Result, str], str]] = {
    "provision": _provision,
    "repair": _repair,
    "update": _update,
    "deprovision": _deprovision,
    "bind": _bind,
    "unbind": _unbind,
}
