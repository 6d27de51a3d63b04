"""What the user sees: tables and lines for people, one JSON or YAML document for programs. It knows no broker.

For people everything goes to stdout. With -o json or yaml stdout gets the final document only, and progress goes to stderr.
Colour, spinner and wrapping are for terminals only; elsewhere rows keep one line each, whatever their length.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED_WIDTH = 100_000
STYLES = {
    "ready": "green",
    "succeeded": "green",
    "failed": "red",
    "ok": "green",
    "failing": "red",
    "running": "yellow",
    "queued": "yellow",
    "provisioning": "yellow",
}

# A text from elsewhere must not steer the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Format(StrEnum):
    """How the result is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Output:
    """The output of one command."""

    def __init__(self, form: Format = Format.TABLE) -> None:
        self.form = form
        self._result = _Stream(sys.stdout)
        self._progress = self._result if form is Format.TABLE else _Stream(sys.stderr)

    def progress(self, text: str) -> None:
        """A line about what happens meanwhile."""
        self._progress.line(text)

    def note(self, text: str) -> None:
        """A line on stderr, whatever the format."""
        _Stream(sys.stderr).line(text)

    def working(self, text: str) -> contextlib.AbstractContextManager[Any]:
        """Shows on a terminal that something goes on."""
        if not self._progress.is_terminal:
            return contextlib.nullcontext()
        return self._progress.console().status(clean(text))

    def result(self, document: Callable[[], Any], show: Callable[[], None]) -> None:
        """The result: for programs the document, for people what `show` says. Only one of both is called."""
        if self.form is Format.JSON:
            self._result.raw(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
        elif self.form is Format.YAML:
            import yaml

            self._result.raw(yaml.safe_dump(document(), sort_keys=False, allow_unicode=True))
        else:
            show()

    def line(self, text: str) -> None:
        """A line of the result, for people."""
        self._result.line(text)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
        """Rows under headings; a sentence when there are none."""
        texts = [[_text(cell) for cell in row] for row in rows]
        if texts:
            self._result.table(headings, texts)
        else:
            self.line(empty)

    def fields(self, pairs: dict[str, Any], *, indent: int = 0) -> None:
        """Names and values, one pair a line; what has no value is left out. To the progress when results are for programs."""
        rows = [[" " * indent + name, _text(value)] for name, value in pairs.items() if value not in (None, "", {}, [])]
        if rows:
            self._progress.table(None, rows)


class _Stream:
    """stdout or stderr. rich is imported only where it is used."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.is_terminal = file.isatty() and os.environ.get("TERM") not in ("dumb", None)
        self._console: Console | None = None

    def console(self) -> Console:
        if self._console is None:
            from rich.console import Console

            plain = not self.is_terminal or bool(os.environ.get("NO_COLOR"))
            self._console = Console(
                file=self.file,
                force_terminal=self.is_terminal,
                color_system=None if plain else "auto",
                width=None if self.is_terminal else UNLIMITED_WIDTH,
                markup=False,
                highlight=False,
                emoji=False,
            )
        return self._console

    def line(self, text: str) -> None:
        if self._console is not None and self.is_terminal:
            self._console.print(clean(text), soft_wrap=True)  # above a running spinner
        else:
            self.raw(clean(text) + "\n")

    def raw(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()

    def table(self, headings: Sequence[str] | None, rows: list[list[str]]) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=headings is not None, header_style="bold")
        for heading in headings or rows[0]:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        console = self.console()
        with console.capture() as captured:
            console.print(table)
        self.raw("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))


def clean(text: str) -> str:
    """A text without what steers a terminal or hides in it."""
    return _CONTROL.sub("", text)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return _one_line(", ".join(f"{name}={_inner(inner)}" for name, inner in value.items())) or "-"
    if isinstance(value, list):
        return _one_line(", ".join(_inner(inner) for inner in value)) or "-"
    return _one_line(str(value))


def _one_line(text: str) -> str:
    return clean(text).replace("\n", " ")


def _inner(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def moment(text: str | None) -> str | None:
    """A broker's timestamp as local time."""
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def endpoint(connection: dict[str, Any] | None) -> str | None:
    """host:port of a connection, as far as it is known."""
    host, port = (connection or {}).get("host"), (connection or {}).get("port")
    if host is None:
        return None
    host = f"[{host}]" if ":" in str(host) else host
    return str(host) if port is None else f"{host}:{port}"
