"""`apb config check`: whether an apb.yml will do, before a broker is started with it."""

from pathlib import Path
from typing import Annotated

import typer

from apb_cli import errors
from apb_cli.options import OutputForm, StateDir
from apb_cli.output import Format, Output

PANEL = "Run a broker"
File = Annotated[Path | None, typer.Argument(metavar="FILE", help="The file. Default: apb.yml of the state directory.")]

group = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(group, name="config", help="The broker's configuration.", rich_help_panel=PANEL)


@group.callback()
def _config() -> None:
    """The broker's configuration."""


@group.command()
def check(file: File = None, state_dir: StateDir = None, output: OutputForm = Format.TABLE) -> None:
    """Say what is wrong with apb.yml, all at once, and what it offers. Exit code 1 when anything is wrong, warnings aside."""
    from apb_broker.catalog import check as checks
    from apb_broker.execution import inventories
    from apb_broker.machine.state import StateDirectory

    report = checks.check(file or StateDirectory(state_dir).config_file, inventories.hosts_of)
    out = Output(output)

    def show() -> None:
        for line in report.mistakes:
            out.line(line)
        for line in report.warnings:
            out.line(f"{line} (warning)")
        if not report.mistakes:
            rows = [checks.offer_document(offer) for offer in report.offers]
            columns = ("service", "plan", "mode", "targets", "places")
            out.table([name.upper() for name in columns], [[row[name] for name in columns] for row in rows], empty="nothing is offered")

    out.result(report.document, show)
    if report.mistakes:
        count = len(report.mistakes)
        raise errors.Failure(f"{count} {'mistake' if count == 1 else 'mistakes'}: the broker would not work with this file")
