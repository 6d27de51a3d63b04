"""Drafts that several threads have ready at the same time: one statement writes them, and each thread gets its own answer."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from apb_broker.storage import tables
from apb_broker.storage.database import Database
from apb_broker.storage.errors import Taken, Unavailable
from apb_broker.storage.gathering import Gathering
from apb_broker.storage.insertion import is_refusal
from apb_broker.storage.tables import Instance, Reservation

LONG = 60.0


class Writers:
    """Threads with a draft each. The first one waits for whoever holds its id, and all others gather behind it."""

    def __init__(self, database: Database, url: str, threads: ThreadPoolExecutor) -> None:
        self._database, self._url, self._threads = database, url.replace("+psycopg", ""), threads
        self._database._drafts = Gathering(database._insert_all, is_refusal, patience_seconds=LONG)

    @contextlib.contextmanager
    def holding(self, id_: str) -> Iterator[psycopg.Connection]:
        """Somebody else inserts that instance, and changes his mind."""
        with psycopg.connect(self._url) as other:
            names = ", ".join(VALUES)
            other.execute(f"INSERT INTO instances (id, {names}) SELECT %s, {names} FROM instances WHERE id = 'i0'", [id_])
            yield other
            other.rollback()

    def submit(self, first: str, *others: str) -> list[Future[None]]:
        """Each in a thread of its own: the first one waits for the database, the others for their turn, in this order."""
        found = [self._threads.submit(self.insert, first)]
        self.await_blocked()
        for number, id_ in enumerate(others, 1):
            found.append(self._threads.submit(self.insert, id_))
            while len(self._database._drafts._queue) < number:
                pass
        return found

    def insert(self, id_: str) -> None:
        """In this thread."""
        draft = self._database.draft()
        assert draft is not None
        instance = tables.new(Instance, id=id_, **VALUES)
        draft.seal(instance, parameters={"of": id_})
        draft.insert(instance, tables.new(Reservation, instance_id=id_, copy=0, place="a", memory_gb=1), notify="apb_operations")

    def await_blocked(self) -> int:
        """The server's process that waits for another transaction, once one does."""
        with psycopg.connect(self._url, autocommit=True) as other:
            while (found := other.execute("SELECT pid FROM pg_locks WHERE NOT granted").fetchone()) is None:
                pass
            return int(found[0])

    def end(self, server_process: int) -> None:
        """Ends that process and waits until it has."""
        with psycopg.connect(self._url, autocommit=True) as other:
            assert other.execute("SELECT pg_terminate_backend(%s, 10000)", [server_process]).fetchone() == (True,)

    def written(self) -> list[set[str]]:
        """The ids of instances, by the transaction that wrote them, in their order."""
        with psycopg.connect(self._url, autocommit=True) as other:
            by_transaction = "GROUP BY xmin::text::bigint ORDER BY xmin::text::bigint"
            rows = other.execute(f"SELECT array_agg(id) FROM instances WHERE id <> 'i0' {by_transaction}").fetchall()
            return [set(ids) for (ids,) in rows]


VALUES = {
    "organization": "o", "space": "s", "requested_by": "ann", "context": {}, "service_id": "s", "service_name": "redis", "plan_id": "p",
    "plan_name": "redis-standard", "plan_snapshot": b"{}", "role": "r", "role_version": "1", "mode": "host", "state": "provisioning",
    "names": {}, "placement": {}, "ports": {}, "connection": {},
}  # fmt: skip


@pytest.fixture
def writers(database: Database, database_url: str) -> Iterator[Writers]:
    """On an empty database with an instance, which has said which key seals."""
    with database.unit() as unit:
        instance = tables.new(Instance, id="i0", **VALUES)
        unit.seal(instance, parameters={})
        unit.insert(instance)
    with ThreadPoolExecutor(16) as threads:
        yield Writers(database, database_url, threads)


def test_drafts_that_wait_are_written_by_one_statement(writers: Writers, database: Database) -> None:
    """Each as it was drafted: what was sealed opens in its own row."""
    with writers.holding("a"):
        done = writers.submit("a", "d", "b", "c")
    for each in done:
        each.result(LONG)
    assert writers.written() == [{"a"}, {"b", "c", "d"}]
    with database.unit() as unit:
        for id_ in "abcd":
            instance = unit.instance(id_)
            assert instance is not None
            assert instance.parameters == {"of": id_}
            assert unit.reserved(id_) == {0: 1}


def test_draft_that_is_refused_refuses_no_other(writers: Writers) -> None:
    """An id that somebody has, and one that two want at the same time: the others are written, and one of the two."""
    with writers.holding("a"):
        done = writers.submit("a", "b", "i0", "c", "d", "d")
    refused = [isinstance(each.exception(LONG), Taken) for each in done]
    assert refused[:4] == [False, False, True, False]
    assert sorted(refused[4:]) == [False, True]
    assert set().union(*writers.written()) == {"a", "b", "c", "d"}


def test_drafts_whose_connection_is_lost_are_unavailable(writers: Writers) -> None:
    """Nobody knows then whether they were written, so nobody writes them again. Later ones have another connection."""
    with writers.holding("c"):
        with writers.holding("a"):
            done = writers.submit("a", "b", "c", "d")
        done[0].result(LONG)
        writers.end(writers.await_blocked())
        for each in done[1:]:
            with pytest.raises(Unavailable):
                each.result(LONG)
    assert writers.written() == [{"a"}]
    writers.insert("e")
    assert writers.written() == [{"a"}, {"e"}]


def test_drafts_that_another_key_has_sealed_are_refused(writers: Writers, database: Database, database_url: str) -> None:
    """The statement of several asks for the key as that of one does: none is written, and the next one has to look."""
    change = "UPDATE keys SET canary = %s WHERE seals RETURNING (SELECT canary FROM keys WHERE seals)"
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other, writers.holding("a"):
        done = writers.submit("a", "b", "c")
        (before,) = other.execute(change, ["another key's"]).fetchall()[0]
    try:
        assert [isinstance(each.exception(LONG), Taken) for each in done] == [False, True, True]
        assert writers.written() == [{"a"}]
        assert database.draft() is None
    finally:
        with psycopg.connect(database_url.replace("+psycopg", "")) as other:
            other.execute(change, [before])
