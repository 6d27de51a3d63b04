"""Looks at real servers: what the roles tell of them, and what a repair brings back."""

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from apb_broker.doctor import runs
from apb_broker.lifecycle import health, views
from apb_broker.lifecycle.outcomes import Result
from tests.integration.collection.conftest import PROGRAMS
from tests.integration.doctor.conftest import Site, clean, own


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Iterator[Site]:
    """One where what fails is provisioned again."""
    made = make_site("settings: {repair: run-again}")
    yield made
    clean(made)


def look(site: Site, instance_id: str) -> dict[str, Any]:
    """How the instance is found now."""
    instance_id = own(instance_id)
    health.enroll(site.broker)
    with site.broker.database.unit() as unit:
        row = health.health.find(unit, instance_id)
        assert row is not None
        row.due_at = row.repair_at = unit.now()
    work = health.claim(site.broker, "worker-1")
    assert work is not None
    outcome = runs.one(site.broker, work)
    health.finish(site.broker, work, Result(outcome.status, outcome.published, outcome.message, outcome.transient))
    found: dict[str, Any] = views.instance(site.broker, instance_id)["health"]
    return found


def supervisorctl(site: Site, *words: str) -> str:
    """What the host's supervisord says to that."""
    configuration = site.host.directory / "supervisor" / "supervisord.conf"
    command = [str(PROGRAMS / "supervisorctl"), "-c", str(configuration), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def test_server_that_stands_still_is_told_and_brought_back(site: Site) -> None:
    """Its process manager was told to leave it: the provision, run again, starts it, with the accounts of its bindings."""
    slug = site.provision("i1", "redis-standard", "b1")
    assert look(site, "i1")["status"] == "ok"
    assert "stopped" in supervisorctl(site, "stop", slug)
    found = look(site, "i1")
    assert (found["status"], len(found["drift"])) == ("failing", 1)
    assert found["drift"][0].startswith("nothing listens at 127.0.0.1:")
    assert site.run().kind == "repair"
    assert re.search("STARTING|RUNNING", supervisorctl(site, "status", slug))  # for supervisord it runs a second later
    assert look(site, "i1")["status"] == "ok"


def test_what_differs_on_servers_is_told_and_repaired(site: Site) -> None:
    """Memory, an account that is missing, another one's rights."""
    site.provision("own", "redis-standard", "b1")
    with site.broker.database.unit() as unit:
        row = unit.instance(own("own"))
        assert row is not None
        port, password = row.ports["client"], row.secrets["admin_password"]
    with redis.Redis(host="127.0.0.1", port=port, username="apb_admin", password=password) as admin:
        admin.config_set("maxmemory", 1_000_000)  # less than it has: it makes no account now, and is looked at all the same
        admin.acl_deluser(site.username("own", "b1"))
    found = look(site, "own")
    assert found["drift"] == [
        "maxmemory is 1000000, not 1073741824",
        f"account {site.username('own', 'b1')} is missing",
    ]
    site.run()
    assert look(site, "own")["status"] == "ok"
    site.provision("share", "redis-tenant", "b1")
    with site.redis.admin() as admin:
        admin.acl_setuser(site.username("share", "b1"), enabled=True, keys=["*"])
    assert look(site, "share")["drift"] == [f"account {site.username('share', 'b1')} differs"]


def test_database_that_is_gone_or_lacks_an_account_is_told(site: Site) -> None:
    """Each in a sentence of its own, with its name."""
    slug = site.provision("i1", "postgresql-tenant", "b1")
    database, account = slug.replace("-", "_"), site.username("i1", "b1")
    assert look(site, "i1")["status"] == "ok"
    site.postgresql.sql(f"DROP OWNED BY {account}", database=database)
    site.postgresql.sql(f"DROP ROLE {account}")
    site.postgresql.sql(f"ALTER DATABASE {database} CONNECTION LIMIT 1")
    assert look(site, "i1")["drift"] == [f"{database} does not take 20 connections", f"there is no account {account}"]
    site.run()
    assert look(site, "i1")["status"] == "ok"
    site.postgresql.sql(f"ALTER DATABASE {database} RENAME TO elsewhere")
    (sentence,) = look(site, "i1")["drift"]
    assert f'database "{database}" does not exist' in sentence
    site.postgresql.sql(f"ALTER DATABASE elsewhere RENAME TO {database}")


def test_host_that_cannot_be_found_is_unknown(site: Site) -> None:
    """Nobody can say how the server on it is."""
    site.provision("i1", "redis-standard")
    with site.broker.database.unit() as unit:
        row = unit.instance(own("i1"))
        assert row is not None
        row.placement = {**row.placement, "address": "no-such-host.invalid"}
    found = look(site, "i1")
    assert (found["status"], found["drift"]) == ("unknown", [])
    assert "no-such-host.invalid" in found["message"]
