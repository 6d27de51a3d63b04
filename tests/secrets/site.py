"""One deployment as an operator has it: `apb up` on the operator's PostgreSQL, which logs everything it can. Parts of that server and of
a Redis are offered, Redis servers on this machine, and a small service of the operator's own.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.e2e import own_services
from tests.e2e.machine import Machine, machine
from tests.integration.collection import postgresql_server, redis_server

# What a database administrator may set to see each statement, each value of it and how long it took.
LOG_EVERYTHING = {"log_min_duration_statement": "0", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "-1"}
# What a run does for a moment longer, or not at all, when the tenant says so.
TASKS = """
- name: Take a while
  ansible.builtin.command: sleep 3
  changed_when: false
  when: "'wait' in _hello_greeting"

- name: Stumble
  ansible.builtin.fail:
    msg: It stumbled
  when: "'stumble' in _hello_greeting"
"""


@dataclass
class Site:
    """The broker, and the servers that the operator has."""

    machine: Machine
    postgresql: postgresql_server.Server
    redis: redis_server.Server
    database_password: str


@contextlib.contextmanager
def redis_of_the_operator() -> Iterator[redis_server.Server]:
    """A Redis; gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="apb-redis-", dir="/tmp"))
    server = redis_server.Server(redis_server.program_of("package") or redis_server.bundled_redis(), directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@contextlib.contextmanager
def running() -> Iterator[Site]:
    """All of it, started with a umask that hides nothing."""
    with postgresql_server.running() as server, redis_of_the_operator() as cache, machine() as made:
        for name, value in LOG_EVERYTHING.items():
            server.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        server.sql("SELECT pg_reload_conf()")
        password = _make_database(server)
        private(made.state / "database.url", f"postgresql+psycopg://apb_broker:{password}@127.0.0.1:{server.port}/apb_broker\n")
        _offer(made, server, cache)
        private(made.state / "up.log", "")  # our shell's, as it were
        before = os.umask(0)
        try:
            made.start()
        finally:
            os.umask(before)
        yield Site(made, server, cache, password)
        made.stop()


def private(file: Path, text: str) -> Path:
    """A file for secrets."""
    file.touch(0o600)
    file.write_text(text)
    return file


def _make_database(server: postgresql_server.Server) -> str:
    """The broker's own; its password reaches the server as a verifier, as by psql's \\password."""
    password = f"database-{secrets.token_hex(12)}"
    with server.admin() as connection:
        verifier = connection.pgconn.encrypt_password(password.encode(), b"apb_broker", b"scram-sha-256").decode()
        connection.execute(f"CREATE ROLE apb_broker LOGIN PASSWORD '{verifier}'")
        connection.execute("CREATE DATABASE apb_broker OWNER apb_broker")
    return password


def _offer(made: Machine, server: postgresql_server.Server, cache: redis_server.Server) -> None:
    services = made.state.parent / "services"
    services.mkdir()
    own_services.init("hello", "--services-path", str(services), cwd=services)
    with (services / "hello" / "tasks" / "host" / "instance.yml").open("a") as file:
        file.write(TASKS)
    targets = {"pg": _target(made, "pg", server, postgresql_server), "cache": _target(made, "cache", cache, redis_server)}
    offers = {"postgresql/postgresql-tenant": "pg", "redis/redis-tenant": "cache"}
    own_services.offer(made, {"name": "hello"}, ["hello/hello-large"], services_path=[str(services)])
    config = yaml.safe_load((made.state / "apb.yml").read_text())
    config["roles"].append({"name": "apb.catalog.postgresql"})
    config["targets"] |= targets
    config["offers"] += [{"plan": plan, "mode": "shared", "targets": [name]} for plan, name in offers.items()]
    (made.state / "apb.yml").write_text(yaml.safe_dump(config))


def _target(made: Machine, name: str, server, module) -> dict[str, object]:
    file = private(made.state / f"{name}.password", module.ADMIN_PASSWORD + "\n")
    return {"mode": "shared", "address": "127.0.0.1", "port": server.port, "username": module.ADMIN, "password_file": file.name}
