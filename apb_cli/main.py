"""The application `apb`: its commands, and the one place where a failure becomes a sentence on stderr and an exit code."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from apb_cli import errors
from apb_cli.commands import (
    authoring,
    bindings,
    configuration,
    controller,
    database,
    doctor,
    instances,
    keeping,
    keys,
    marketplace,
    operating,
    operations,
    passwords,
    server,
)
from apb_cli.output import clean

USE_PANEL = "Use services"
OPERATE_PANEL = "Look after them"


class Commands(TyperGroup):
    """Ends with the exit code of a failure."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except errors.Failure as failure:
            raise _ended(failure) from None
        except (KeyboardInterrupt, typer.Abort):
            raise _ended(errors.Interrupted("interrupted")) from None


def _ended(failure: errors.Failure) -> typer.Exit:
    sys.stdout.flush()
    sys.stderr.write(f"apb: {clean(str(failure))}\n")
    sys.stderr.flush()
    return typer.Exit(int(failure.exit))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"apb {version('apb')}\n")
        raise typer.Exit


def _describe(
    _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Ansible Playbook Broker: stateful services by one call."""


def _application() -> typer.Typer:
    application = typer.Typer(
        name="apb",
        cls=Commands,
        callback=_describe,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        # Tracebacks with local variables would show passwords.
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
    )
    for group in (marketplace, instances, bindings, operations):
        group.register(application, USE_PANEL)
    operating.register(application, OPERATE_PANEL)
    keeping.register(application, OPERATE_PANEL)
    server.register(application)
    doctor.register(application)
    configuration.register(application)
    keys.register(application)
    database.register(application)
    passwords.register(application)
    authoring.register(application)
    controller.register(application)
    return application


app = _application()


def main() -> None:
    """The entry point."""
    app(prog_name="apb")


if __name__ == "__main__":
    main()
