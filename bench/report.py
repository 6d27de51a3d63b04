"""What all commands here have in common: their options, medians and ratios, one JSON report, and the same report as a table for people."""

import argparse
import json
import os
import platform
import signal
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from apb_broker.execution import executors

EXECUTORS = tuple(name for name in executors.NAMES if name != "scripted")
"""Those that run playbooks."""

Report = dict[str, Any]
Name = TypeVar("Name")


def parser(name: str, doc: str | None, *, rounds: int, warm_up: int = 1) -> argparse.ArgumentParser:
    """The options that all have."""
    made = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=(doc or "").splitlines()[0])
    made.add_argument("--rounds", type=int, default=rounds, help="of all turns")
    made.add_argument("--warm-up", type=int, default=warm_up, help="rounds before these, which do not count")
    made.add_argument("--json", type=Path, help="write the report there instead of to stdout")
    return made


def add_executors(to: argparse.ArgumentParser) -> None:
    """Which executors are measured."""
    to.add_argument("--executors", nargs="+", choices=EXECUTORS, default=list(EXECUTORS))


def settings(options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """What a report says of how it was made."""
    given = {name: value for name, value in vars(options).items() if name != "json"}
    return {**given, **more, "python": platform.python_version(), "processors": os.cpu_count()}


def command(options: argparse.Namespace, run: Callable[[argparse.Namespace], Report], table: Callable[[Report], str]) -> None:
    """Measures and tells. Whoever ends it by SIGTERM gets what it has started ended, as by Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tell(run(options), table, options)


def tell(report: Report, table: Callable[[Report], str], options: argparse.Namespace) -> None:
    """The report as JSON, to a file or to stdout, and for people, where the JSON is not."""
    text = json.dumps(report, indent=2, default=str)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n")
    else:
        print(text)
    print(table(json.loads(text)), file=sys.stderr if options.json is None else sys.stdout)


def turns(names: Sequence[Name], number: int) -> list[Name]:
    """Who comes when in a round: each is first in its turn, so that nobody is always measured after the same neighbour."""
    shift = number % len(names)
    return [*names[shift:], *names[:shift]]


def medians(rounds: Iterable[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    found = list(rounds)
    return {name: round(statistics.median(each[name] for each in found), 4) for name in found[0]}


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> dict[str, Any]:
    """The median of the rounds' ratios, and all of them: they show how far to trust it."""
    single = [round(one / other, 3) for one, other in zip(ours, theirs, strict=True)]
    return {"ratio": round(statistics.median(single), 3), "ratios": single}


def verdict(*, met: bool) -> str:
    """How a target was done by, in the table."""
    return "met" if met else "MISSED"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns: the first one to the left, figures to the right, words of more than one to the left again."""
    lines = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    left = [
        column == 0 or any(" " in line[column] and line[column][-1:].isalpha() for line in lines[1:]) for column in range(len(headings))
    ]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width) for cell, width, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )
