"""20 platforms at once on 5 real Redis servers, until about 60 operations were run; then everything is given back and nothing is left.

APB_LOAD_SEED repeats what was drawn (which requests meet is up to the machine).
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from apb_broker.machine import environment, preparation
from apb_broker.storage.database import Database
from tests.e2e.machine import Machine, is_open, login, machine
from tests.load import model, timeline
from tests.load.clients import VERBS, Offered, Pace, Wire
from tests.load.history import History, clock
from tests.load.site import Site, site, wait

SEED = int(os.environ.get("APB_LOAD_SEED") or random.SystemRandom().randrange(10**6))
CLIENTS, INSTANCES = 20, [f"cache {number}/é" for number in range(5)]
OPERATIONS = 60
LONGEST_SECONDS = 420  # on a slow machine it is fewer operations
PAUSE_SECONDS = 3.0
# Servers that live a little longer than the scripted ones do, so that they are bound.
WEIGHTS = {**VERBS, "provision": 8, "deprovision": 1, "update": 8, "bind": 20, "unbind": 8}
DEADLINE_SECONDS = 300
SETTINGS = {"operation_deadline_seconds": DEADLINE_SECONDS, "lease_seconds": 60, "concurrency": 2}


@pytest.fixture
def prepared(database: Database, database_url: str) -> Iterator[tuple[Site, Machine]]:
    """Servers that offer Redis on this machine, which is prepared for it."""
    with machine() as made, site(made.state, database_url, listen=made.listen, ports=made.ports, seed=SEED) as found:
        found.configure(settings=SETTINGS)
        log = found.state.logs / "prepare.log"
        preparation.prepare_host(found.state.host, log, environment.of_children(), time.sleep, roles=["apb.catalog.redis"])
        found.start()
        yield found, made


def offered(wire: Wire) -> Offered:
    """Redis of one size or another, accounts that may write or not."""
    (service,) = wire.catalog()["services"]
    return Offered(
        service["id"],
        (service["plans"][0]["id"],),
        parameters=lambda chance: {"memory": chance.choice([0.1, 0.1, 0.1, 0.2])},
        changes=lambda chance, _text: {"memory": chance.choice([0.1, 0.2, 0.3, 0.4])},
        bind_parameters=lambda chance: {"access": chance.choice(["readwrite", "readwrite", "read"])},
    )


def test_redis_under_load_works_while_bound_and_is_gone_in_the_end(prepared: tuple[Site, Machine], tmp_path: Path) -> None:
    """The model holds for real runs too; each binding that is there works, none that is gone does; what is given back leaves nothing."""
    print(f"APB_LOAD_SEED={SEED}")
    here, made = prepared
    redis_only = offered(Wire(here.admin))
    wire, failures = here.load(redis_only, INSTANCES, CLIENTS, Pace(clock() + LONGEST_SECONDS, PAUSE_SECONDS, OPERATIONS, WEIGHTS))
    assert failures == [], here.logs()
    history = settled(here, wire)
    history.save(tmp_path / "history.json")
    print(json.dumps(Counter(f"{each.kind} {each.state}" for each in history.operations)))
    found = model.problems(history)
    assert found == [], f"{len(found)} problems, the first of them:\n" + "\n".join(found[:20])
    require_accounts(history)
    bind_each(wire, redis_only)
    assert require_accounts(settled(here, wire)) >= len(INSTANCES)
    give_back(wire, redis_only)
    history = settled(here, wire)
    assert model.problems(history) == []
    assert require_accounts(history) == 0
    require_nothing_left(made, history)


def settled(here: Site, wire: Wire) -> History:
    """What happened, once nothing is in progress any more."""
    quiet_at = here.settle(wire, DEADLINE_SECONDS + 120)
    return here.look(wire, INSTANCES, quiet_at=quiet_at, deadline_seconds=DEADLINE_SECONDS, recorded=False)


def require_accounts(history: History) -> int:
    """A real client with each binding's credentials: let in as long as the binding is there, and not after it. How many were let in."""
    let_in = 0
    handed_out: dict[str, tuple[tuple[str, str | None], dict[str, Any]]] = {}
    for exchange in history.exchanges:
        credentials = exchange.answer.get("credentials")
        if credentials:
            handed_out[credentials["uri"]] = ((exchange.instance, exchange.binding), credentials)
    latest = {subject: credentials["uri"] for subject, credentials in handed_out.values()}
    for uri, ((instance, binding), credentials) in handed_out.items():
        state = timeline.of_binding(history, instance, str(binding)).states[-1].name
        if state == "ready" and latest[instance, binding] == uri:
            with login(credentials) as client:
                assert client.ping(), f"{instance}/{binding}"
                let_in += 1
        elif state != "stuck":
            with login(credentials) as client, pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ConnectionError)):
                client.ping()
    return let_in


def bind_each(wire: Wire, given: Offered) -> None:
    """Each instance is there, with one binding more."""
    ids = {"service_id": given.service_id, "plan_id": given.plans[0]}
    query = {"accepts_incomplete": "true"}
    owner = {"organization_guid": "org", "space_guid": "space"}
    there = {each["id"]: each["parameters"] for each in wire.admin("instances").json()["instances"]}
    for instance in INSTANCES:
        parameters = there.get(instance, {"memory": 0.1})
        asked = {"plan": given.plans[0], "parameters": parameters}
        wire.exchange("provision", instance, None, query=query, body={**ids, **owner, "parameters": parameters}, asked=asked)
    wait(lambda: not wire.in_progress(), DEADLINE_SECONDS, "the end of all provisioning")
    for instance in INSTANCES:
        parameters = {"access": "readwrite"}
        asked = {"plan": given.plans[0], "parameters": parameters}
        wire.exchange("bind", instance, "last", query=query, body={**ids, "parameters": parameters}, asked=asked)


def give_back(wire: Wire, given: Offered) -> None:
    """First a binding of each instance by itself, then the instances with all others."""
    query = {"service_id": given.service_id, "plan_id": given.plans[0], "accepts_incomplete": "true"}
    listed = wire.admin("instances").json()["instances"]
    for instance in listed:
        for binding in [each["id"] for each in instance["bindings"]][:1]:
            wire.exchange("unbind", instance["id"], binding, query=query)
    wait(lambda: not wire.in_progress(), DEADLINE_SECONDS, "the end of all unbinding")
    for instance in listed:
        wire.exchange("deprovision", instance["id"], None, query=query)


def require_nothing_left(made: Machine, history: History) -> None:
    """No process, directory or port of any instance."""
    assert [each for each in history.found.values() if each is not None] == []
    assert list(made.instances.iterdir()) == []
    first, last = map(int, made.ports.split("-"))
    assert [port for port in range(first, last + 1) if is_open(port)] == []
    assert [each.cmdline() for each in made.processes() if "redis-server" in " ".join(each.cmdline())] == []
