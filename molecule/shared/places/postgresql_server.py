"""A PostgreSQL server of the operator's, made of the programs that the broker brings: passwords for all, an account for apb."""

import secrets
import signal
import subprocess
from pathlib import Path

import place
import psycopg

from apb_broker.machine import accounts, software


def start(directory: Path) -> dict:
    (port,), password = place.free_ports(1), secrets.token_urlsafe(24)
    account = accounts.of_postgres()
    programs, home = software.binaries(directory, account), directory / "postgresql"
    home.mkdir(mode=0o700)
    account.own(home)
    place.write_private(home / "password", password)
    account.own(home / "password")
    initdb = [programs / "initdb", "-D", home / "data", "-U", "apb", "-A", "scram-sha-256", f"--pwfile={home / 'password'}"]
    subprocess.run([*initdb, "-E", "UTF8", "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL, **account.process_options())
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "fsync=off", "-c", "unix_socket_directories="]
    with (directory / "postgresql.log").open("w") as log:
        output = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL}
        subprocess.Popen(
            [programs / "postgres", "-D", home / "data", *settings], start_new_session=True, **output, **account.process_options()
        )
    ready = [programs / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={port}"]
    place.wait_for(lambda: not subprocess.run(ready, check=False).returncode, f"the start of PostgreSQL ({directory}/postgresql.log)", 60)
    return {"apb_server": {"host": "127.0.0.1", "port": port, "username": "apb", "password": password}}


def content(directory: Path) -> list[str]:
    server = place.server_of(directory)
    with psycopg.connect(
        host=server["host"], port=server["port"], user=server["username"], password=server["password"], dbname="postgres"
    ) as sql:
        found = "SELECT 'role ' || rolname FROM pg_roles UNION SELECT 'database ' || datname FROM pg_database"
        return [line for (line,) in sql.execute(found)]


def stop(directory: Path) -> None:
    place.end_process(directory / "postgresql/data/postmaster.pid", signal.SIGINT)


if __name__ == "__main__":
    place.run(start, content, stop)
