"""Which key seals, and key files that do not fit."""

import base64
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from apb_broker.storage import errors, keys, tables
from apb_broker.storage.database import Database
from apb_broker.storage.sealing import Keyring
from tests import scenarios

Open = Callable[..., Database]


def line(label: str) -> str:
    """A new key as a key file has it."""
    return f"{label} {base64.b64encode(os.urandom(32)).decode()}\n"


def write(path: Path, *lines: str) -> Path:
    """A key file with these lines."""
    path.touch(0o600)
    path.write_text("".join(lines))
    return path


@pytest.fixture
def with_keys(database: Database, database_url: str, tmp_path: Path) -> Iterator[Open]:
    """The tests' database, empty, as a process with these lines in its key file opens it; a process each time."""
    opened: list[Database] = []

    def make(*lines: str) -> Database:
        opened.append(Database(database_url, Keyring.load(write(tmp_path / f"keys-{len(opened)}", *lines))))
        return opened[-1]

    yield make
    scenarios.empty(database)
    for each in opened:
        each.close()


def keep(database: Database, id_: str) -> None:
    """A sealed value of an operation."""
    with database.unit() as unit:
        row = tables.Operation(id=id_, kind="bind", instance_id="i", requested_by="ann", state="queued", deadline_at=unit.now())
        unit.seal(row, request=id_)
        unit.insert(row)


def kept(database: Database, id_: str) -> tuple[str, object]:
    """The label of that value, and the value."""
    with database.unit() as unit:
        row = unit.operation(id_)
        assert row is not None and row.request_sealed is not None
        return row.request_sealed.partition(":")[0], row.request


def test_last_key_of_the_first_process_seals(with_keys: Open) -> None:
    """From then on the database says which, whatever the order in the files of others."""
    first, second = line("k1"), line("k2")
    keep(with_keys(second, first), "a")
    keep(with_keys(first, second), "b")
    other = with_keys(first, second)
    other.admit()
    assert (kept(other, "a"), kept(other, "b")) == (("k1", "a"), ("k1", "b"))


def test_first_values_of_two_processes_are_sealed_with_one_key(with_keys: Open) -> None:
    """Both find none; one of both registers it."""
    first, second = line("k1"), line("k2")
    databases = [with_keys(*lines) for lines in ((first, second), (second, first)) * 2]
    ready = threading.Barrier(len(databases))

    def begin(number: int) -> None:
        ready.wait(10)
        keep(databases[number], f"v{number}")

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(len(databases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({kept(databases[0], f"v{number}")[0] for number in range(len(databases))}) == 1


def test_other_key_of_the_same_name_is_refused(with_keys: Open) -> None:
    """Also before anything but the canary is sealed: two machines that both made their first key must not go on with both."""
    with_keys(line("k1")).admit()
    other = with_keys(line("k1"))
    with pytest.raises(
        errors.WrongKey, match=r"'k1' in .* is another one than the 'k1' of this database \(no values are sealed with it\): copy"
    ):
        other.admit()
    with pytest.raises(errors.Unavailable, match="'k1' seals, and the key file of this process holds another one"):
        keep(other, "a")


def test_key_that_values_are_sealed_with_is_missed(with_keys: Open) -> None:
    """The message tells which, where, how many and the cure. Once nothing is sealed with it, nobody misses it."""
    first, second = line("k1"), line("k2")
    old = with_keys(first)
    keep(old, "a")
    both = with_keys(first, second)
    with both.unit() as unit:
        keys.register(unit.session, both.keyring, "k2")
        keys.choose(unit.session, "k2", timeout_seconds=1)
    lacking = with_keys(second)
    with pytest.raises(errors.WrongKey, match=r"keys-2 lacks key 'k1' of this database \(1 value is sealed with it\): put its line back"):
        lacking.admit()
    with both.unit() as unit:
        unit.delete(unit.operation("a"))
    lacking.admit()
    with pytest.raises(errors.WrongKey, match=r"lacks key 'k2' of this database \(it is the one that seals\)"):
        with_keys(first).admit()


def test_draft_that_another_key_has_sealed_is_refused(with_keys: Open) -> None:
    """A process remembers which key sealed last; the statement that inserts asks whether it still does, and writes nothing if not."""
    first, second = line("k1"), line("k2")
    here, elsewhere = with_keys(first, second), with_keys(first, second)
    assert here.draft() is None
    keep(elsewhere, "a")
    with here.unit() as unit:
        keys.register(unit.session, here.keyring, "k1")
        unit.seal(tables.Operation(id="b"), request="b")
    draft = here.draft()
    assert draft is not None
    row = tables.Operation(id="c", kind="bind", instance_id="i", requested_by="ann", state="queued", deadline_at=datetime.now(UTC))
    draft.seal(row, request="c")
    with elsewhere.unit() as unit:
        keys.register(unit.session, elsewhere.keyring, "k1")
        assert keys.choose(unit.session, "k1", timeout_seconds=1)
    with pytest.raises(errors.Taken):
        draft.insert(row)
    assert here.draft() is None
    with here.unit() as unit:
        assert unit.operation("c") is None
        unit.seal(row, request="c")
        unit.insert(row)
    assert kept(here, "c") == ("k1", "c")


def test_values_of_an_earlier_release_say_which_key_it_was(with_keys: Open, database: Database) -> None:
    """It sealed before there was a table of keys: a value itself is opened, and every key that is used gets its canary."""
    first, second = line("k1"), line("k2")
    keep(with_keys(first), "a")
    with database.engine.begin() as connection:
        connection.execute(text("TRUNCATE keys"))
    with pytest.raises(errors.WrongKey, match=r"is another one than the 'k1' of this database \(1 value is"):
        with_keys(second, line("k1")).admit()
    both = with_keys(first, second)
    both.admit()
    with both.unit() as unit:
        assert {key.label: key.seals for key in keys.registered(unit.session)} == {"k1": False, "k2": True}
    keep(both, "b")
    assert kept(both, "b")[0] == "k2"


def test_key_that_is_chosen_seals_in_every_process_at_once(with_keys: Open) -> None:
    """Whoever seals just now is waited for, so that nothing is sealed with the old one once another was chosen; not for ever, though."""
    first, second = line("k1"), line("k2")
    here, there = with_keys(first, second), with_keys(first)
    keep(there, "a")
    with here.unit() as unit:
        keys.register(unit.session, here.keyring, "k2")
    with there.unit() as sealing:
        operation = sealing.operation("a")
        assert operation is not None
        operation.request = "changed"
        with pytest.raises(errors.Unavailable), here.unit() as unit:
            keys.choose(unit.session, "k2", timeout_seconds=0.1)
    with here.unit() as unit:
        assert keys.choose(unit.session, "k2", timeout_seconds=5)
        assert not keys.choose(unit.session, "k2", timeout_seconds=5)
    with pytest.raises(errors.Unavailable, match="'k2' seals, which the key file of this process lacks"):
        keep(there, "b")
    write(there.keyring.path, second, first)
    keep(there, "b")
    assert [kept(there, id_) for id_ in ("a", "b")] == [("k1", "changed"), ("k2", "b")]
