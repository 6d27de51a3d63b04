"""What a role gets: the `apb_*` variables of the contract (docs/writing-a-service.md), built from the rows of one operation."""

from collections.abc import Iterator
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Binding, Instance, Operation

ACTION_OF = {"repair": "provision"}
"""What a role does for an operation, where that has another name."""


def action_of(operation: Operation) -> str:
    """The playbook of an operation: what was asked for instead of its kind's (`lifecycle.removal`), or its kind's."""
    instead = (operation.request or {}).get("action")
    return instead or ACTION_OF.get(operation.kind, operation.kind)


def build(unit: Unit, operation: Operation, instance: Instance, binding: Binding | None) -> dict[str, Any]:
    """All variables of one run. They hold secrets and tenants' values: never templates, never logged."""
    asked = operation.request or {}
    desired = asked.get("parameters", instance.parameters) or {}
    plan_name = (asked.get("plan") or {}).get("name", instance.plan_name)
    bindings = unit.bindings(instance.id)
    made: dict[str, Any] = {
        "apb_action": ACTION_OF.get(operation.kind, operation.kind),
        "apb_mode": instance.mode,
        "apb_epoch": operation.epoch,
        "apb_role": instance.role,
        "apb_service": instance.service_name,
        "apb_plan": plan_name,
        "apb_parameters": desired,
        "apb_instance": {**of_instance(instance), "secrets": asked.get("secrets", instance.secrets) or {}},
        "apb_bindings": [_binding(row) for row in bindings if row.state == "ready"],
    }
    if binding is not None:
        made["apb_binding"] = _binding(binding)
    if operation.kind == "update":
        made["apb_previous"] = {"parameters": instance.parameters, "plan": instance.plan_name}
    if "action" in asked:  # stop, restore: no account stays, and the playbook itself says as what it includes the role's files
        made |= {"apb_bindings": [], "apb_revoked": [_binding(row) for row in bindings]}
        del made["apb_action"]
    return made


def describe(instance: Instance) -> dict[str, Any]:
    """An instance as an operator's templates see it: nothing secret."""
    return {
        "id": instance.id,
        "name": instance.name,
        "names": instance.names,
        "host": instance.placement["address"],
        "placement": instance.placement,
        "ports": instance.ports,
    }


def of_instance(instance: Instance) -> dict[str, Any]:
    """An instance as a role sees it, without its secrets."""
    return {
        **describe(instance),
        "connection": instance.connection,
        "outputs": instance.outputs or {},
        "context": instance.context,
    }


def _binding(binding: Binding) -> dict[str, Any]:
    return {"id": binding.id, "username": binding.username, "password": binding.password, "parameters": binding.parameters or {}}


def secrets_of(made: dict[str, Any], operation: Operation, instance: Instance) -> tuple[str, ...]:
    """Every secret value that a run of this operation with these variables knows, to be masked in whatever leaves it."""
    plan = service.plan_from_snapshot(instance.plan_snapshot)
    desired = (operation.request or {}).get("parameters", {})
    known = [
        instance.secrets,
        (operation.request or {}).get("secrets"),
        instance.outputs,
        service.sensitive(plan, instance.parameters or {}),
        service.sensitive(plan, desired),
    ]
    bindings = [*made["apb_bindings"], *made.get("apb_revoked", []), made.get("apb_binding", {})]
    known += [binding.get("password") for binding in bindings]
    return tuple({text for value in known for text in _texts(value)})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
