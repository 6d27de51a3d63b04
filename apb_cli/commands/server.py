"""`apb up`, `apb serve`, `apb worker`: the broker's processes. The broker is imported only here, only when one of them runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from apb_cli import errors
from apb_cli.options import StateDir
from apb_cli.output import Output

PANEL = "Run a broker"
Listen = Annotated[
    str | None, typer.Option("--listen", metavar="ADDRESS:PORT", help="Where to listen, at the first start. Default: 127.0.0.1:8780.")
]

Ports = Annotated[
    str | None,
    typer.Option("--ports", metavar="FIRST-LAST", help="Where instances get their ports, at the first start. Default: 21000-21999."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (up, serve, worker):
        app.command(rich_help_panel=PANEL)(command)


def up(state_dir: StateDir = None, listen: Listen = None, ports: Ports = None) -> None:
    """Run everything on this machine: database, broker and worker. Ctrl-C stops them; instances keep running."""
    with failing_in_a_sentence():
        from apb_broker.machine import up as machine

        code = machine.run_up(state_dir=state_dir, listen=listen, on_message=Output().line, ports=ports)
    raise typer.Exit(code)


def serve(state_dir: StateDir = None) -> None:
    """Run the broker's HTTP interfaces only. `apb up` does this for you; alone it needs DATABASE_URL or a running `apb up`."""
    with failing_in_a_sentence():
        from apb_broker import server

        server.serve(state_dir)


def worker(state_dir: StateDir = None) -> None:
    """Run one more worker, which carries operations out. `apb up` runs one already."""
    with failing_in_a_sentence():
        from apb_broker.worker import main as worker_main

        worker_main.run(state_dir)


@contextmanager
def failing_in_a_sentence() -> Iterator[None]:
    """What the operator can cure is one sentence on stderr; anything else keeps its traceback."""
    from apb_broker.catalog.errors import CatalogError, ConfigError
    from apb_broker.machine.errors import MachineError
    from apb_broker.storage.errors import StorageError

    try:
        yield
    except (CatalogError, ConfigError, MachineError, StorageError) as error:
        raise errors.Failure(str(error)) from error
