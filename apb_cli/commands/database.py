"""`apb database`: dump and restore the database of a state directory, and bring it to this release's tables."""

from pathlib import Path
from typing import Annotated

import typer

from apb_cli.commands.server import failing_in_a_sentence
from apb_cli.options import StateDir
from apb_cli.output import Output

PANEL = "Run a broker"
To = Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; replaced when it is there.")]
From = Annotated[Path, typer.Argument(metavar="FILE", help="What `apb database dump` or `pg_dump --format=custom` wrote.")]

group = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(group, name="database", help="The broker's database: dump, restore, migrate.", rich_help_panel=PANEL)


@group.callback()
def _database() -> None:
    """The broker's database: dump, restore, migrate."""


@group.command()
def dump(file: To, state_dir: StateDir = None) -> None:
    """Write a dump of the database, while the broker goes on. Secrets in it are sealed: keep the key file, and not beside it."""
    with failing_in_a_sentence():
        from apb_broker.machine import backup
        from apb_broker.machine.state import StateDirectory

        state = StateDirectory(state_dir)
        backup.dump(state, file)
    Output().line(f"{file} is written; it cannot be used without the keys in {state.key_file}, which is not in it")


@group.command()
def restore(file: From, state_dir: StateDir = None) -> None:
    """Fill an empty database from a dump, before `apb up`. Without DATABASE_URL that is the embedded one, made for it."""
    with failing_in_a_sentence():
        from apb_broker.machine import backup
        from apb_broker.machine.state import StateDirectory

        state = StateDirectory(state_dir)
        backup.restore(state, file)
    Output().line("the database is restored" + ("" if state.key_file.exists() else f"; now put the key file back: {state.key_file}"))


@group.command()
def migrate(state_dir: StateDir = None) -> None:
    """Bring the database to this release's tables. `apb up` does it; where only `apb serve` and `apb worker` run, this does."""
    with failing_in_a_sentence():
        from apb_broker.machine import backup
        from apb_broker.machine.state import StateDirectory

        backup.migrate(StateDirectory(state_dir).database_url())
    Output().line("the database has this release's tables")
