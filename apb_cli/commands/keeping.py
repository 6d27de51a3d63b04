"""`apb protect`, `unprotect`, `restore-instance`, `purge`: what becomes of instances that platforms delete."""

from typing import Annotated, Any

import typer

from apb_cli import names, waiting
from apb_cli.commands import confirmation
from apb_cli.options import NoWait, Session, Space, connected

Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="Name or id of the instance.")]


def register(app: typer.Typer, panel: str) -> None:
    """Adds the commands."""
    for command in (protect, unprotect, restore_instance, purge):
        app.command(rich_help_panel=panel)(connected(command))


def protect(session: Session, instance: Instance, space: Space = "default") -> None:
    """Protect an instance from deletion by its platform, whatever its plan says. One that is kept is not removed while it is protected."""
    _say(session, instance, space, "protect", "is protected from deletion")


def unprotect(session: Session, instance: Instance, space: Space = "default") -> None:
    """Let an instance be deleted by its platform, whatever its plan says."""
    _say(session, instance, space, "unprotect", "can be deleted")


def _say(session: Session, instance: str, space: str, action: str, told: str) -> None:
    found = names.instance(session.client, instance, space)
    after = session.client.intervene("instances", found["id"], action)
    session.out.result(lambda: after, lambda: session.out.line(f"'{names.label(after)}' {told}"))


def restore_instance(session: Session, instance: Instance, space: Space = "default", no_wait: NoWait = False) -> None:
    """Give an instance that was deleted and is kept back to its owner, with its data. Its former bindings stay gone."""
    found = names.instance(session.client, instance, space)
    _carry_out(session, found, "restore", f"restore of '{names.label(found)}'", f"'{names.label(found)}' is ready again", no_wait=no_wait)


def purge(session: Session, instance: Instance, space: Space = "default", yes: confirmation.Yes = False, no_wait: NoWait = False) -> None:
    """Remove for good what was deleted and is kept, or could not be stopped."""
    found = names.instance(session.client, instance, space)
    label = names.label(found)
    confirmation.require(f"Remove what is kept of '{label}' for good?", yes=yes, otherwise="nothing is removed")
    _carry_out(session, found, "purge", f"purge of '{label}'", f"'{label}' is removed for good", no_wait=no_wait)


def _carry_out(session: Session, found: dict[str, Any], action: str, text: str, done: str, *, no_wait: bool) -> None:
    client, out = session.client, session.out
    operation_id = client.intervene("instances", found["id"], action)["id"]
    out.progress(f"accepted: {text} (operation {operation_id})")
    closing = waiting.settle(client, out, waiting.Pending(operation_id, None, text), done, no_wait=no_wait)
    out.result(lambda: client.operation(operation_id), lambda: out.line(closing))
