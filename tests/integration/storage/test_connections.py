"""Connections that end: those of the pool are replaced before anybody notices."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from apb_broker.storage.database import Database, Unit, patience
from apb_broker.storage.errors import Unavailable
from apb_broker.storage.sealing import Keyring
from apb_broker.storage.tables import Allocation, Operation, Progress


def pid(unit: Unit) -> int:
    """The server's process behind a unit's connection."""
    found: int = unit.session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return found


def end(database_url: str, server_process: int) -> None:
    """Ends that process and waits until it has."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other:
        assert other.execute("SELECT pg_terminate_backend(%s, 10000)", [server_process]).fetchone() == (True,)


def test_pooled_connection_that_the_server_ended_is_replaced(database: Database, database_url: str) -> None:
    """After a restart of the server no request fails for the connections that were idle meanwhile."""
    with database.unit() as unit:
        used = pid(unit)
    with database.unit() as unit:
        assert pid(unit) == used
    end(database_url, used)
    with database.unit() as unit:
        assert pid(unit) != used


def test_connection_that_ends_within_a_unit_is_unavailable(database: Database, database_url: str) -> None:
    """Then nobody knows what was done: the caller is told."""
    with pytest.raises(Unavailable), database.unit() as unit:
        end(database_url, pid(unit))
        pid(unit)


def test_connection_that_ends_before_rows_are_inserted_is_unavailable(database: Database, database_url: str) -> None:
    """The insertion has its own way to the driver, and the same answer."""
    with pytest.raises(Unavailable), database.unit() as unit:
        end(database_url, pid(unit))
        unit.insert(Allocation(host="a", port=1, instance_id="i1", name="client"))
    with database.unit() as unit:
        pid(unit)


def test_connection_that_ends_while_a_draft_is_inserted_is_unavailable(database: Database, database_url: str) -> None:
    """Nobody knows then whether it was; the next one has another connection."""
    with database.unit() as unit:
        unit.seal(Operation(id="o0"), request={})  # from now on it is known which key seals
    draft = database.draft()
    assert draft is not None
    with psycopg.connect(database_url.replace("+psycopg", "")) as other, ThreadPoolExecutor() as threads:
        other.execute("LOCK TABLE allocations")
        inserting = threads.submit(draft.insert, Allocation(host="a", port=1, instance_id="i1", name="client"))
        while not (found := other.execute("SELECT pid FROM pg_locks WHERE NOT granted").fetchall()):
            pass
        end(database_url, found[0][0])
        with pytest.raises(Unavailable):
            inserting.result()
    draft.insert(Progress(operation_id="o1", text="queued"), _operation("o1"))
    with database.unit() as unit:
        assert [line.text for line in unit.progress("o1")] == ["queued"]


def test_draft_is_inserted_after_the_driver_has_forgotten_what_it_prepared(database: Database, database_url: str, key_file: Path) -> None:
    """After a rollback it has the server forget all prepared statements of a connection, ours too."""
    with contextlib.closing(Database(database_url, Keyring.load(key_file), pool_size=1)) as alone:
        with alone.unit() as unit:
            unit.seal(Operation(id="o0"), request={})
        draft = alone.draft()
        assert draft is not None
        draft.insert(_operation("o1"))
        with pytest.raises(ValueError, match="wrong"), alone.unit() as unit:
            for _ in range(10):  # often enough to be prepared
                unit.standing("o1")
            raise ValueError("wrong")
        draft.insert(_operation("o2"))
    with database.unit() as unit:
        assert unit.standing("o2").state == "queued"


def _operation(id_: str) -> Operation:
    return Operation(id=id_, kind="bind", instance_id="i1", requested_by="ann", state="queued", deadline_at=datetime.now(UTC))


def test_unit_without_a_free_connection_is_unavailable(database_url: str, key_file: Path) -> None:
    """All are in use for longer than a unit waits: the platform is told to come back, not that the broker failed."""
    database = Database(database_url, Keyring.load(key_file), pool_size=1, pool_wait_seconds=0.05)
    with contextlib.closing(database), contextlib.ExitStack() as held:
        for _ in range(11):  # SQLAlchemy lends ten more when it must
            pid(held.enter_context(database.unit()))
        refused = pytest.raises(Unavailable, match="all connections to it are in use")
        with refused, database.unit() as unit:
            pid(unit)


def test_unit_that_stops_in_the_middle_gives_up_its_locks(database_url: str, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process was stopped, or its network cut: others need not wait for it, and it can write nothing when it goes on."""
    monkeypatch.setattr("apb_broker.storage.database.IDLE_TRANSACTION_SECONDS", 0.3)
    stopped, other = (Database(database_url, Keyring.load(key_file)) for _ in range(2))
    with contextlib.closing(stopped), contextlib.closing(other), pytest.raises(Unavailable), stopped.unit() as unit:
        unit.lock_instance("i1")
        with other.unit() as waiting:
            waiting.lock_instance("i1")
        unit.flush()
        pid(unit)


def test_connection_takes_what_its_url_says_of_patience() -> None:
    """Whoever has a slow network says so there."""
    assert "connect_timeout" not in patience("postgresql://apb@db/apb?connect_timeout=60")
    assert patience("postgresql://apb@db/apb")["connect_timeout"] == 5
