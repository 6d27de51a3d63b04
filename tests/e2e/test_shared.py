"""Parts of servers that the operator has, through `apb up`: a share of a Redis, a database of a PostgreSQL."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e import own_services
from tests.e2e.machine import Machine, machine
from tests.integration.collection import postgresql_server, redis_server

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


@pytest.fixture(scope="module")
def up(postgresql: postgresql_server.Server, redis: redis_server.Server) -> Iterator[Machine]:
    """`apb up` whose apb.yml offers parts of both."""
    with machine() as made:
        offers = {"postgresql/postgresql-tenant": "pg", "redis/redis-tenant": "cache"}
        targets = {
            "pg": own_services.shared_target(made.state, "pg", postgresql, postgresql_server),
            "cache": own_services.shared_target(made.state, "cache", redis, redis_server),
        }
        own_services.offer(
            made,
            {"name": "apb.catalog.postgresql"},
            [],
            targets=targets,
            offers=[{"plan": plan, "mode": "shared", "targets": [name]} for plan, name in offers.items()],
        )
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
    code, _said = own_services.use(ROOT / "roles" / service, credentials)
    assert code in (0, own_services.REFUSED)
    return code


@pytest.fixture
def sql(tmp_path: Path) -> Callable[[str], str]:
    """A parameter that is SQL: it may hold secrets, so nobody else may read its file."""

    def make(text: str) -> str:
        file = tmp_path / "init.sql"
        file.touch(0o600)
        file.write_text(text)
        return f"init@={file}"

    return make


@pytest.mark.parametrize(("service", "plan"), [("postgresql", "postgresql-tenant"), ("redis", "redis-tenant")])
def test_part_of_a_shared_server_is_had_used_and_given_back(up: Machine, service: str, plan: str) -> None:
    """Each binding its own account, refused after its unbind; the other one goes on, and so does what it was rotated to."""
    made = up.apb("provision", service, plan, service)
    assert made["connection"]["host"] == "127.0.0.1"
    first = up.apb("bind", service, "one")["credentials"]
    second = up.apb("bind", service, "two", "-p", "access=read")["credentials"]
    assert first["username"] != second["username"]
    assert (use(service, first), use(service, second)) == (0, 0)
    successor = up.apb("rotate", service, "one", "three")["credentials"]
    assert successor["password"] != first["password"]
    assert (use(service, first), use(service, successor)) == (0, 0)
    up.apb("unbind", service, "one")
    assert (use(service, first), use(service, successor), use(service, second)) == (own_services.REFUSED, 0, 0)
    up.apb("deprovision", service, "--yes")
    assert use(service, second) == own_services.REFUSED


def test_doctor_finds_nothing_where_all_is_in_order(up: Machine) -> None:
    """The command itself, beside a running broker. Directories of dead runs may be other tests'."""
    up.apb("provision", "redis", "redis-tenant", "looked-at")
    done = up.call("doctor", "-o", "json")
    report = json.loads(done.stdout)
    assert [one for one in report["findings"] if one["thing"] != "run directory"] == []
    assert (report["unseen"], report["blind"]) == ([], [])
    up.apb("deprovision", "looked-at", "--yes")


def test_sql_of_a_binding_is_run_once_as_its_own_account(
    up: Machine, postgresql: postgresql_server.Server, sql: Callable[[str], str]
) -> None:
    """Its lines arrive as they were written, templates in them are text, and another binding that brings it finds it done.

    SQL that fails makes the binding fail with PostgreSQL's own word, and leaves no account behind once that is removed.
    """
    up.apb("provision", "postgresql", "postgresql-tenant", "shop")
    first = up.apb("bind", "shop", "one", "-p", sql(INIT))["credentials"]
    second = up.apb("bind", "shop", "two", "-p", sql(INIT))["credentials"]
    assert first["database"] == second["database"]
    with postgresql.connect(second["username"], second["password"], second["database"]) as connection:
        assert connection.execute("SELECT text FROM greetings").fetchall() == [("{{ 1 + 1 }}",)]
    before = postgresql.sql("SELECT rolname FROM pg_roles ORDER BY 1")
    failed = up.call("bind", "shop", "broken", "-p", sql("SELEKT 1"))
    assert failed.returncode == 1
    assert 'syntax error at or near "SELEKT"' in failed.stdout + failed.stderr
    up.apb("unbind", "shop", "broken")
    assert postgresql.sql("SELECT rolname FROM pg_roles ORDER BY 1") == before
    up.apb("deprovision", "shop", "--yes")
