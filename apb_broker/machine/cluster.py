"""A new PostgreSQL data directory, with the role and the database of the broker in it: there complete, or not there at all.

Everything happens under a temporary name, without a server: initdb, then the single-user mode, then one sync and a rename.
"""

import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from apb_broker.machine import files, processes, software
from apb_broker.machine.accounts import Account
from apb_broker.machine.errors import DatabaseError

ROLE = "apb"  # and its database of the same name; no superuser
SUPERUSER = "postgres"
TEMPORARY_PREFIX = "data.new-"
LEFTOVERS_SECONDS = 5.0

SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # systemd removes an ordinary user's POSIX shared memory at logout (RemoveIPC), under a running server.
    "dynamic_shared_memory_type": "mmap",
}

HBA = f"# Written by apb: only its own role, only through the socket, only with the password.\nlocal {ROLE} {ROLE} scram-sha-256\n"

CREATE = (
    f"CREATE ROLE {ROLE} LOGIN PASSWORD '{{password}}'",
    f"CREATE DATABASE {ROLE} OWNER {ROLE}",
    # No way in for the superuser by password; repairs use the single-user mode.
    f"ALTER ROLE {SUPERUSER} PASSWORD NULL",
)

# Before anything else in a command line that PostgreSQL gets from us: no statement and no value of one reaches a log.
SILENT = {
    "log_statement": "none",
    "log_min_messages": "log",  # errors are told to the client; their texts quote values
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_duration_statement": "-1",
}


def options(settings: dict[str, str]) -> list[str]:
    """Settings as arguments of postgres."""
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


def check(data: Path) -> None:
    """Raises DatabaseError for a data directory that this PostgreSQL must not touch."""
    try:
        major = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except OSError as error:
        raise DatabaseError(
            f"{data} is not a PostgreSQL data directory (no PG_VERSION): restore it from a backup or move it away"
        ) from error
    if major != str(software.MAJOR):
        raise DatabaseError(
            f"{data} was written by PostgreSQL {major} and this apb brings PostgreSQL {software.MAJOR}:"
            f" dump it with the apb that wrote it, move it away, start, and restore the dump"
        )


def make(data: Path, binaries: Path, account: Account, password: str) -> None:
    """Makes `data`. Raises DatabaseError; whatever a killed earlier call left is removed."""
    _remove_leftovers(data.parent)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=data.parent))  # 0700
    account.own(temporary)
    superuser_password = data.parent / f"{temporary.name}.password"
    try:
        # initdb wants a password for a superuser with -A scram-sha-256; nobody will know it.
        files.write_private(superuser_password, secrets.token_urlsafe(32), uid=account.uid, gid=account.gid)
        _run([str(binaries / "initdb"), *_initdb_arguments(temporary, superuser_password)], account)
        _write_hba(temporary / "pg_hba.conf")
        execute(temporary, binaries, account, [statement.format(password=password) for statement in CREATE])
        _run([str(binaries / "initdb"), "--sync-only", "-D", str(temporary)], account)
        temporary.rename(data)
        files.sync_directory(data.parent)
    finally:
        superuser_password.unlink(missing_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)


def change_password(data: Path, binaries: Path, account: Account, password: str) -> None:
    """Sets the role's password anew, while no server runs."""
    execute(data, binaries, account, [f"ALTER ROLE {ROLE} PASSWORD '{password}'"])


def execute(data: Path, binaries: Path, account: Account, statements: Sequence[str]) -> None:
    """Runs statements in the single-user mode; they go through stdin, so that no process list and no log shows them."""
    command = [str(binaries / "postgres"), "--single", "-D", str(data), *options(SILENT), "-c", "exit_on_error=on", SUPERUSER]
    _run(command, account, "".join(f"{statement};\n" for statement in statements))


def _initdb_arguments(data: Path, password_file: Path) -> list[str]:
    authentication: list[str] = ["-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password_file}"]
    settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    return ["-D", str(data), *authentication, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", *settings]


def _write_hba(path: Path) -> None:
    with path.open("r+") as file:  # in place: it keeps the owner and mode that initdb gave it
        file.truncate()
        file.write(HBA)


def _run(command: Sequence[str], account: Account, stdin: str = "") -> None:
    """Runs one of PostgreSQL's programs; it dies with us, or a killed start would leave one writing."""
    program = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603 - our own programs
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            preexec_fn=processes.dies_with_parent(signal.SIGKILL),
            **account.process_options(),
        )
    except OSError as error:
        raise DatabaseError(f"{program} cannot be run as {account.name}: {error.strerror} ({error.filename})") from error
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it gives no reason")
        raise DatabaseError(f"{program} ended with code {done.returncode}: {reason.strip()}")


def _remove_leftovers(directory: Path) -> None:
    """A killed initdb's own children may go on writing for a moment; what cannot be removed now is tried again by the next start."""
    end = time.monotonic() + LEFTOVERS_SECONDS
    while (left := list(directory.glob(f"{TEMPORARY_PREFIX}*"))) and time.monotonic() < end:
        for path in left:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
