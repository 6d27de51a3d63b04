"""`apb retry`, `cancel`, `forget`, `audit`: what operators do by hand, and who did what."""

from typing import Annotated, Any

import typer

from apb_cli import names, output
from apb_cli.commands import confirmation
from apb_cli.options import Session, Space, connected

Operation = Annotated[str, typer.Argument(metavar="OPERATION", help="Id of the operation.")]
Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="Name or id of the instance.")]
OfInstance = Annotated[
    str | None, typer.Option("--instance", metavar="ID", help="Only what concerns this instance (its id).", show_default=False)
]
Limit = Annotated[int, typer.Option("--limit", metavar="NUMBER", min=1, max=1000, help="How many, newest first.")]


def register(app: typer.Typer, panel: str) -> None:
    """Adds the commands."""
    for command in (retry, cancel, forget, audit):
        app.command(rich_help_panel=panel)(connected(command))


def retry(session: Session, operation: Operation) -> None:
    """Run a failed operation again, as a new one; or at once what waits to be run again."""
    found = session.client.intervene("operations", operation, "retry")
    session.out.result(
        lambda: found, lambda: session.out.line(f"{found['kind']} is queued (operation {found['id']}): apb logs -f {found['id']}")
    )


def cancel(session: Session, operation: Operation) -> None:
    """Cancel an operation: one that is queued ends, one that runs is halted by its worker."""
    found = session.client.intervene("operations", operation, "cancel")
    ending = "is to be halted" if found["state"] == "running" else "is canceled"
    session.out.result(lambda: found, lambda: session.out.line(f"{found['kind']} (operation {found['id']}) {ending}"))


def forget(session: Session, instance: Instance, space: Space = "default", yes: confirmation.Yes = False) -> None:
    """Forget an instance whose removal failed for good. Nothing is removed anywhere; its ports are given to others."""
    found = names.instance(session.client, instance, space)
    question = f"Forget '{names.label(found)}', whatever is left of it on {found['connection'].get('host', 'its host')}?"
    confirmation.require(question, yes=yes, otherwise="nothing is forgotten")
    left = session.client.intervene("instances", found["id"], "forget")

    def show() -> None:
        session.out.line(f"instance '{names.label(found)}' is forgotten; what may be left of it:")
        session.out.fields({name: left[name] for name in ("names", "placement", "ports", "usernames")})

    session.out.result(lambda: left, show)


def audit(session: Session, instance: OfInstance = None, limit: Limit = 20) -> None:
    """Show who did what, newest first: what was accepted, how it ended, who was given credentials."""
    found = session.client.audit(instance_id=instance, limit=limit)
    session.out.result(lambda: found, lambda: _show(session.out, found))


def _show(out: output.Output, found: list[dict[str, Any]]) -> None:
    rows = [
        (
            output.moment(one["at"]),
            one["principal"],
            one["requested_by"],
            one["action"],
            one["outcome"],
            one["instance_id"],
            one["binding_id"],
            one["detail"],
        )
        for one in found
    ]
    out.table(("AT", "PRINCIPAL", "BY", "ACTION", "OUTCOME", "INSTANCE", "BINDING", "DETAIL"), rows, empty="nothing was done yet")
