"""What `apb unbind` and `apb deprovision` share: the same request, the same ending."""

from typing import Any

from apb_cli import waiting
from apb_cli.options import Session


def carry_out(session: Session, instance: dict[str, Any], path: str, text: str, done: str, *, no_wait: bool) -> None:
    """Asks for the removal of what `path` names and waits for it. The result for programs is the operation, or null when it was gone."""
    client, out = session.client, session.out
    operation_id = client.remove(path, instance)
    if operation_id is None:
        out.result(lambda: None, lambda: out.line(done))
        return
    out.progress(f"accepted: {text} (operation {operation_id})")
    closing = waiting.settle(client, out, waiting.Pending(operation_id, path, text, removes=True), done, no_wait=no_wait)
    out.result(lambda: client.operation(operation_id), lambda: out.line(closing))
