"""From the names people use to what the broker has under them: services, plans, instances, bindings."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from apb_cli import errors

if TYPE_CHECKING:
    from apb_cli import http

PLATFORM = "apb"  # how this client names itself in OSB's context


def service(services: list[http.JSON], name: str) -> http.JSON:
    """The offered service of that name. Raises NotFound."""
    return _one(services, name, "service")


def plan(service: http.JSON, name: str) -> http.JSON:
    """The plan of that name, also without the service's name in front of it: `standard` is redis-standard. Raises NotFound."""
    known = {plan["name"] for plan in service["plans"]}
    full = f"{service['name']}-{name}"
    return _one(service["plans"], full if name not in known and full in known else name, f"plan of {service['name']}")


def schema_of(services: list[http.JSON], plan_id: str, *path: str) -> dict[str, Any]:
    """The parameter schema of a plan, such as "service_instance", "create"; {} when the plan is not offered any more."""
    for offered in services:
        for candidate in offered["plans"]:
            if candidate["id"] == plan_id:
                return parameters_schema(candidate, *path)
    return {}


def parameters_schema(plan: http.JSON, *path: str) -> dict[str, Any]:
    """The schema below a plan's `schemas`, or {}."""
    found: Any = plan.get("schemas") or {}
    for part in (*path, "parameters"):
        found = found.get(part) or {}
    return dict(found)


def instance(client: http.Client, name: str, space: str) -> http.JSON:
    """The instance of that name in the space, or of that id. Raises NotFound."""
    found = client.instances(name=name, space=space)
    if found:
        return found[0]
    try:
        return client.instance(name)
    except errors.NotFound:
        others = sorted({str(other["space"]) for other in client.instances(name=name)})
        hint = f"; there is one in space {', '.join(others)}: give --space" if others else ""
        raise errors.NotFound(f"there is no instance '{name}' in space '{space}'{hint}") from None


def require_free(client: http.Client, name: str, space: str) -> None:
    """Raises Refused when an instance has that name in that space."""
    for taken in client.instances(name=name, space=space):
        raise errors.Refused(
            f"an instance '{name}' exists in space '{space}' already ({taken['service']}, {taken['state']}): "
            f"choose another name, or see `apb instances {name}`"
        )


def binding(instance: http.JSON, name: str) -> http.JSON:
    """The binding of that name or id. Raises NotFound, or Refused when several have the name."""
    found = [binding for binding in instance["bindings"] if binding["name"] == name]
    found = found or [binding for binding in instance["bindings"] if binding["id"] == name]
    if not found:
        known = ", ".join(label(binding) for binding in instance["bindings"]) or "none"
        raise errors.NotFound(f"instance '{label(instance)}' has no binding '{name}'; it has: {known}")
    if len(found) > 1:
        ids = ", ".join(str(binding["id"]) for binding in found)
        raise errors.Refused(f"instance '{label(instance)}' has several bindings '{name}': give the id, one of {ids}")
    return dict(found[0])


def label(thing: http.JSON) -> str:
    """How an instance or binding is called; those of other platforms may have an id only."""
    return str(thing["name"] or thing["id"])


def _one(things: list[http.JSON], name: str, kind: str) -> http.JSON:
    for thing in things:
        if thing["name"] == name:
            return dict(thing)
    known = [thing["name"] for thing in things]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(known) or 'none'}"
    raise errors.NotFound(f"there is no {kind} '{name}'; {hint}")
