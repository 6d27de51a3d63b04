"""`apb lint`, `apb init`: aids for people who write services. They need no broker, and import their work only when they run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apb_cli import errors
from apb_cli.options import OutputForm
from apb_cli.output import Format, Output

if TYPE_CHECKING:
    from apb_broker.authoring import scaffold as scaffolds

PANEL = "Write services"

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH...", help="Roles, collections, or folders of roles. Default: the role, collection or folder of roles you are in."
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the role: lower-case letters, digits and underscores.")]
Collection = Annotated[
    Path | None, typer.Option("--collection", metavar="DIRECTORY", help="The collection it belongs to. Default: the one you are in.")
]
ServicesPath = Annotated[
    Path | None,
    typer.Option("--services-path", metavar="DIRECTORY", help="A folder of roles instead, which `services_path` in apb.yml names."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (init, lint):
        app.command(rich_help_panel=PANEL)(command)


def init(name: Name, collection: Collection = None, services_path: ServicesPath = None) -> None:
    """Write a small service that works, for you to change: its accounts are files. It passes `apb lint` and ansible-lint."""
    from apb_broker.authoring import lint as authoring
    from apb_broker.authoring import scaffold

    try:
        made = scaffold.make(name, collection=collection, services_path=services_path)
    except scaffold.CannotInit as error:
        raise errors.Usage(str(error)) from error
    out = Output()
    role = authoring.shown_path(made.role.absolute())
    out.line(f"{role}: a service that works, in {len(made.files)} files; begin with {role}/meta/service.yml")
    out.line("Next:")
    for command in _next(made, role):
        out.line(f"  {command}")


def _next(made: "scaffolds.Made", role: str) -> list[str]:
    return [
        f"apb lint {role}",
        f"ansible-playbook apb.catalog.provision -e apb_service={role} -e apb_plan={made.service}-small -e apb_name=first",
        f"apb provision {made.service} small first     # after naming {made.apb_name} in apb.yml: roles, offers"
        + ("" if made.collection else " and services_path"),
    ]


def lint(paths: Paths = None, output: OutputForm = Format.TABLE) -> None:
    """Check that services keep the contract: one line for each mistake, with the cure. Exit code 1 when there are any, warnings aside."""
    from apb_broker.authoring import lint as authoring
    from apb_broker.authoring import role as roles

    try:
        found = roles.find(paths or [])
    except roles.NothingFound as error:
        raise errors.Usage(str(error)) from error
    lines = authoring.check(found)
    out = Output(output)

    def show() -> None:
        for line in lines:
            out.line(str(line))

    out.result(lambda: [line.document() for line in lines], show)
    mistakes = sum(not line.is_warning for line in lines)
    services = f"{len(found)} {'service' if len(found) == 1 else 'services'}"
    if mistakes:
        raise errors.Failure(f"{mistakes} {'mistake' if mistakes == 1 else 'mistakes'} in {services}")
    out.note(f"{services}: {'no mistakes' if lines else 'nothing to say'}")
