"""`apb hash-password`: what an operator puts into a password_file so that the password itself stands nowhere."""

import getpass
import sys

import typer

from apb_cli import errors
from apb_cli.output import Output

PANEL = "Run a broker"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("hash-password", rich_help_panel=PANEL)(hash_password)


def hash_password() -> None:
    """Print the argon2id hash of a password, for a user's `password_file`. The password is asked for, or read from stdin."""
    from apb_broker.catalog import credentials, secret_files

    password = _asked() if sys.stdin.isatty() else _piped()
    if not password or len(password) > secret_files.MAX_CHARACTERS:
        wrong = "too long" if password else "empty"
        raise errors.Usage(f"the password is {wrong}: expected 1 to {secret_files.MAX_CHARACTERS} characters")
    Output().line(credentials.hash_password(password))


def _asked() -> str:
    """On the terminal itself: stdout may be a file that takes the hash."""
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise errors.Usage("these are two different passwords")
    return password


def _piped() -> str:
    """As a password file is read: without the last line break."""
    try:
        return sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise errors.Usage("the password on stdin is not UTF-8 text") from error
