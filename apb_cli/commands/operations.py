"""`apb operations`, `apb logs`: what was done, and how it goes."""

import uuid
from datetime import datetime
from typing import Annotated, Any

import typer

from apb_cli import errors, names, output, waiting
from apb_cli.options import Session, Space, connected

Instance = Annotated[
    str | None, typer.Option("--instance", metavar="NAME", help="Only those of this instance (name or id).", show_default=False)
]
Limit = Annotated[int, typer.Option("--limit", metavar="NUMBER", min=1, max=1000, help="How many, newest first.")]
Subject = Annotated[
    str, typer.Argument(metavar="OPERATION|INSTANCE", help="Id of an operation, or name or id of an instance for its last one.")
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the operation has ended; exit code 1 when it failed.")]


def register(app: typer.Typer, panel: str) -> None:
    """Adds the commands."""
    for command in (operations, logs):
        app.command(rich_help_panel=panel)(connected(command))


def operations(session: Session, instance: Instance = None, space: Space = "default", limit: Limit = 20) -> None:
    """List operations, newest first. They outlive their instances, which are then named by their ids."""
    instance_id = None if instance is None else _instance_id(session, instance, space)
    found = session.client.operations(instance_id=instance_id, limit=limit)
    session.out.result(lambda: found, lambda: _show(session.out, found))


def _instance_id(session: Session, name: str, space: str) -> str:
    try:
        return str(names.instance(session.client, name, space)["id"])
    except errors.NotFound:
        if _is_uuid(name):
            return name
        raise


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _show(out: output.Output, found: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["id"],
            one["kind"],
            names.label({"name": one["instance_name"], "id": one["instance_id"]}),
            one["state"],
            output.moment(one["created_at"]),
            _seconds(one["started_at"], one["finished_at"]),
            one["requested_by"],
            one["error"] or one["description"],
            output.moment(one.get("retry_at")),
        )
        for one in found
    ]
    headings = ("OPERATION", "KIND", "INSTANCE", "STATE", "ACCEPTED", "TOOK", "BY", "LAST MESSAGE", "TRIED AGAIN")
    out.table(headings, rows, empty="there are no operations")


def _seconds(started: str | None, finished: str | None) -> str | None:
    if started is None or finished is None:
        return None
    return f"{(datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds():.1f} s"


def logs(session: Session, subject: Subject, follow: Follow = False, space: Space = "default") -> None:
    """Show the log of an operation: the names of its tasks as they run."""
    client, out = session.client, session.out
    operation = _operation(session, subject, space)
    if follow:
        _follow(session, operation)
        return
    log = client.log(operation["id"], after=0)

    def show() -> None:
        for line in log["lines"]:
            out.line(f"{output.moment(line['at'])}  {line['text']}")
        if operation["error"]:
            out.line(f"{operation['state']}: {operation['error']}")

    out.result(lambda: {"operation": operation, "lines": log["lines"]}, show)


def _operation(session: Session, subject: str, space: str) -> dict[str, Any]:
    try:
        return session.client.operation(subject)
    except errors.NotFound:
        pass
    try:
        last = names.instance(session.client, subject, space).get("operation")
    except errors.NotFound:
        raise errors.NotFound(f"there is no operation '{subject}', and no instance of that name in space '{space}'") from None
    if last is None:
        raise errors.NotFound(f"instance '{subject}' has no operation yet")
    return dict(last)


def _follow(session: Session, operation: dict[str, Any]) -> None:
    client, out, operation_id = session.client, session.out, operation["id"]
    text = f"{operation['kind']} of '{names.label({'name': operation['instance_name'], 'id': operation['instance_id']})}'"
    try:
        with out.working(f"{text} …"):
            state, _ = waiting.follow(client, out, operation_id)
    except KeyboardInterrupt as error:
        raise errors.Interrupted(f"interrupted; the operation is not affected. Look again with: apb logs -f {operation_id}") from error
    ended = waiting.patiently(out, lambda: client.operation(operation_id))
    if state == "failed":
        raise errors.Failure(f"{text} failed: {ended['error'] or 'no reason is given'}")
    out.result(lambda: {"operation": ended, "lines": client.log(operation_id, after=0)["lines"]}, lambda: out.line(f"{text} {state}"))
