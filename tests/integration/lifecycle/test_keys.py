"""Keys are rotated while everybody goes on: nothing is forgotten, nothing is lost, and nobody is left without the key."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from apb_broker.keyring import Keys
from apb_broker.lifecycle import bindings, fleet, instances, keys
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.errors import Refused, Unsupported
from apb_broker.storage import resealing, tables, workers
from apb_broker.storage.database import Database
from apb_broker.storage.sealing import Keyring
from apb_broker.storage.tables import Binding, Instance, Operation
from apb_cli.main import app
from tests import scenarios

APB = [sys.executable, "-m", "apb_cli.main", "keys"]


@pytest.fixture
def file(tmp_path: Path, database: Database, database_url: str) -> Iterator[Path]:
    """The key file of a machine that works on an empty database; `apb keys` finds both in its directory."""
    (tmp_path / "database.url").touch(0o600)
    (tmp_path / "database.url").write_text(database_url)
    keyfile_of(tmp_path / "keys", "old")
    yield tmp_path / "keys"
    scenarios.empty(database)


def keyfile_of(path: Path, label: str) -> None:
    """A key file with one new key."""
    path.touch(0o600)
    path.write_text(f"{label} {base64.b64encode(os.urandom(32)).decode()}\n")


@pytest.fixture
def here(file: Path, database_url: str) -> Iterator[Keys]:
    """The keys of that machine."""
    database = Database(database_url, Keyring.load(file))
    database.admit()
    yield Keys(file, database)
    database.close()


@pytest.fixture
def using(here: Keys, broker: Broker) -> Broker:
    """A broker with these keys."""
    return Broker(here.database, broker.catalog, broker.settings)


def nothing(_done: int, _total: int) -> None:
    """Says nothing."""


def sealed_anywhere(database: Database, label: str) -> list[str]:
    """Every column of every table, whatever the code knows of it, in which something is sealed with that key; canaries aside."""
    with database.engine.connect() as connection:
        columns = connection.execute(
            text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'keys'")
        ).all()
        return [
            f"{table}.{column}"
            for table, column in columns
            if connection.execute(
                text(f'SELECT count(*) FROM "{table}" WHERE "{column}"::text LIKE :beginning'), {"beginning": f"%{label}:%"}
            ).scalar_one()
        ]


def fill(database: Database, count: int) -> None:
    """So many instances, bindings and operations with a value in each of their sealed columns: where it is."""
    made = {"context": {}, "requested_by": "ann"}
    texts = ("organization", "space", "service_id", "service_name", "plan_id", "plan_name", "role", "role_version", "mode", "state")
    objects = ("plan_snapshot", "names", "placement", "ports", "connection")
    for number in range(count):
        id_ = f"i{number:04}"
        with database.unit() as unit:
            rows = (
                Instance(id=id_, **made, **dict.fromkeys(texts, "x"), **{name: {} for name in objects}),
                Binding(instance_id=id_, id="b", **made, state="ready", username="u"),
                Operation(id=id_, kind="bind", instance_id=id_, requested_by="ann", state="queued", deadline_at=unit.now()),
            )
            for row in rows:
                values = tables.sealed()[type(row)]
                unit.seal(row, **{value.name: f"{row.__tablename__}.{value.column}/{id_}" for value in values})
            unit.insert(*rows)


def filled(database: Database) -> dict[str, tuple[Any, Any]]:
    """Every sealed value by what it should be, with when its row was last changed."""
    found = {}
    with database.unit() as unit:
        for table, values in tables.sealed().items():
            for row in unit.session.query(table):
                for value in values:
                    id_ = getattr(row, "instance_id", None) or row.id
                    found[f"{row.__tablename__}.{value.column}/{id_}"] = (getattr(row, value.name), getattr(row, "updated_at", None))
    return found


def test_rotation_reaches_every_sealed_column(here: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches smaller than the tables. What was sealed with the old key is nowhere any more, and rows do not look changed."""
    monkeypatch.setattr(resealing, "BATCH_ROWS", 3)
    fill(here.database, 7)
    columns = {f"{table.__tablename__}.{value.column}" for table, values in tables.sealed().items() for value in values}
    assert set(sealed_anywhere(here.database, "old")) == columns
    before = filled(here.database)
    here.add("new")
    said: list[tuple[int, int]] = []
    assert here.rotate("new", lambda *figures: said.append(figures)) == []
    assert set(sealed_anywhere(here.database, "new")) == columns
    assert sealed_anywhere(here.database, "old") == []
    assert filled(here.database) == before
    assert all(name == value for name, (value, _) in before.items())
    assert (said[0], said[-1]) == ((0, 7 * len(columns)), (7 * len(columns),) * 2)
    assert len(said) > len(tables.sealed()) * 2


@dataclass
class Writers:
    """Threads that change the same few rows all the time, as the broker does, and remember what they wrote last."""

    database: Database

    def __post_init__(self) -> None:
        self.last: dict[str, int] = {}
        self.longest_seconds = 0.0
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(f"i{number:04}",)) for number in range(4)]
        for thread in self._threads:
            thread.start()

    def _write(self, id_: str) -> None:
        try:
            while not self._stop.is_set():
                self._write_once(id_)
        except BaseException as error:
            self.errors.append(error)

    def _write_once(self, id_: str) -> None:
        number = self.last.get(id_, 0) + 1
        with self.database.unit() as unit:
            unit.lock_instance(id_)
            instance, binding = unit.instance(id_), unit.binding(id_, "b")
            assert instance is not None and binding is not None
            assert instance.secrets == (self.last.get(id_) or f"instances.secrets_sealed/{id_}")
            instance.secrets = binding.credentials = number
        self.last[id_] = number

    def end(self) -> None:
        """Stops them; what one of them found wrong is raised."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        for error in self.errors:
            raise error


def test_no_change_is_lost_while_keys_are_rotated(here: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are changed all the time, and in the end they hold what was written last, sealed with the key that seals."""
    monkeypatch.setattr(resealing, "BATCH_ROWS", 2)
    fill(here.database, 20)
    here.add("new")
    writers = Writers(here.database)
    try:
        for label in ("new", "old", "new"):
            assert here.rotate(label, nothing) == []
    finally:
        writers.end()
    values = filled(here.database)
    for id_, number in writers.last.items():
        assert values[f"instances.secrets_sealed/{id_}"][0] == values[f"bindings.credentials_sealed/{id_}"][0] == number
    assert min(writers.last.values()) > 5
    assert sealed_anywhere(here.database, "old") == []


def test_row_that_somebody_works_on_is_sealed_anew_later(here: Keys) -> None:
    """Neither waits for the other: the rest is done meanwhile, and the row when its transaction has ended."""
    fill(here.database, 3)
    here.add("new")
    rest_is_done, said = threading.Event(), []

    def say(done: int, total: int) -> None:
        said.append((done, total))
        if total - done == len(tables.sealed()[Instance]):
            rest_is_done.set()

    with here.database.engine.connect() as working:
        working.execute(text("UPDATE instances SET name = 'changed' WHERE id = 'i0001'"))
        rotation = threading.Thread(target=here.rotate, args=("new", say))
        rotation.start()
        assert rest_is_done.wait(30), said
        assert set(sealed_anywhere(here.database, "old")) == {f"instances.{value.column}" for value in tables.sealed()[Instance]}
        working.commit()
    rotation.join(30)
    assert not rotation.is_alive()
    assert sealed_anywhere(here.database, "old") == []
    with here.database.unit() as unit:
        row = unit.instance("i0001")
        assert row is not None and (row.name, row.secrets) == ("changed", "instances.secrets_sealed/i0001")


def test_killed_rotation_is_ended_by_the_next(here: Keys, file: Path) -> None:
    """SIGKILL in its middle: both keys are in use and everything opens; the same command again does the rest."""
    fill(here.database, 400)
    before = filled(here.database)
    here.add("new")
    command = [*APB, "rotate", "new", "--state-dir", str(file.parent)]
    rotation = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert rotation.stdout is not None
    for said in rotation.stdout:
        if not said.startswith("0 of "):
            break
    rotation.send_signal(signal.SIGKILL)
    rotation.stdout.close()
    assert rotation.wait(10) == -signal.SIGKILL
    used = {one.label: one.values for one in here.standings()}
    assert used["old"] and used["new"]
    assert filled(here.database) == before
    again = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {"label": "new", "values": used["old"], "failed": []}
    assert sealed_anywhere(here.database, "old") == []
    assert filled(here.database) == before


def test_value_that_does_not_open_is_told_and_left(here: Keys) -> None:
    """The others are done; the key that it says to be sealed with stays needed."""
    fill(here.database, 2)
    with here.database.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET secrets_sealed = (SELECT secrets_sealed FROM instances WHERE id = 'i0000')"))
    here.add("new")
    assert here.rotate("new", nothing) == ["instances/i0001/secrets does not open with key 'old'"]
    assert sealed_anywhere(here.database, "old") == ["instances.secrets_sealed"]
    with pytest.raises(Unsupported, match="1 value is sealed with key 'old'"):
        here.remove("old")


def test_key_seals_only_when_everybody_has_it(here: Keys, using: Broker, file: Path, database_url: str, tmp_path: Path) -> None:
    """A process that lives has to have said so; those of other machines and of the previous release, too."""
    keyfile_of(tmp_path / "elsewhere", "other")
    (tmp_path / "elsewhere").write_text((tmp_path / "elsewhere").read_text() + file.read_text())
    there = Broker(Database(database_url, Keyring.load(tmp_path / "elsewhere")), using.catalog, using.settings)
    fleet.report_keys(using, "serve", "here/1")
    fleet.report_alive(there, "there/2", 0)
    here.add("new")
    fleet.report_keys(using, "serve", "here/1")
    with pytest.raises(Unsupported, match=r"key 'new' is missing at worker there/2: copy its line into the key file there"):
        here.rotate("new", nothing)
    assert {one.label: one.missing_at for one in here.standings()} == {"old": (), "new": ("worker there/2",)}
    (tmp_path / "elsewhere").write_text(file.read_text())
    fleet.report_alive(there, "there/2", 0)
    with using.database.unit() as unit:
        workers.heard_of(unit, owner="earlier/3", version="0.0.1", concurrency=1, running=0)
    with pytest.raises(Unsupported, match=r"missing at worker earlier/3 \(does not say which keys it has: an earlier release\?\)"):
        here.rotate("new", nothing)
    with using.database.unit() as unit:
        workers.gone(unit, "earlier/3")
    here.rotate("new", nothing)
    fleet.report_stopped(there, "there/2")
    assert {one.label: one.seals for one in here.standings()} == {"old": False, "new": True}
    there.database.close()


def test_key_is_removed_when_nothing_needs_it(here: Keys, using: Broker, file: Path) -> None:
    """Not while it seals, nor while a value is sealed with it; then from database and file, and everything goes on without it."""
    instance_id = scenarios.ready(using)
    scenarios.bind(using, instance_id)
    scenarios.run(using, scenarios.BOUND)
    with pytest.raises(Unsupported, match="'old' is the only key in"):
        here.remove("old")
    here.add("new")
    with pytest.raises(Unsupported, match=r"values are sealed with key 'old': `apb keys rotate` to another first"):
        here.remove("old")
    here.rotate("new", nothing)
    assert here.remove("old")
    assert [made.partition(" ")[0] for made in file.read_text().splitlines()] == ["new"]
    assert file.stat().st_mode & 0o777 == 0o600
    fresh = Database(str(using.database.engine.url.render_as_string(hide_password=False)), Keyring.load(file))
    fresh.admit()
    again = Broker(fresh, using.catalog, using.settings)
    assert bindings.fetch(again, scenarios.ANN, instance_id, "b1")["credentials"] == scenarios.CREDENTIALS
    assert instances.fetch(again, scenarios.ANN, instance_id)["parameters"]
    fresh.close()


def test_two_rotations_at_once_are_refused(here: Keys) -> None:
    """To different keys neither would end."""
    fill(here.database, 1)
    here.add("new")
    refused: list[BaseException] = []

    def say(_done: int, _total: int) -> None:
        if not refused:
            with pytest.raises(Unsupported, match="being rotated already") as caught:
                here.rotate("old", nothing)
            refused.append(caught.value)

    here.rotate("new", say)
    assert refused


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda here: here.add("a:b"), "label 'a:b': expected 1 to 64 letters"),
        (lambda here: here.add("old"), "this machine's key file has a key 'old' already"),
        (lambda here: here.rotate("none", nothing), "has no key 'none': `apb keys add none`"),
    ],
)
def test_refusals_tell_the_cure(here: Keys, act: Callable[[Keys], object], said: str) -> None:
    """And change nothing."""
    before = here.file.read_bytes()
    with pytest.raises(Refused, match=said):
        act(here)
    assert here.file.read_bytes() == before
    assert [(one.label, one.here) for one in here.standings()] == [("old", "yes")]


def test_keys_are_done_with_on_the_command_line(here: Keys, using: Broker, file: Path) -> None:
    """Added, listed, rotated, removed; no key is ever shown, and the audit tells who did it."""
    instance_id = scenarios.ready(using)
    shown = ""

    def apb(*words: str) -> Any:
        nonlocal shown
        done = CliRunner().invoke(app, ["keys", *words, "--state-dir", str(file.parent), "-o", "json"])
        shown += done.stdout + done.stderr
        return json.loads(done.stdout) if done.exit_code == 0 else (done.exit_code, done.stderr)

    assert apb("add") == {"label": "key-1", "file": str(file)}
    listed = {one["label"]: one for one in apb("list")}
    assert {label: (one["seals"], one["here"], one["values"] > 0) for label, one in listed.items()} == {
        "old": (True, "yes", True),
        "key-1": (False, "yes", False),
    }
    assert apb("remove", "old", "--yes")[0] == 4
    assert apb("rotate", "key-1")["failed"] == []
    assert apb("remove", "old", "--yes") == {"label": "old", "was_here": True}
    assert [(one["label"], one["seals"]) for one in apb("list")] == [("key-1", True)]
    assert instances.fetch(using, scenarios.ANN, instance_id)["parameters"]
    assert not any(made.split()[1] in shown for made in file.read_text().splitlines())
    with using.database.engine.connect() as connection:
        done = connection.execute(
            text("SELECT action, detail FROM audit WHERE principal = 'apb keys' ORDER BY sequence DESC LIMIT 3")
        ).all()
    assert [tuple(row) for row in done] == [("remove key", "old"), ("rotate keys", "key-1"), ("add key", "key-1")]
    assert keys.PRINCIPAL == "apb keys"
