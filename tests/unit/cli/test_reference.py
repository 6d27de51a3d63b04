"""docs/cli.md says what the application says."""

from pathlib import Path

import pytest
import typer

from apb_cli import errors, reference
from apb_cli.main import app

DOCUMENT = Path(__file__).parents[3] / "docs/cli.md"


def test_reference_is_that_of_the_application():
    """`python -m apb_cli.reference docs/cli.md` would change nothing."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == reference.rewritten(text)


def test_reference_has_all_exit_codes():
    """Each code has a meaning."""
    assert set(errors.MEANINGS) == set(errors.Exit)


COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_explain_everything(name):
    """Each command, argument and option has a help text, and each value a name."""
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert getattr(parameter, "is_flag", False) or parameter.metavar, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_help(name, apb):
    """`apb COMMAND --help` works."""
    assert apb(name, "--help").exit_code == 0
