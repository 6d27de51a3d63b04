"""Web and workers are replaced one after the other while platforms work: no request is lost, none is answered 5xx, nothing happens twice.

Two `apb serve` on two ports stand behind what a load balancer is to a platform: a connection that is refused goes to the other. Runs do
what a script says. APB_LOAD_SEED repeats what was drawn.
"""

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from apb_broker.storage.database import Database
from tests import ports
from tests.load import model
from tests.load.clients import Pace, Wire
from tests.load.history import clock
from tests.load.site import Site, ended, site, wait
from tests.load.test_scripted_load import DEADLINE_SECONDS, OFFERED, SETTINGS, counted, offer_crates

SEED = int(os.environ.get("APB_LOAD_SEED") or random.SystemRandom().randrange(10**6))
CLIENTS, INSTANCES, PAUSE_SECONDS = 24, [f"r{number}" for number in range(8)], 1.0
WORKERS, SERVERS = (0, 1), (2, 3)  # in the order of their start
LONGEST_SECONDS, SETTLE_SECONDS = 240, 120


class Balanced(httpx.BaseTransport):
    """A load balancer: to one of the servers, and to the other when that one refuses the connection. Nothing else is tried again."""

    def __init__(self, ports_of_servers: list[int]) -> None:
        self._ports = ports_of_servers
        self._plain = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Its answer. Raises httpx.TransportError."""
        first, second = random.sample(self._ports, 2)
        for port in (first, second, first):
            request.url = request.url.copy_with(port=port)
            try:
                return self._plain.handle_request(request)
            except httpx.ConnectError:
                continue
        raise httpx.ConnectError("no server takes connections", request=request)


@pytest.fixture
def crates(database: Database, database_url: str, short_directory: Path) -> Iterator[tuple[Site, list[int]]]:
    """Two servers on two ports, two workers."""
    listening = [ports.free(), ports.free()]
    with site(short_directory / "s", database_url, listen=f"127.0.0.1:{listening[0]}", ports="20000-20199", seed=SEED) as made:
        offer_crates(made, delay_seconds=[1, 2])  # longer than a worker that is told to stop waits for what it has in hand
        made.configure(settings={**SETTINGS, "drain_seconds": 0.2})
        for _ in range(2):
            made.start_one("worker")
        for port in listening:
            made.configure(listen=f"127.0.0.1:{port}")
            made.start_one("serve")
            wait(lambda port=port: is_ready(port), 60, "the start of a server")
        yield made, listening


def is_ready(port: int) -> bool:
    """Whether that server says that requests can be accepted, and that workers live."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK and answer.json()["workers"] >= 1


def replace_each(here: Site, listening: list[int], wire: Wire) -> None:
    """A rolling restart: each process is stopped, and its like started, before the next one's turn. Then a server is told to reload."""
    for worker in WORKERS:
        wait(lambda worker=worker: here.runs_of(worker, wire) >= 2, 60, "runs that a worker can hand back")
        here.stop_one(worker)
        here.start_one("worker", worker)
        go_on(wire)
    for server, port in zip(SERVERS, listening, strict=True):
        here.stop_one(server)
        here.configure(listen=f"127.0.0.1:{port}")
        here.start_one("serve", server)
        wait(lambda port=port: is_ready(port), 60, "the start of a server")
        go_on(wire)
    here.configure(listen=f"127.0.0.1:{listening[0]}")
    here.signal_one(SERVERS[0], signal.SIGHUP)
    wait(lambda: "configuration taken over" in (here.state.logs / f"serve-{SERVERS[0]}.log").read_text(), 60, "the reload")
    go_on(wire)


def go_on(wire: Wire) -> None:
    """For some more operations, so that each process has had its share before the next one goes."""
    enough = len(wire.accepted) + 12
    wait(lambda: len(wire.accepted) >= enough, 60, "more operations")


def test_nothing_is_lost_while_everything_is_replaced(crates: tuple[Site, list[int]], tmp_path: Path) -> None:
    """Every request is answered, none with 5xx; every 202 reaches an end; the model finds nothing double."""
    print(f"APB_LOAD_SEED={SEED}")
    here, listening = crates
    pace = Pace(clock() + LONGEST_SECONDS, PAUSE_SECONDS)
    wire, working = here.begin(OFFERED, INSTANCES, CLIENTS, pace, transport=lambda: Balanced(listening))
    go_on(wire)
    try:
        replace_each(here, listening, wire)
    finally:
        for client in working:
            client.stop()
        failures = ended(working)
    assert failures == [], here.logs()
    quiet_at = here.settle(wire, SETTLE_SECONDS)
    history = here.look(wire, INSTANCES, quiet_at=quiet_at, deadline_seconds=DEADLINE_SECONDS, recorded=True)
    history.save(tmp_path / "history.json")
    print(json.dumps(counted(history)))
    found = model.problems(history)
    assert found == [], f"{len(found)} problems, the first of them:\n" + "\n".join(found[:20])
    assert [str(each) for each in history.exchanges if each.status >= 500 and each.can_wait] == []
    logs = [wire.admin(f"operations/{each}/log").text for each in wire.accepted]
    assert any("handed back: its worker stops" in log for log in logs), "no worker had anything to hand back"
