"""Asking before what cannot be taken back."""

import sys
from typing import Annotated

import typer

from apb_cli import errors

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def require(question: str, *, yes: bool, otherwise: str) -> None:
    """Goes on only when a person says yes, or has said `--yes`. Raises Usage where nobody can be asked, Failure(otherwise) for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise errors.Usage(f"nobody is here to confirm: {question} Give --yes")
    if not typer.confirm(question, err=True):
        raise errors.Failure(otherwise)
