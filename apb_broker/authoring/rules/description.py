"""Rules on meta/service.yml, beyond what loading it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.authoring import lines, tasks
from apb_broker.authoring.findings import Finding
from apb_broker.authoring.role import Role

PUBLISH = "apb.catalog.publish"


def service_description(role: Role) -> Iterator[Finding]:
    """`meta/service.yml` is there and makes sense; texts in several languages have an English one."""
    try:
        service.load(role.description_path)
    except service.ServiceError as error:
        if not role.description_path.is_file():
            yield Finding(role.directory, 1, "meta/service.yml is missing: describe the service in it (`apb init` writes one)")
            return
        place = re.search(r"line (\d+)", error.message) if not error.field else None
        line = int(place.group(1)) if place else role.line(error.field)
        yield Finding(role.description_path, line, f"{error.field}: {error.message}" if error.field else f"it {error.message}")


def parameter_description(role: Role) -> Iterator[Finding]:
    """Every parameter has a `description`: it is all that tenants know of it."""
    raw = role.raw if role.description else {}
    for place, parameters in (("parameters", raw.get("parameters")), ("bind.parameters", (raw.get("bind") or {}).get("parameters"))):
        for name, schema in (parameters or {}).items():
            if "description" not in schema:
                field = f"{place}.{name}"
                yield Finding(
                    role.description_path, role.line(field), f"{field} has no description: say what it does, and what of it costs"
                )


def examples(role: Role) -> Iterator[Finding]:
    """Every plan has an example, and a service that can be bound has one with `bind`: examples are documentation and tests at once."""
    if role.description is None:
        return
    shown = {example["plan"] for example in role.description.examples}
    for index, plan in enumerate(role.description.plans):
        if plan.name not in shown and plan.tenancy != "user-provided":
            line = role.line(f"plans[{index}].name")
            yield Finding(role.description_path, line, f"plan {plan.name} has no example: add one to `examples`")
    if role.is_bindable and shown and not any("bind" in example for example in role.description.examples):
        line = role.line("examples")
        yield Finding(role.description_path, line, "no example has `bind`: say in one how it is bound (`bind: {}` for no parameters)")


def late_fields(role: Role) -> Iterator[Finding]:
    """What `connection.late` names is published by the role's tasks, and nothing else is."""
    if role.description is None:
        return
    late = set((role.raw.get("connection") or {}).get("late") or ())
    for plan in role.raw["plans"]:
        late |= set((plan.get("connection") or {}).get("late") or ())
    published: set[str] = set()
    is_known = True
    for task in _publishing(role, "connection"):
        given = task.args["connection"]
        if not isinstance(given, lines.Mapping):
            is_known = False
            continue
        published |= set(given)
        for name in sorted(set(given) - late):
            message = f"publishes connection.{name}, which service.yml does not name: add it to connection.late, or do not publish it"
            yield Finding(task.path, given.lines[name], message)
    for name in sorted(late - published) if is_known else ():
        message = f"connection.late names {name}, which no task publishes: publish it by {PUBLISH}, or take it off the list"
        yield Finding(role.description_path, role.line("connection.late"), message)


def published_credentials(role: Role) -> Iterator[Finding]:
    """`tasks/bind.yml` publishes credentials; those written out as a mapping have the fields that `credentials` of service.yml asks for."""
    path = role.task_file("bind")
    if not role.is_bindable or role.description is None or path not in role.task_files:
        return
    publishing = [task for task in tasks.reached(path, role.directory, foreign=False) if _publishes(task, "credentials")]
    if not publishing:
        message = f"bind publishes no credentials: hand them out by {PUBLISH} with `credentials`"
        yield Finding(path, 1, message)
    written = [task.args["credentials"] for task in publishing]
    if not written or not all(isinstance(given, lines.Mapping) for given in written):
        return  # made by an expression, or by several tasks of which not all are known: the run checks them
    given = {name for one in written for name in one}
    place = publishing[-1]
    for name in sorted(set(role.description.credentials.get("required", ())) - given):
        message = f"credentials.{name} is required by service.yml and not published: add it, or take it off `required`"
        yield Finding(place.path, place.module_line, message)
    if role.description.credentials.get("additionalProperties") is False:
        for name in sorted(given - set(role.description.credentials.get("properties", {}))):
            message = f"credentials.{name} is not in service.yml: add it to `credentials.properties`, or do not publish it"
            yield Finding(place.path, place.module_line, message)


def _publishing(role: Role, kind: str) -> list[tasks.Task]:
    return [task for task in role.tasks if _publishes(task, kind)]


def _publishes(task: tasks.Task, kind: str) -> bool:
    return task.module == PUBLISH and kind in task.args


def ids_of(role: Role) -> Iterator[tuple[str, str, int]]:
    """("id" or "name", value, line) that no other service may have."""
    if role.description is None:
        return
    yield "name", role.description.name, role.line("name")
    yield "id", role.description.id, role.line("id")
    for index, plan in enumerate(role.description.plans):
        yield "id", plan.id, role.line(f"plans[{index}].id")


def unique_ids(roles: list[Role]) -> Iterator[Finding]:
    """No two services have the same name, and no two services or plans the same id, in all roles that are looked at."""
    seen: dict[tuple[str, str], Any] = {}
    for role in roles:
        for kind, value, line in ids_of(role):
            first = seen.setdefault((kind, value), (role, line))
            if first != (role, line):
                other = f"{first[0].name}/meta/service.yml:{first[1]}"
                cure = "make a new one with `uuidgen`" if kind == "id" else "choose another one"
                yield Finding(role.description_path, line, f"{kind} {value} is that of {other} too: {cure}")
