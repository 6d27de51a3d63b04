"""A broker with a host, a Redis and a PostgreSQL that many share, all real, and actions run to their end in this process."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apb_broker.doctor import runs
from apb_broker.execution import directory
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.e2e.machine import free_ports
from tests.integration.collection import postgresql_server, redis_server
from tests.integration.collection.conftest import Host, bundled_redis, make_directory

CONFIG = """\
apb: 1
listen: 127.0.0.1:0
users: [{{name: admin, password_file: admin.password, roles: [platform, operator]}}]
roles:
  - {{name: apb.catalog.redis, settings: {{redis_server_binary: {binary}}}}}
  - {{name: apb.catalog.postgresql}}
targets:
  local: {{mode: host, hosts: [{{name: localhost, address: 127.0.0.1}}], ports: {ports}, directory: {directory}}}
  cache: {{mode: shared, address: 127.0.0.1, port: {redis}, username: {redis_admin}, password_file: redis.password}}
  pg: {{mode: shared, address: 127.0.0.1, port: {postgresql}, username: {postgresql_admin}, password_file: pg.password}}
offers:
  - {{plan: redis/redis-standard, mode: host, targets: [local]}}
  - {{plan: redis/redis-tenant, mode: shared, targets: [cache]}}
  - {{plan: postgresql/postgresql-tenant, mode: shared, targets: [pg]}}
{more}
"""


TOKEN = uuid.uuid4().hex[:8]


def own(name: str) -> str:
    """An instance's id of these tests alone: system users are the whole machine's."""
    return f"{name}-{TOKEN}"


@dataclass
class Site:
    """The broker and the places it offers."""

    broker: Broker
    host: Host
    redis: redis_server.Server
    postgresql: postgresql_server.Server
    ports: tuple[int, int]

    def run(self) -> operations.Work:
        """The next operation, by its playbook; it has to succeed."""
        work = scenarios.claim(self.broker)
        outcome = runs.one(self.broker, work)
        assert outcome.status == "succeeded", outcome.message
        assert operations.finish(self.broker, work.operation_id, work.epoch, Result("succeeded", outcome.published))
        return work

    def provision(self, instance_id: str, plan: str, *binding_ids: str) -> str:
        """An instance with bindings; its slug."""
        instance_id = own(instance_id)
        scenarios.provision(self.broker, instance_id, **self.ids(plan))
        self.run()
        for binding_id in binding_ids:
            scenarios.bind(self.broker, instance_id, binding_id, **self.ids(plan))
            self.run()
        with self.broker.database.unit() as unit:
            row = unit.instance(instance_id)
            assert row is not None
            return str(row.names["slug"])

    def ids(self, plan: str) -> dict[str, str]:
        """The ids of the plan and its service."""
        for service in self.broker.catalog.osb()["services"]:
            for found in service["plans"]:
                if found["name"] == plan:
                    return {"service_id": service["id"], "plan_id": found["id"]}
        raise AssertionError(plan)

    def forget(self, instance_id: str, binding_id: str | None = None) -> str:
        """Takes it out of the database, as if its removal had been believed and not been done; the account's name, of a binding."""
        with self.broker.database.unit() as unit:
            row: Any = unit.instance(own(instance_id)) if binding_id is None else unit.binding(own(instance_id), binding_id)
            assert row is not None
            name = "" if binding_id is None else str(row.username)
            unit.delete(row)
            return name

    def username(self, instance_id: str, binding_id: str) -> str:
        """The account of a binding."""
        with self.broker.database.unit() as unit:
            row = unit.binding(own(instance_id), binding_id)
            assert row is not None
            return str(row.username)


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """This machine, prepared in a directory of its own."""
    made = Host(make_directory(), {"redis_server_binary": shutil.which("redis-server") or bundled_redis()})
    try:
        prepared = made.prepare()
        assert prepared.code == 0, prepared.text
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def redis() -> Iterator[redis_server.Server]:
    """The operator's Redis."""
    with redis_server.running(redis_server.program_of("package") or redis_server.program_of("bundled")) as made:
        yield made


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_server.Server]:
    """The operator's PostgreSQL."""
    with postgresql_server.running() as made:
        yield made


@pytest.fixture
def make_site(
    make_broker: Callable[[str], Broker],
    host: Host,
    redis: redis_server.Server,
    postgresql: postgresql_server.Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Site]:
    """A broker with all of them. Directories of dead runs are looked for in a place of the test's own: others' are everywhere."""
    monkeypatch.setattr(directory, "_roots", lambda _root: [tmp_path])

    def make(more: str = "") -> Site:
        for name, password in (("redis", redis_server.ADMIN_PASSWORD), ("pg", postgresql_server.ADMIN_PASSWORD)):
            (tmp_path / f"{name}.password").touch(mode=0o600)
            (tmp_path / f"{name}.password").write_text(password)
        ports = free_ports()
        config = CONFIG.format(
            binary=host.settings["redis_server_binary"],
            ports=ports,
            directory=host.directory,
            redis=redis.port,
            redis_admin=redis_server.ADMIN,
            postgresql=postgresql.port,
            postgresql_admin=postgresql_server.ADMIN,
            more=more,
        )
        first, last = map(int, ports.split("-"))
        return Site(make_broker(config), host, redis, postgresql, (first, last))

    return make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Iterator[Site]:
    """One as it is; everything on it is removed afterwards."""
    made = make_site()
    yield made
    clean(made)


def clean(site: Site) -> None:
    """Takes back whatever is there, by the roles' own removal."""
    from apb_broker.doctor import main

    scenarios.empty(site.broker.database)
    report = main.examine(site.broker, remove=True, unknown=True)
    assert not report.problems, report.problems
