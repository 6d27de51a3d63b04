"""A database of an early release (revision 0002), as it was kept then, under this code. make_old_database.py made it, and tells how."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client_library
import yaml

from apb_broker.machine import backup, configuration, software
from apb_broker.machine.postgres import EmbeddedPostgres
from apb_broker.machine.state import StateDirectory
from apb_broker.storage import migrate
from tests.conftest import short_path
from tests.e2e.machine import APB, Machine, login, machine
from tests.e2e.make_old_database import OLD, shared
from tests.integration.collection import redis_server

MIGRATING = 3
MADE: dict[str, Any] = json.loads((OLD / "made.json").read_text())


@pytest.fixture
def redis() -> Iterator[redis_server.Server]:
    """The server that the instances are shares of, with the account that the binding has."""
    directory = Path(tempfile.mkdtemp(prefix="apb-", dir="/tmp"))
    server = redis_server.Server(redis_server.program_of("package") or redis_server.bundled_redis(), directory)
    server.start()
    with client_library.Redis(port=server.port, username=redis_server.ADMIN, password=redis_server.ADMIN_PASSWORD) as client:
        given = MADE["credentials"]
        client.acl_setuser(given["username"], enabled=True, passwords="+" + given["password"], commands=["+ping"])
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def database(redis: redis_server.Server) -> Iterator[str]:
    """That database, with the server's port of today."""
    with short_path() as directory:
        server = EmbeddedPostgres(directory / "postgres", log_file=directory / "postgres.log")
        url = server.start(lambda _sentence: None, time.sleep)
        sql = re.sub(rf"\b{MADE['port']}\b", str(redis.port), (OLD / "database.sql").read_text())
        with backup.connection(url) as words:
            command = [software.client_program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", f"--dbname={words}"]
            subprocess.run(command, input=sql, text=True, check=True)
        yield url
        server.stop()


@pytest.fixture
def this(database: str, redis: redis_server.Server) -> Iterator[Machine]:
    """A machine with that database's key file, whose apb.yml has the server."""
    with machine() as made:
        state = StateDirectory(made.state)
        for name, text in (("keys", (OLD / "keys").read_text()), ("cache.password", redis_server.ADMIN_PASSWORD)):
            (made.state / name).touch(0o600)
            (made.state / name).write_text(text)
        configuration.first_configuration(state, made.listen, made.ports)
        state.keep_database_url(database)
        config = yaml.safe_load(state.config_file.read_text())
        config["targets"]["shared"] = shared(redis.port)
        config["offers"].append({"plan": "redis/redis-tenant", "mode": "shared", "targets": ["shared"]})
        state.config_file.write_text(yaml.safe_dump(config))
        yield made


def is_let_in(credentials: dict[str, Any], port: int) -> bool:
    """Whether the server knows this account, on its port of today."""
    try:
        with login({**credentials, "uri": credentials["uri"].replace(str(credentials["port"]), str(port))}) as client:
            return bool(client.ping())
    except client_library.exceptions.AuthenticationError:
        return False


def test_instances_of_an_early_release_are_used_and_removed(this: Machine, database: str, redis: redis_server.Server) -> None:
    """Several processes migrate it at once. Its key is registered, its credentials are fetched, accounts made and taken back."""
    assert migrate.revision(database) == "0002"
    migrating = [subprocess.Popen([*APB, "database", "migrate"], env=this.environment) for _ in range(MIGRATING)]
    assert [process.wait(120) for process in migrating] == [0] * MIGRATING
    assert migrate.revision(database) == migrate.newest()
    this.start()
    assert [(one["label"], one["seals"], one["values"] > 0) for one in this.apb("keys", "list")] == [("key-1", True, True)]
    old = MADE["credentials"]
    assert this.apb("credentials", "bound", "app") == old
    new = this.apb("bind", "unbound", "new")["credentials"]
    assert (is_let_in(old, redis.port), is_let_in(new, redis.port)) == (True, True)
    this.apb("unbind", "bound", "app")
    assert (is_let_in(old, redis.port), is_let_in(new, redis.port)) == (False, True)
    for name in ("bound", "unbound"):
        this.apb("deprovision", name, "--yes")
    assert not is_let_in(new, redis.port)
    assert this.apb("instances") == []
    this.stop()
