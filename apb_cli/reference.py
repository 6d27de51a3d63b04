"""The part of docs/cli.md that follows from the application: `python -m apb_cli.reference docs/cli.md` writes it anew.

A test compares both. What stands before the first mark is written by people.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from apb_cli import errors
from apb_cli.main import app
from apb_cli.options import CONNECTION_PANEL

MARK = "<!-- from here on written by: python -m apb_cli.reference docs/cli.md -->"
SHARED = ("--url", "--username", "--password-file", "--ca-file", "--output", "--space", "--no-wait", "--parameter", "--parameters-file")


def render() -> str:
    """Exit codes, shared options and commands as Markdown."""
    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)  # noqa: S101 - a Typer with commands makes a group
    commands = dict(_commands(root))
    shared = {
        option: parameter for command in commands.values() for parameter in command.params for option in parameter.opts if option in SHARED
    }
    parts = [
        MARK,
        "## Exit codes",
        _table(("code", "meaning"), [(str(int(code)), meaning) for code, meaning in errors.MEANINGS.items()]),
        "## Options of several commands",
        _options([shared[option] for option in SHARED]),
        "## Commands",
    ]
    for name, command in commands.items():
        parts += _command(name, command, shared)
    return "\n\n".join(parts) + "\n"


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Commands by the words that call them; those of a group have two."""
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _command(name: str, command: Any, shared: dict[str, Any]) -> list[str]:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    # What is called the same may mean something else in one command.
    own = [option for option in options if _longest(option) not in shared or shared[_longest(option)].help != option.help]
    also = [f"`{_longest(option)}`" for option in options if option not in own and option.rich_help_panel != CONNECTION_PANEL]
    words = " ".join(_placeholder(argument) for argument in arguments)
    parts = [f"### apb {name}", f"`apb {name}{' ' + words if words else ''}`", command.help]
    if arguments:
        parts.append(_table(("argument", "meaning"), [(f"`{_name(argument)}`", argument.help or "") for argument in arguments]))
    if own:
        parts.append(_options(own))
    if also:
        is_client = any(option.rich_help_panel == CONNECTION_PANEL for option in options)
        parts.append("Also: " + ", ".join(also) + (", and which broker." if is_client else "."))
    return parts


def _options(options: list[Any]) -> str:
    return _table(("option", "meaning", "default"), [(_spelled(option), option.help or "", _default(option)) for option in options])


def _spelled(option: Any) -> str:
    value = f" {option.metavar}" if option.metavar else ""
    return ", ".join(f"`{name}`" for name in sorted(option.opts, key=len)).removesuffix("`") + f"{value}`"


def _longest(option: Any) -> str:
    return str(max(option.opts, key=len))


def _default(option: Any) -> str:
    return "" if option.default in (None, False, [], ()) else f"`{getattr(option.default, 'value', option.default)}`"


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name).upper()


def _placeholder(argument: Any) -> str:
    return _name(argument) if argument.required else f"[{_name(argument)}]"


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def rewritten(document: str) -> str:
    """The document with its generated part made anew."""
    return document.partition(MARK)[0] + render()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
