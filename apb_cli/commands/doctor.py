"""`apb doctor`: whether what exists on all targets is what the broker knows. It works on the state directory, as `apb worker` does."""

from typing import TYPE_CHECKING, Annotated

import typer

from apb_cli import errors
from apb_cli.commands.server import PANEL, failing_in_a_sentence
from apb_cli.options import OutputForm, StateDir
from apb_cli.output import Format, Output

if TYPE_CHECKING:
    from apb_broker.doctor.findings import Finding
    from apb_broker.doctor.main import Report

Remove = Annotated[bool, typer.Option("--remove/--report", help="Remove what is left over of what is gone, or only say what there is.")]
Unknown = Annotated[
    bool,
    typer.Option(
        "--unknown",
        help="With --remove: also what has a name of apb's and the broker does not remember. It may be of another broker, "
        "or newer than a copy of the database that was restored.",
    ),
]
COLUMNS = ("FINDING", "THING", "NAME", "WHERE", "WHAT IS KNOWN")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel=PANEL)(doctor)


def doctor(remove: Remove = False, unknown: Unknown = False, state_dir: StateDir = None, output: OutputForm = Format.TABLE) -> None:
    """Compare what the broker knows with what exists on all targets. Exit code 0: nothing found, 7: something, 1: not all could be seen."""
    if unknown and not remove:
        raise errors.Usage("--unknown says what to remove: give --remove too")
    out = Output(output)
    with failing_in_a_sentence():
        from apb_broker.doctor import main

        report = main.run(state_dir, remove=remove, unknown=unknown)
    out.result(lambda: report.document, lambda: _show(out, report))
    _end(report)


def _show(out: Output, report: "Report") -> None:
    if report.removed:
        out.table(COLUMNS, [("removed", *_row(one)[1:]) for one in report.removed], empty="")
    for problem in report.problems:
        out.line(f"not removed: {problem}")
    for sentence in report.examination.unseen:
        out.line(f"could not be looked at: {sentence}")
    for sentence in report.examination.blind:
        out.line(sentence)
    out.table(COLUMNS, [_row(one) for one in report.examination.findings], empty="everything is as the broker knows it")


def _row(one: "Finding") -> tuple[str, ...]:
    return ("unknown" if one.sort == "leftover" and not one.is_ours else one.sort, one.thing, one.name, one.where, one.text)


def _end(report: "Report") -> None:
    found, unseen = len(report.examination.findings), len(report.examination.unseen)
    if found:
        raise errors.Found(f"{found} {'thing is' if found == 1 else 'things are'} not as the broker knows it")
    if unseen:
        raise errors.Failure(f"{unseen} {'place' if unseen == 1 else 'places'} could not be looked at")
