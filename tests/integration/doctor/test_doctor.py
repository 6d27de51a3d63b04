"""`apb doctor` on real servers: it names what was planted and nothing else, and removes exactly that."""

import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.doctor import main
from apb_broker.doctor.findings import Finding
from apb_broker.storage.tables import Allocation
from tests import scenarios
from tests.integration.doctor.conftest import Site, own

ON_HOST = {"directory", "program", "process", "log"} | ({"user"} if os.geteuid() == 0 else set())


def told(found: list[Finding] | tuple[Finding, ...]) -> set[tuple[str, str, str | None]]:
    """What each says, without what differs from run to run: a process by its instance."""
    return {
        (one.sort, one.thing, one.slug if one.thing in ("process", "log", "directory", "program", "user", "port") else one.name)
        for one in found
    }


@contextmanager
def operators_own(site: Site) -> Iterator[None]:
    """Things beside ours that nobody may touch, some of them with names that are nearly ours."""
    account, stranger = f"b{uuid.uuid4().hex[:12]}", f"redis-{uuid.uuid4().hex[:11]}"
    (site.host.directory / "instances" / stranger).mkdir()
    with site.redis.admin() as admin:
        admin.acl_setuser("shop", enabled=True, passwords=["+x"], keys=["shop:*"])
        admin.acl_setuser(account, enabled=True, passwords=["+x"], keys=["shop:*"])
        admin.set("shop:1", "the operator's")
        admin.set(f"{stranger}:1", "nearly ours")
    for statement in ("CREATE DATABASE shop", "CREATE DATABASE postgresql_0123456789a", f"CREATE ROLE {account} LOGIN"):
        site.postgresql.sql(statement)
    yield
    assert (site.host.directory / "instances" / stranger).is_dir()
    with site.redis.admin() as admin:
        assert {"shop", account} <= set(admin.acl_users())
        assert (admin.get("shop:1"), admin.get(f"{stranger}:1")) == ("the operator's", "nearly ours")
        admin.acl_deluser("shop", account)
    for statement in ("DROP DATABASE shop", "DROP DATABASE postgresql_0123456789a", f"DROP ROLE {account}"):
        site.postgresql.sql(statement)
    (site.host.directory / "instances" / stranger).rmdir()


def plant_dead_run(directory: Path) -> None:
    """What a supervisor leaves that was killed."""
    (directory / "apb-run-1-dead").mkdir()
    (directory / "apb-run-1-dead" / "lock").touch()


def test_doctor_finds_nothing_where_all_is_known(site: Site) -> None:
    """Live instances with bindings in all modes, and the operator's own things beside them."""
    site.provision("live-host", "redis-standard", "b1")
    site.provision("live-share", "redis-tenant", "b1")
    site.provision("live-database", "postgresql-tenant", "b1")
    with operators_own(site):
        report = main.examine(site.broker)
        assert (report.examination.findings, report.examination.unseen, report.examination.blind) == ([], [], [])


def test_doctor_names_each_leftover_and_removes_exactly_these(site: Site, tmp_path: Path) -> None:
    """Whole instances and single accounts, on a host and on servers that many share; live ones beside them go on."""
    kept, gone, planted = {}, {}, set()
    for plan in ("redis-standard", "redis-tenant", "postgresql-tenant"):
        kept[plan] = site.provision(f"live-{plan}", plan, "b1", "b2")
        gone[plan] = site.provision(f"gone-{plan}", plan, "b1")
        account = site.username(f"gone-{plan}", "b1")
        planted |= {("leftover", "account", account)} if plan != "redis-standard" else set()
        planted |= {("leftover", "account", site.forget(f"live-{plan}", "b2"))}
        site.forget(f"gone-{plan}")
    with site.redis.admin(db=1) as admin:
        admin.set(f"{gone['redis-tenant']}:key", "a tenant's")
        admin.set(f"{kept['redis-tenant']}:key", "a live tenant's")
    database = gone["postgresql-tenant"].replace("-", "_")
    planted |= {("leftover", thing, gone["redis-standard"]) for thing in ON_HOST | {"port"}}
    planted |= {("leftover", "keys", f"{gone['redis-tenant']}:*")}
    planted |= {("leftover", "database", database), ("leftover", "owner", database), ("leftover", "reader", f"{database}_read")}
    plant_dead_run(tmp_path)
    planted |= {("leftover", "run directory", str(tmp_path / "apb-run-1-dead"))}
    with operators_own(site):
        assert told(main.examine(site.broker).examination.findings) == planted
        plant_dead_run(tmp_path)  # each run has removed those before it
        report = main.examine(site.broker, remove=True)
        assert (report.examination.findings, report.problems) == ([], ())
        assert told(report.removed) == planted
    with site.redis.admin(db=1) as admin:
        assert list(admin.scan_iter("*")) == [f"{kept['redis-tenant']}:key"]
    assert not (site.host.directory / "instances" / gone["redis-standard"]).exists()
    assert (site.host.directory / "instances" / kept["redis-standard"]).is_dir()


def test_doctor_removes_what_it_does_not_remember_only_when_told(site: Site) -> None:
    """After a restore from an older copy it may be a tenant's."""
    slug = site.provision("i1", "redis-tenant", "b1")
    with site.redis.admin() as admin:
        admin.set(f"{slug}:key", "a tenant's")
    with site.broker.database.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE instances, health, bindings, operations, progress, allocations, reservations")
    report = main.examine(site.broker, remove=True)
    assert {(one.sort, one.is_ours, one.slug) for one in report.examination.findings} == {("leftover", False, slug)}
    assert report.removed == ()
    report = main.examine(site.broker, remove=True, unknown=True)
    assert (report.examination.findings, {one.slug for one in report.removed}) == ([], {slug})


def test_doctor_tells_what_instances_lack_and_who_is_in_the_way(site: Site) -> None:
    """None of it is removed, but for a booking that no instance has."""
    slug = site.provision("i1", "redis-standard", "b1")
    share = site.provision("i2", "redis-tenant", "b1", "b2")
    tenant = site.provision("i3", "postgresql-tenant")
    lost = site.username("i2", "b1")
    with site.redis.admin() as admin:
        admin.acl_deluser(lost)
    database = tenant.replace("-", "_")
    site.postgresql.sql(f"ALTER DATABASE {database} RENAME TO elsewhere")
    shutil.move(site.host.directory / "instances" / slug, site.host.directory / "elsewhere")
    with site.broker.database.unit() as unit:
        unit.session.add(Allocation(host="127.0.0.1", port=site.ports[1] + 1, instance_id=own("i1"), name="client"))
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", site.ports[1]))
        stranger.listen()
        report = main.examine(site.broker, remove=True)
    shutil.move(site.host.directory / "elsewhere", site.host.directory / "instances" / slug)
    site.postgresql.sql(f"ALTER DATABASE elsewhere RENAME TO {database}")
    found = {(one.sort, one.thing, one.name) for one in report.examination.findings}
    assert found == {
        ("missing", "directory", slug),
        ("missing", "account", lost),
        ("missing", "database", tenant),
        ("port", "port", str(site.ports[1])),
    }
    assert told(report.removed) == {("booking", "port", None)}
    assert main.examine(site.broker).examination.findings[0].name == lost
    assert share in {one.slug for one in report.examination.findings}


def test_doctor_says_nothing_of_what_is_being_worked_on(site: Site) -> None:
    """An operation in progress owns what its instance has, whatever that is just then."""
    slug = site.provision("i1", "redis-tenant", "b1")
    with site.redis.admin() as admin:
        admin.acl_deluser(site.username("i1", "b1"))
        admin.acl_setuser(f"b{uuid.uuid4().hex[:12]}", enabled=True, passwords=["+x"], keys=[f"{slug}:*"])
    scenarios.unbind(site.broker, own("i1"))
    report = main.examine(site.broker, remove=True, unknown=True)
    assert (report.examination.findings, report.removed) == ([], ())
    site.run()
    assert len(main.examine(site.broker).examination.findings) == 1


def test_doctor_says_where_it_could_not_look(make_site: object, tmp_path: Path) -> None:
    """A server that does not answer hides nothing: it is said."""
    site: Site = make_site()  # type: ignore[operator]
    (tmp_path / "pg.password").write_text("another one")
    report = main.examine(site.broker)
    assert report.examination.findings == []
    (sentence,) = report.examination.unseen
    assert "pg" in sentence
    assert "does not accept the password" in sentence


@pytest.mark.parametrize("name", ["redis", "kafka-connect"])
def test_names_of_a_service_are_known_by_its_patterns(name: str) -> None:
    """What names() makes fits name_patterns(), whole."""
    patterns = service.name_patterns(name)
    made = {**service.names(name, "i1"), "username": service.binding_username("i1", "b1")}
    assert all(re.fullmatch(patterns[kind], value) for kind, value in made.items())
    assert service.names_of(made["slug"]) == service.names(name, "i1")
