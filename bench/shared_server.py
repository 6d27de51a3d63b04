"""A PostgreSQL server of the operator's, to have shares of: made of the programs that the broker brings, with passwords for all."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apb_broker.machine import accounts, files, software
from bench import place

ACCOUNT = "apb"
START_SECONDS = 60


@contextlib.contextmanager
def postgresql(directory: Path) -> Iterator[dict[str, Any]]:
    """A server that runs until the end of the block; how it is written as a target in apb.yml."""
    port, password = place.free_port(), directory / "server.password"
    account = accounts.of_postgres()
    programs, home = software.binaries(directory, account), directory / "server"
    home.mkdir(mode=0o700)
    files.write_private(password, "of the bench's own server\n")
    files.write_private(home / "password", password.read_text())
    for path in (home, home / "password"):
        account.own(path)
    made = ["-D", home / "data", "-U", ACCOUNT, "-A", "scram-sha-256", f"--pwfile={home / 'password'}", "-E", "UTF8", "--locale=C"]
    subprocess.run([programs / "initdb", *made], check=True, stdout=subprocess.DEVNULL, **account.process_options())
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "unix_socket_directories="]
    with (directory / "server.log").open("ab") as log:
        command = [programs / "postgres", "-D", home / "data", *settings]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **account.process_options())
    try:
        ready = [str(programs / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
        place.wait(lambda: subprocess.run(ready, check=False).returncode == 0, START_SECONDS, "the start of PostgreSQL")
        yield {"mode": "shared", "address": "127.0.0.1", "port": port, "username": ACCOUNT, "password_file": str(password)}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(START_SECONDS)
