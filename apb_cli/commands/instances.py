"""`apb provision`, `update`, `deprovision`, `instances`."""

import contextlib
import uuid
from typing import Annotated, Any

import typer

from apb_cli import errors, names, output, parameters, waiting
from apb_cli.commands import confirmation, removal
from apb_cli.options import NoWait, Parameters, ParametersFile, Session, Space, connected

ORGANIZATION = "apb"

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The service, such as redis.")]
Plan = Annotated[str, typer.Argument(metavar="PLAN", help="Its plan, such as redis-standard, or standard for short.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="How the instance shall be called in its space.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the instance.")]
AnySpace = Annotated[
    str | None,
    typer.Option("--space", metavar="SPACE", help="Only the instances of this space. Default: all; default for NAME.", show_default=False),
]


def register(app: typer.Typer, panel: str) -> None:
    """Adds the commands."""
    for command in (provision, update, deprovision, instances):
        app.command(rich_help_panel=panel)(connected(command))


def provision(
    session: Session,
    service: Service,
    plan: Plan,
    name: NewName,
    given: Parameters = [],  # noqa: B006 - Typer's way to say "repeatable"
    parameters_file: ParametersFile = None,
    space: Space = "default",
    no_wait: NoWait = False,
) -> None:
    """Order an instance of a service. Host and port are known at once."""
    client, out = session.client, session.out
    offered = names.service(client.catalog(), service)
    wanted = names.plan(offered, plan)
    values = parameters.gather(given, parameters_file, names.parameters_schema(wanted, "service_instance", "create"))
    _require_name(name)
    names.require_free(client, name, space)
    instance_id = str(uuid.uuid4())
    answer = client.change(
        "PUT",
        client.instance_path(instance_id),
        body={
            "service_id": offered["id"],
            "plan_id": wanted["id"],
            "organization_guid": ORGANIZATION,
            "space_guid": space,
            "context": {"platform": names.PLATFORM, "instance_name": name},
            "parameters": values,
        },
    )
    operation_id = answer.body["operation"]
    out.progress(f"accepted: {wanted['name']} as '{name}' (operation {operation_id})")
    out.fields(answer.body.get("apb_connection") or {}, indent=2)
    pending = waiting.Pending(operation_id, client.instance_path(instance_id), f"provision of '{name}'")
    closing = waiting.settle(client, out, pending, f"'{name}' is ready", no_wait=no_wait)
    out.result(lambda: client.instance(instance_id), lambda: out.line(closing))


def update(
    session: Session,
    name: Name,
    given: Parameters = [],  # noqa: B006
    parameters_file: ParametersFile = None,
    space: Space = "default",
    no_wait: NoWait = False,
) -> None:
    """Change parameters of an instance. What is not given stays."""
    client, out = session.client, session.out
    if not given and parameters_file is None:
        raise errors.Usage("nothing to change: give parameters by -p or --parameters-file")
    instance = names.instance(client, name, space)
    schema = names.schema_of(client.catalog(), instance["plan_id"], "service_instance", "create")
    values = parameters.gather(given, parameters_file, schema)
    body = {
        "service_id": instance["service_id"],
        "context": {"platform": names.PLATFORM, "instance_name": instance["name"]},
        "parameters": values,
    }
    answer = client.change("PATCH", client.instance_path(instance["id"]), body=body)
    operation_id, label = answer.body.get("operation"), names.label(instance)
    closing = f"'{label}' is so already"
    if operation_id:
        out.progress(f"accepted: update of '{label}' (operation {operation_id})")
        pending = waiting.Pending(operation_id, client.instance_path(instance["id"]), f"update of '{label}'")
        closing = waiting.settle(client, out, pending, f"'{label}' is updated", no_wait=no_wait)
    out.result(lambda: client.instance(instance["id"]), lambda: out.line(closing))


def _require_name(name: str) -> None:
    if not name.strip():
        raise errors.Usage("the name of an instance cannot be empty")


def deprovision(session: Session, name: Name, yes: confirmation.Yes = False, space: Space = "default", no_wait: NoWait = False) -> None:
    """Remove an instance with its data and its bindings."""
    instance = names.instance(session.client, name, space)
    label = names.label(instance)
    if instance.get("purge_at"):
        raise errors.Refused(f"'{label}' was deleted already. {_ways_out(instance)}")
    bindings = len(instance["bindings"])
    also = f" and its {bindings} binding{'s' if bindings > 1 else ''}" if bindings else ""
    confirmation.require(f"Remove '{label}' with its data{also}?", yes=yes, otherwise="nothing is removed")
    path = session.client.instance_path(instance["id"])
    removal.carry_out(session, instance, path, f"deprovision of '{label}'", f"'{label}' is removed", no_wait=no_wait)
    if not no_wait:
        _tell_kept(session, instance["id"])


def _tell_kept(session: Session, instance_id: str) -> None:
    """Where the operator has deleted instances kept, that it is not gone for good yet."""
    with contextlib.suppress(errors.NotFound):
        found = session.client.instance(instance_id)
        if found.get("purge_at"):
            session.out.progress(_ways_out(found))


def _ways_out(kept: dict[str, Any]) -> str:
    label = names.label(kept)
    return (
        f"Its server and data are kept until {output.moment(kept['purge_at'])}: "
        f"`apb restore-instance {label}` brings it back, `apb purge {label}` removes it for good"
    )


def instances(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name or id: show this instance in full.", show_default=False)] = None,
    space: AnySpace = None,
) -> None:
    """List instances; with NAME show everything about one, except secrets."""
    out = session.out
    if name is None:
        found = session.client.instances(space=space)
        out.result(lambda: found, lambda: _show_all(out, found))
    else:
        instance = names.instance(session.client, name, space or "default")
        out.result(lambda: instance, lambda: _show_one(out, instance))


def _show_all(out: output.Output, found: list[dict[str, Any]]) -> None:
    rows = [
        (
            names.label(one),
            one["space"],
            one["service"],
            one["plan"],
            _state(one),
            (one.get("health") or {}).get("status"),
            output.endpoint(one["connection"]),
            len(one["bindings"]),
            output.moment(one["created_at"]),
        )
        for one in found
    ]
    headings = ("NAME", "SPACE", "SERVICE", "PLAN", "STATE", "HEALTH", "ENDPOINT", "BINDINGS", "CREATED")
    out.table(headings, rows, empty="there are no instances; `apb marketplace` shows what can be had")


def _state(one: dict[str, Any]) -> str:
    state = f"{one['state']} until {output.moment(one['purge_at'])}" if one["state"] == "kept" else str(one["state"])
    return f"{state}, protected" if one.get("protected_by") else state


def _health(found: dict[str, Any]) -> str | None:
    since = f" since {output.moment(found['since'])}" if found.get("since") else ""
    message = f": {found['message']}" if found.get("message") and not found.get("drift") else ""
    return f"{found['status']}{since}{message}" if found else None


def _show_one(out: output.Output, one: dict[str, Any]) -> None:
    last, health = one.get("operation") or {}, one.get("health") or {}
    out.fields(
        {
            **{key: one.get(key) for key in ("name", "id", "space", "organization", "platform", "service", "plan", "mode", "state")},
            **{f"connection {key}": value for key, value in (one.get("connection") or {}).items()},
            **{f"parameter {key}": value for key, value in (one.get("parameters") or {}).items()},
            "protected by": one.get("protected_by"),
            "kept until": output.moment(one.get("purge_at")),
            "requested by": one.get("requested_by"),
            "created": output.moment(one.get("created_at")),
            "updated": output.moment(one.get("updated_at")),
            "last operation": f"{last['kind']} {last['state']} ({last['id']})" if last else None,
            "error": last.get("error"),
            "tried again": output.moment(last.get("retry_at")),
            "health": _health(health),
            "looked at": output.moment(health.get("checked_at")),
            **{f"drift {number}": sentence for number, sentence in enumerate(health.get("drift") or [], start=1)},
            "next repair": output.moment(health.get("next_repair_at")),
        }
    )
    out.line("")
    rows = [(b["name"], b["id"], b["state"], b["parameters"], output.moment(b["created_at"])) for b in one["bindings"]]
    out.table(("BINDING", "ID", "STATE", "PARAMETERS", "CREATED"), rows, empty="no bindings")
