"""Parts of servers that the operator has, through `apb up`: a share of a Redis, a database of a PostgreSQL."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.e2e.machine import Machine, machine
from tests.integration.collection import postgresql_server, redis_server

REFUSED = 3  # the exit code of a role's client.py
INIT = "CREATE TABLE greetings (text text);\nINSERT INTO greetings VALUES ('{{ 1 + 1 }}');\n"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[postgresql_server.Server]:
    """The operator's PostgreSQL."""
    with postgresql_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[redis_server.Server]:
    """The operator's Redis."""
    directory = Path(tempfile.mkdtemp(prefix="apb-", dir="/tmp"))
    server = redis_server.Server(redis_server.program_of("package") or redis_server.bundled_redis(), directory)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


def target(state: Path, name: str, server: Any, module: Any) -> dict[str, Any]:
    """The target that such a server is."""
    file = state / f"{name}.password"
    file.touch(0o600)
    file.write_text(module.ADMIN_PASSWORD + "\n")
    return {"mode": "shared", "address": "127.0.0.1", "port": server.port, "username": module.ADMIN, "password_file": file.name}


@pytest.fixture(scope="module")
def up(postgresql: postgresql_server.Server, redis: redis_server.Server) -> Iterator[Machine]:
    """`apb up` whose apb.yml offers parts of both."""
    with machine() as made:
        made.start()
        made.stop()
        config = yaml.safe_load((made.state / "apb.yml").read_text())
        config["roles"].append({"name": "apb.catalog.postgresql"})
        config["targets"] |= {
            "pg": target(made.state, "pg", postgresql, postgresql_server),
            "cache": target(made.state, "cache", redis, redis_server),
        }
        config["offers"] += [
            {"plan": "postgresql/postgresql-tenant", "mode": "shared", "targets": ["pg"]},
            {"plan": "redis/redis-tenant", "mode": "shared", "targets": ["cache"]},
        ]
        (made.state / "apb.yml").write_text(yaml.safe_dump(config))
        checked = made.call("config", "check", "--state-dir", str(made.state))
        assert checked.returncode == 0, checked.stdout
        made.start()
        yield made
        made.stop()
        logs = "".join(file.read_text(errors="replace") for file in (made.state / "logs").iterdir())
        assert "operation claimed" in logs
        assert postgresql_server.ADMIN_PASSWORD not in logs
        assert INIT.splitlines()[0] not in logs


def use(service: str, credentials: dict[str, Any]) -> int:
    """What the service's own client makes of the credentials."""
    client = ROOT / "roles" / service / "tests" / "client.py"
    done = subprocess.run([sys.executable, client], input=json.dumps(credentials), capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, REFUSED), done.stdout + done.stderr
    return done.returncode


@pytest.mark.parametrize(("service", "plan"), [("postgresql", "postgresql-tenant"), ("redis", "redis-tenant")])
def test_part_of_a_shared_server_is_had_used_and_given_back(up: Machine, service: str, plan: str) -> None:
    """Each binding its own account, refused after its unbind; the other one goes on."""
    made = up.apb("provision", service, plan, service)
    assert made["connection"]["host"] == "127.0.0.1"
    first = up.apb("bind", service, "one")["credentials"]
    second = up.apb("bind", service, "two", "-p", "access=read")["credentials"]
    assert first["username"] != second["username"]
    assert (use(service, first), use(service, second)) == (0, 0)
    up.apb("unbind", service, "one", "--yes")
    assert (use(service, first), use(service, second)) == (REFUSED, 0)
    up.apb("deprovision", service, "--yes")
    assert use(service, second) == REFUSED


def test_sql_of_a_binding_is_run_once_as_its_own_account(up: Machine, postgresql: postgresql_server.Server, tmp_path: Path) -> None:
    """Its lines arrive as they were written; templates in them are text; another binding that brings it finds it done."""
    (tmp_path / "init.sql").write_text(INIT)
    up.apb("provision", "postgresql", "postgresql-tenant", "shop")
    first = up.apb("bind", "shop", "one", "-p", f"init@={tmp_path / 'init.sql'}")["credentials"]
    second = up.apb("bind", "shop", "two", "-p", f"init@={tmp_path / 'init.sql'}")["credentials"]
    with postgresql.connect(second["username"], second["password"], second["database"]) as connection:
        assert connection.execute("SELECT text FROM greetings").fetchall() == [("{{ 1 + 1 }}",)]
    assert first["database"] == second["database"]
    up.apb("deprovision", "shop", "--yes")


def test_sql_that_fails_leaves_no_account_behind(up: Machine, postgresql: postgresql_server.Server) -> None:
    """The binding fails with PostgreSQL's own word and is taken back by who asked for it."""
    up.apb("provision", "postgresql", "postgresql-tenant", "broken")
    before = postgresql.sql("SELECT rolname FROM pg_roles ORDER BY 1")
    failed = up.call("bind", "broken", "one", "-p", "init=SELEKT 1")
    assert failed.returncode == 1
    assert 'syntax error at or near "SELEKT"' in failed.stdout + failed.stderr
    up.call("unbind", "broken", "one", "--yes")
    assert postgresql.sql("SELECT rolname FROM pg_roles ORDER BY 1") == before
    up.apb("deprovision", "broken", "--yes")
