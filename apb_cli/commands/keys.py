"""`apb keys`: the keys that sealed values are sealed with. These commands work on the state directory, not through the broker."""

from typing import Annotated, Any

import typer

from apb_cli import errors
from apb_cli.commands import confirmation
from apb_cli.commands.server import failing_in_a_sentence
from apb_cli.options import OutputForm, StateDir
from apb_cli.output import Format, Output, moment

PANEL = "Run a broker"
Label = Annotated[str, typer.Argument(metavar="LABEL", help="What the key is called.")]
NewLabel = Annotated[str | None, typer.Argument(metavar="LABEL", help="What the key is to be called. Default: key- and the next number.")]

group = typer.Typer(no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(group, name="keys", help="The keys that secrets in the database are sealed with.", rich_help_panel=PANEL)


@group.callback()
def _keys() -> None:
    """The keys that secrets in the database are sealed with."""


@group.command("list")
def list_(state_dir: StateDir = None, output: OutputForm = Format.TABLE) -> None:
    """Show which keys there are, which one seals, how many values are sealed with each, and who has not got it."""
    out = Output(output)
    with failing_in_a_sentence():
        from apb_broker import keyring

        with keyring.of_machine(state_dir) as keys:
            found = keys.standings()

    def show() -> None:
        rows = [
            (one.label, one.seals, moment(one.seals_since), moment(one.registered_at), one.values, one.here, list(one.missing_at))
            for one in found
        ]
        out.table(("LABEL", "SEALS", "SINCE", "REGISTERED", "VALUES", "HERE", "MISSING AT"), rows, empty="there is no key")

    out.result(lambda: [one.document() for one in found], show)


@group.command()
def add(label: NewLabel = None, state_dir: StateDir = None, output: OutputForm = Format.TABLE) -> None:
    """Make a new key in this machine's key file. It seals nothing until `apb keys rotate`; copy its line to the other machines first."""
    out = Output(output)
    with failing_in_a_sentence():
        from apb_broker import keyring

        with keyring.of_machine(state_dir) as keys:
            made = keys.add(label)
            file = str(keys.file)

    def show() -> None:
        out.line(f"key '{made}' is in {file}: back this file up, copy that line to every other machine of this database,")
        out.line(f"then: apb keys rotate {made}")

    out.result(lambda: {"label": made, "file": file}, show)


@group.command()
def rotate(label: Label, state_dir: StateDir = None, output: OutputForm = Format.TABLE) -> None:
    """Seal everything with this key: what is written from now on, and all that there is, while the broker goes on. May be run again."""
    out = Output(output)
    told: dict[str, int] = {}

    def say(done: int, total: int) -> None:
        if total == 0 or done == told.get("values"):
            return
        told["values"] = done
        out.progress(f"{done} of {total} values are sealed with key '{label}'")

    with failing_in_a_sentence():
        from apb_broker import keyring

        with keyring.of_machine(state_dir) as keys:
            failed = keys.rotate(label, say)
    for sentence in failed:
        out.note(sentence)
    document: dict[str, Any] = {"label": label, "values": told.get("values", 0), "failed": failed}
    out.result(lambda: document, lambda: out.line(f"key '{label}' seals; {document['values']} values were sealed anew"))
    if failed:
        raise errors.Failure(f"{len(failed)} values do not open and stay as they are: remove what they belong to")


@group.command()
def remove(label: Label, state_dir: StateDir = None, yes: confirmation.Yes = False, output: OutputForm = Format.TABLE) -> None:
    """Forget a key that nothing is sealed with, and take it out of this machine's key file. Older backups cannot be used without it."""
    confirmation.require(
        f"Remove key '{label}'? Dumps of the database that were made while it sealed cannot be used without it.",
        yes=yes,
        otherwise="nothing is removed",
    )
    out = Output(output)
    with failing_in_a_sentence():
        from apb_broker import keyring

        with keyring.of_machine(state_dir) as keys:
            was_here = keys.remove(label)
    where = "and taken out of this machine's key file" if was_here else "; this machine's key file has not got it"
    out.result(lambda: {"label": label, "was_here": was_here}, lambda: out.line(f"key '{label}' is forgotten {where}"))
