"""Options that several commands share, and `connected`: the decorator that gives a client command its broker and its output."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from apb_cli.output import Format, Output

if TYPE_CHECKING:
    from apb_cli.http import Client

CONNECTION_PANEL = "Which broker"
P = ParamSpec("P")

Space = Annotated[str, typer.Option("--space", metavar="SPACE", help="The space that instance names are looked up in.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return as soon as the operation is accepted.")]
Parameters = Annotated[
    list[str],
    typer.Option(
        "-p", "--parameter", metavar="NAME=VALUE", help="A parameter: name=text, name:=json, or name@=FILE (text of a file, - for stdin)."
    ),
]
ParametersFile = Annotated[
    str | None, typer.Option("--parameters-file", metavar="FILE", help="Parameters as a JSON or YAML object; - for stdin. -p wins over it.")
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIRECTORY",
        help="Where state is kept. Default: $APB_STATE_DIR, else /var/lib/apb (root) or ~/.local/state/apb.",
    ),
]

OutputForm = Annotated[
    Format,
    typer.Option("-o", "--output", metavar="table|json|yaml", help="How the result is written; progress of json and yaml goes to stderr."),
]

_Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="URL of the broker. Default: $APB_URL, else the broker that `apb up` runs here.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
_Username = Annotated[
    str | None, typer.Option("--username", metavar="USER", help="Your user name. Default: $APB_USERNAME.", rich_help_panel=CONNECTION_PANEL)
]
_PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="A 0600 file whose first line is your password. Default: $APB_PASSWORD_FILE.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
_CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="Certificates (PEM) that vouch for an https URL instead of the system's. Default: $APB_CA_FILE.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]


@dataclass(frozen=True)
class Session:
    """What a client command works with."""

    client: "Client"
    out: Output


def connected(command: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """The command with options for broker and output in place of its first argument, the session."""

    @functools.wraps(command)
    def run(
        *, url: str | None, username: str | None, password_file: Path | None, ca_file: Path | None, output: Format, **given: Any
    ) -> None:
        # Imported by commands that speak HTTP only: httpx takes longer to import than all else of `apb --help`.
        from apb_cli import connection, http

        with http.Client(connection.find(url, username, password_file, ca_file)) as client:
            command(Session(client, Output(output)), **given)  # type: ignore[call-arg]

    own = list(inspect.signature(command).parameters.values())[1:]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + [
        _keyword("output", OutputForm, Format.TABLE),
        _keyword("url", _Url, None),
        _keyword("username", _Username, None),
        _keyword("password_file", _PasswordFile, None),
        _keyword("ca_file", _CaFile, None),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
