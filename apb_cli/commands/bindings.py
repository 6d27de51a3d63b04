"""`apb bind`, `rotate`, `credentials`, `unbind`."""

import uuid
from typing import Annotated, Any

import typer

from apb_cli import errors, names, parameters, waiting
from apb_cli.commands import removal
from apb_cli.options import NoWait, Parameters, ParametersFile, Session, Space, connected

Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="Name or id of the instance.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="How the binding shall be called, such as the application it is for.")]
Binding = Annotated[str, typer.Argument(metavar="BINDING", help="Name or id of the binding.")]


def register(app: typer.Typer, panel: str) -> None:
    """Adds the commands."""
    for command in (bind, rotate, credentials, unbind):
        app.command(rich_help_panel=panel)(connected(command))


def bind(
    session: Session,
    instance: Instance,
    name: NewName,
    given: Parameters = [],  # noqa: B006 - Typer's way to say "repeatable"
    parameters_file: ParametersFile = None,
    space: Space = "default",
    no_wait: NoWait = False,
) -> None:
    """Make an account of its own on an instance and show its credentials."""
    found = names.instance(session.client, instance, space)
    schema = names.schema_of(session.client.catalog(), found["plan_id"], "service_binding", "create")
    values = parameters.gather(given, parameters_file, schema)
    _make(session, found, name, {"parameters": values}, space, no_wait=no_wait)


def rotate(
    session: Session, instance: Instance, binding: Binding, name: NewName, space: Space = "default", no_wait: NoWait = False
) -> None:
    """Make a successor to a binding: an account with the same rights and a new password. The old one works until it is unbound."""
    found = names.instance(session.client, instance, space)
    predecessor = names.binding(found, binding)
    _make(session, found, name, {"predecessor_binding_id": predecessor["id"]}, space, no_wait=no_wait)


def _make(session: Session, found: dict[str, Any], name: str, asked: dict[str, Any], space: str, *, no_wait: bool) -> None:
    """Sends the bind, waits for it and shows what it gave."""
    client, out = session.client, session.out
    _require_free(found, name)
    binding_id = str(uuid.uuid4())
    path, text = client.binding_path(found["id"], binding_id), f"bind of '{name}' to '{names.label(found)}'"
    body = {
        "service_id": found["service_id"],
        "plan_id": found["plan_id"],
        "context": {"platform": names.PLATFORM, "binding_name": name},
        **asked,
    }
    operation_id = client.change("PUT", path, body=body).body.get("operation")
    if operation_id:
        out.progress(f"accepted: {text} (operation {operation_id})")
        closing = waiting.settle(client, out, waiting.Pending(operation_id, path, text), f"'{name}' is bound", no_wait=no_wait)
        out.progress(closing)
    shown = {} if operation_id and no_wait else client.credentials(found["id"], binding_id)
    out.result(lambda: _document(names.instance(client, found["id"], space), binding_id, shown), lambda: out.fields(shown))


def _require_free(instance: dict[str, Any], name: str) -> None:
    if not name.strip():
        raise errors.Usage("the name of a binding cannot be empty")
    label = names.label(instance)
    for taken in instance["bindings"]:
        if taken["name"] == name:
            raise errors.Refused(
                f"instance '{label}' has a binding '{name}' already ({taken['state']}): "
                f"choose another name, or `apb unbind {label} {name}` first"
            )


def _document(instance: dict[str, Any], binding_id: str, shown: dict[str, Any]) -> dict[str, Any]:
    binding = next((dict(binding) for binding in instance["bindings"] if binding["id"] == binding_id), {"id": binding_id})
    return {**binding, "instance": {"id": instance["id"], "name": instance["name"]}, "credentials": shown or None}


def credentials(session: Session, instance: Instance, binding: Binding, space: Space = "default") -> None:
    """Show the credentials of a binding, passwords included."""
    found = names.instance(session.client, instance, space)
    bound = names.binding(found, binding)
    shown = session.client.credentials(found["id"], bound["id"])
    session.out.result(lambda: shown, lambda: session.out.fields(shown))


def unbind(session: Session, instance: Instance, binding: Binding, space: Space = "default", no_wait: NoWait = False) -> None:
    """Remove a binding and its account."""
    found = names.instance(session.client, instance, space)
    bound = names.binding(found, binding)
    label, path = names.label(bound), session.client.binding_path(found["id"], bound["id"])
    text = f"unbind of '{label}' from '{names.label(found)}'"
    removal.carry_out(session, found, path, text, f"'{label}' is unbound", no_wait=no_wait)
