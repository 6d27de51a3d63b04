"""The upgrade of docs/operating.md: the previous commit's processes, database and instances, and then this code."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from apb_broker.machine import configuration
from apb_broker.machine.postgres import EmbeddedPostgres
from apb_broker.machine.state import StateDirectory
from apb_broker.storage import migrate
from tests.conftest import short_path
from tests.e2e import earlier
from tests.e2e.machine import APB, Machine, login, machine, wait

MIGRATING = 3


@pytest.fixture
def database() -> Iterator[str]:
    """A PostgreSQL of the operator's, which no `apb up` starts or stops."""
    with short_path() as directory:
        server = EmbeddedPostgres(directory / "postgres", log_file=directory / "postgres.log")
        yield server.start(lambda _sentence: None, time.sleep)
        server.stop()


@pytest.fixture
def this(database: str) -> Iterator[Machine]:
    """A machine with this code, configured for that database."""
    with machine() as made:
        state = StateDirectory(made.state)
        configuration.first_configuration(state, made.listen, made.ports)
        state.keep_database_url(database)
        yield made


@pytest.fixture
def previous(this: Machine, tmp_path: Path) -> earlier.EarlierMachine:
    """The same machine, with the previous code."""
    if why := earlier.why_missing(earlier.RELEASE):
        pytest.skip(why)
    tmp_path.chmod(0o755)
    made = earlier.EarlierMachine(this.state, this.ports, earlier.checkout(earlier.RELEASE, tmp_path / "earlier"))
    for module in ("apb_broker.storage.migrate", "ansible_collections.apb.catalog.plugins.module_utils.service"):
        assert made.version_of(module).resolve().is_relative_to(made.cwd)
    return made


def test_instances_of_the_previous_release_go_on(this: Machine, previous: earlier.EarlierMachine, database: str) -> None:
    """Its processes go on working on the new tables, several new ones bring them there at once, and then this code has everything.

    Old instances and bindings are fetched, bound, unbound and removed; their servers were not touched in between.
    """
    previous.start()
    previous.apb("provision", "redis", "redis-standard", "before", "-p", "memory=0.1")
    old = previous.apb("bind", "before", "app")["credentials"]
    with login(old) as client:
        client.set("kept", "yes")
        started = client.info("server")["run_id"]
    was = migrate.revision(database)

    migrating = [subprocess.Popen([*APB, "database", "migrate"], env=this.environment) for _ in range(MIGRATING)]
    previous.apb("provision", "redis", "redis-standard", "during", "-p", "memory=0.1", "--no-wait")
    assert [process.wait(120) for process in migrating] == [0] * MIGRATING
    assert (was, migrate.revision(database)) == ("0004", migrate.newest())
    previous.apb("provision", "redis", "redis-standard", "after", "-p", "memory=0.1")
    late = previous.apb("bind", "after", "app")["credentials"]
    wait(lambda: previous.apb("instances", "during")["state"] == "ready", 60, "the end of what was accepted during the migration")
    assert previous.apb("credentials", "before", "app") == old
    previous.stop()

    this.start()
    assert this.apb("credentials", "before", "app") == old
    assert this.apb("credentials", "after", "app") == late
    with login(old) as client:
        assert (client.get("kept"), client.info("server")["run_id"]) == (b"yes", started)
    new = this.apb("bind", "before", "new")["credentials"]
    this.apb("update", "before", "-p", "memory=0.2")
    this.apb("unbind", "before", "app")
    with login(new) as client:
        assert client.get("kept") == b"yes"
    with pytest.raises(redis.exceptions.AuthenticationError), login(old) as client:
        client.ping()
    for name in ("before", "during", "after"):
        this.apb("deprovision", name, "--yes")
    assert list(this.instances.iterdir()) == []
    this.stop()
