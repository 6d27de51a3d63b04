"""Raw bytes to a real server: an answer that is HTTP and no 5xx, or a closed connection, in time; no effect of what must not have one."""

import collections
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from apb_broker.lifecycle.broker import Broker
from apb_broker.storage.database import Database
from apb_broker.storage.tables import Table
from tests import scenarios
from tests.fuzz import budget, messages, wire
from tests.fuzz.conftest import CONFIG
from tests.fuzz.messages import Message, Valid
from tests.fuzz.sensible import BINDINGS, INSTANCES, Plans
from tests.fuzz.workers import Workers

NO_EFFECT = {"workers", "keys", "key_holders"}  # tables that change without any request
BATCH = 10
Address = tuple[str, int]


@pytest.fixture(scope="module")
def address(database_url: str, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Where `apb serve` listens, on the database of the tests."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    state = tmp_path_factory.mktemp("state")
    for name in ("admin.password", "server.password"):
        (state / name).touch(mode=0o600)
        (state / name).write_text("secret of the operator")
    (state / "apb.yml").write_text(CONFIG.format(port=port))
    shutil.copy(key_file, state / "keys")
    with (state / "log").open("wb") as log:
        command = [sys.executable, str(Path(__file__).parent / "serving.py"), str(state)]
        environment = {**os.environ, "DATABASE_URL": database_url}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        try:
            _wait_for(server, ("127.0.0.1", port), state / "log")
            yield "127.0.0.1", port
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(server: subprocess.Popen[bytes], address: Address, log: Path) -> None:
    give_up = time.monotonic() + 60
    while True:
        assert server.poll() is None and time.monotonic() < give_up, log.read_text()
        try:
            if wire.exchange(address, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").status == 200:
                return
        except OSError:
            time.sleep(0.1)


@pytest.fixture
def valid(fuzzed: Broker, workers: Workers) -> Valid:
    """Valid requests about what there is: two instances with bindings, one that is being made."""
    workers.make(INSTANCES[:2], BINDINGS[0])
    service_id, plan_id, _plan = Plans(fuzzed).of(INSTANCES[2])
    scenarios.provision(fuzzed, INSTANCES[2], service_id=service_id, plan_id=plan_id, organization="here", space="here")
    return Valid(Plans(fuzzed), random.Random(budget.SEED))


class Sent:
    """What was sent, and which answers are not as they should be; one does not end the run, and so does not hide the others."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.statuses: list[int | None] = []
        self.wrong: list[str] = []

    def send(self, data: bytes, *, is_whole: bool, wanted: Callable[[int], bool]) -> None:
        """Sends it, and looks whether the answer is one that is wanted, or else the server has closed."""
        try:
            status = wire.exchange(self._address, data, is_whole=is_whole).status
        except wire.Broken as error:
            self.wrong.append(f"{error}: {data[:1000]!r}")
            return
        self.statuses.append(status)
        if is_whole if status is None else not wanted(status):
            self.wrong.append(f"{status}: {data[:1000]!r}")

    def check(self, wanted: int) -> None:
        """All were sent, and nothing was wrong."""
        print(collections.Counter(self.statuses))
        assert not self.wrong, "\n".join([f"{len(self.wrong)} wrong answers", *self.wrong[:10], budget.told()])
        assert len(self.statuses) >= wanted, budget.told()


def test_unauthenticated_requests_are_refused_and_change_nothing(address: Address, valid: Valid, database: Database) -> None:
    """Whoever does not say who asks gets a 401 for any request (429 when that happens too often), and a 4xx for what is no request."""
    chance, sent = random.Random(budget.SEED), Sent(address)

    def send() -> bytes:
        message = messages.unauthenticated(valid.any(), chance)
        if chance.random() < 0.5:
            data = message.written()
            sent.send(data, is_whole=True, wanted=lambda status: status in (401, 429))
        else:
            data = messages.mutated(message.written(), chance)
            sent.send(data, is_whole=False, wanted=lambda status: 400 <= status < 500)
        return data

    _send_and_compare(database, sent, send, budget.share("bytes") // 4)


def test_malformed_requests_are_refused_and_change_nothing(address: Address, valid: Valid, database: Database) -> None:
    """Bodies, lengths, chunks, headers, identities and ids that are no good: a 4xx, or the end of the connection."""
    chance, sent = random.Random(budget.SEED), Sent(address)

    def send() -> bytes:
        message = messages.malformed(valid.changing(), chance)
        sent.send(message.written(), is_whole=message.is_whole, wanted=_is_refusal)
        return message.written()

    _send_and_compare(database, sent, send, budget.share("bytes") // 4)


def _is_refusal(status: int) -> bool:
    return 400 <= status < 500 and status != 429


def _send_and_compare(database: Database, sent: Sent, send: Callable[[], bytes], wanted: int) -> None:
    before = _all_rows(database)
    for _batch in range(-(-wanted // BATCH)):
        batch = [send()[:500] for _request in range(BATCH)]
        if _all_rows(database) != before:
            sent.wrong.append(f"one of these had an effect: {batch}")
            break
    sent.check(wanted)


def _all_rows(database: Database) -> dict[str, list[str]]:
    tables = [table.name for table in Table.metadata.sorted_tables if table.name not in NO_EFFECT]
    with database.engine.begin() as connection:
        return {name: list(connection.scalars(sqlalchemy.text(f'SELECT t::text FROM "{name}" t ORDER BY 1'))) for name in tables}


def test_mutated_requests_are_answered(address: Address, valid: Valid, workers: Workers) -> None:
    """Requests with some bytes changed, between valid ones, while operations go on: no answer is a 5xx, none is missing."""
    chance, sent = random.Random(budget.SEED), Sent(address)
    wanted = budget.share("bytes") - 2 * (budget.share("bytes") // 4)
    with workers.busily():
        for _request in range(wanted):
            data = valid.any().written()
            if chance.random() < 0.5:
                sent.send(data, is_whole=True, wanted=lambda status: status < 500)
            else:
                sent.send(messages.mutated(data, chance), is_whole=False, wanted=lambda status: status < 500)
    sent.check(wanted)
    succeeded = sum(1 for status in sent.statuses if status is not None and status < 300)
    assert succeeded > 0.25 * wanted, f"{succeeded} of {wanted}; {budget.told()}"


def test_a_line_can_be_as_long_as_the_server_allows(address: Address) -> None:
    """The server's own limits are answered with a 4xx too."""
    for data in (b"GET /" + b"x" * 70_000, Message("GET", "/" + "x" * 9000).written()):
        answer = wire.exchange(address, data, is_whole=False)
        assert answer.status is None or 400 <= answer.status < 500


def test_clients_that_say_nothing_more_do_not_stop_the_server(address: Address) -> None:
    """More connections than there are threads, each in the middle of a request: others are answered meanwhile."""
    with contextlib.ExitStack() as stalled:
        for number in range(60):
            connection = stalled.enter_context(socket.create_connection(address, timeout=5))
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n" if number % 2 else b"GET /li")
        assert wire.exchange(address, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", limit_seconds=40).status == 200
