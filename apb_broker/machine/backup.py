"""Dumps of a state directory's database, by PostgreSQL's own programs, and what they are restored into: an empty database.

What is sealed stays sealed: key files are kept apart, by the operator. The instances' own data is on their hosts.
"""

import contextlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from psycopg import conninfo

from apb_broker.machine import files, software
from apb_broker.machine.errors import DatabaseError
from apb_broker.machine.postgres import nothing
from apb_broker.machine.state import StateDirectory

DUMP = ("pg_dump", "--format=custom", "--no-owner", "--no-privileges")
RESTORE = ("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")


def dump(state: StateDirectory, file: Path) -> None:
    """Writes `file` (0600), complete or not at all, from a database that answers. Raises DatabaseError."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as written:
            _run(DUMP, state.database_url(), stdout=written)
            os.fsync(written.fileno())
        temporary.rename(file)
    except OSError as error:
        raise DatabaseError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    files.sync_directory(file.absolute().parent)


def restore(state: StateDirectory, file: Path) -> None:
    """Fills the empty database of a state directory, and brings it to this release. Raises MachineError, also while `apb up` runs."""
    if not file.is_file():
        raise DatabaseError(f"there is no file {file}")
    state.create()
    with state.lock(), _running(state) as url:
        _refuse_tables(state, url)
        with file.open("rb") as read:
            _run(RESTORE, url, stdin=read)
        migrate(url)


def migrate(url: str) -> None:
    """Brings a database to this release's tables, and its epoch up to the clock. Raises DatabaseError."""
    from apb_broker.storage.migrate import migrate as run  # late: commands that touch no database do not pay for it

    try:
        run(url)
    except Exception as error:
        raise DatabaseError(f"the database cannot be brought to this release: {type(error).__name__}") from error


@contextlib.contextmanager
def _running(state: StateDirectory) -> Iterator[str]:
    """The operator's own database, or the embedded one, made and started for as long as it takes."""
    url = state.external_database_url()
    if url is not None:
        yield url
        return
    server = state.embedded()
    try:
        yield server.start(nothing)
    finally:
        server.stop()


def _refuse_tables(state: StateDirectory, url: str) -> None:
    from apb_broker.storage.migrate import revision

    try:
        found = revision(url)
    except Exception as error:
        raise DatabaseError(f"the database cannot be used now: {type(error).__name__}") from error
    if found is not None:
        cure = f"move {state.postgres} away" if state.external_database_url() is None else "name another one in DATABASE_URL"
        raise DatabaseError(f"the database has tables of apb already, and nothing is overwritten: {cure}")


def _run(command: Sequence[str], url: str, **streams: Any) -> None:
    """One of PostgreSQL's programs on that database. A password reaches it in a file, never as an argument."""
    with connection(url) as words:
        program = str(software.client_program(command[0]))
        done = subprocess.run(  # noqa: S603 - our own programs
            [program, *command[1:], "--no-password", f"--dbname={words}"], stderr=subprocess.PIPE, text=True, check=False, **streams
        )
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error:" in line), "it gives no reason")
        raise DatabaseError(f"{command[0]} ended with code {done.returncode}: {reason.partition('error: ')[2] or reason}")


@contextlib.contextmanager
def connection(url: str) -> Iterator[str]:
    """libpq's words for a database URL, the password in a file of ours."""
    words: dict[str, Any] = conninfo.conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    password = words.pop("password", None)
    if password is None:
        yield conninfo.make_conninfo(**words)
        return
    with tempfile.TemporaryDirectory(prefix="apb-") as directory:
        passfile = Path(directory) / "passfile"
        escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
        files.write_private(passfile, f"*:*:*:*:{escaped}\n")
        yield conninfo.make_conninfo(**{**words, "passfile": str(passfile)})
