"""200 platforms at once on 20 instances for a minute: real servers and workers, runs that do what a script says, checked by a model.

APB_LOAD_SEED repeats what was drawn (which requests meet is up to the machine), APB_LOAD_SECONDS and APB_LOAD_CLIENTS are for longer runs.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from apb_broker.storage.database import Database
from tests import ports
from tests.load import model
from tests.load.clients import Offered, Pace
from tests.load.history import History, clock
from tests.load.site import Site, site

SEED = int(os.environ.get("APB_LOAD_SEED") or random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.get("APB_LOAD_SECONDS") or 60)
CLIENTS = int(os.environ.get("APB_LOAD_CLIENTS") or 200)
PAUSE_SECONDS = 3.0  # between two requests of a client: about one of the machine's cores is left to others
INSTANCES = [f"i{number:02}" for number in range(18)] + ["i/18 ü", "i%2F19"]
DEADLINE_SECONDS = 15
SETTLE_SECONDS = 300

SERVICE_ID, SMALL, LARGE = (f"10ad0000-0000-4000-8000-00000000000{digit}" for digit in "012")


def plan(name: str, plan_id: str, other: str) -> dict[str, Any]:
    """One of two plans that lead to each other."""
    needs = {"memory_gb": "{{ parameters.size }}", "ports": ["client", "peer"]}
    parameters: dict[str, Any] = {"label": {}, "size": {}}
    words = {"description": f"A {name} crate", "tenancy": "dedicated", "updates_to": [other]}
    return {"name": name, "id": plan_id, **words, "parameters": parameters, "needs": needs}


SERVICE = {
    "apb": 1,
    "name": "crate",
    "id": SERVICE_ID,
    "description": {"en": "A crate", "zh": "箱子"},
    "category": "other",
    "type": "crate",
    "parameters": {
        "label": {"type": "string", "x-updatable": True},
        "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1, "x-updatable": True},
    },
    "plans": [plan("small", SMALL, "large"), plan("large", LARGE, "small")],
    "connection": {"host": "{{ instance.host }}", "port": "{{ instance.ports.client }}"},
    "bind": {"parameters": {"access": {"type": "string", "enum": ["read", "write"], "default": "read"}}},
    "credentials": {
        "type": "object",
        "required": ["host", "port", "username", "password"],
        "properties": {"port": {"type": "integer"}, "host": {"type": "string"}},
    },
    "rotatable": True,
}
CREDENTIALS = {"host": "{host}", "port": "{port}", "username": "{username}", "password": "{password}"}
SCRIPT = {
    "seed": SEED,
    "outcome": {"succeeded": 80, "failed": 7, "transient": 5, "lost": 4, "hang": 4},
    "delay_seconds": [0, 0.5],
    "progress": ["Make it"],
    "published": {"outputs": {"made": "yes"}},
    # Most instances have to be there for most of the time.
    "actions": {
        "provision": {"outcome": {"succeeded": 88, "failed": 3, "transient": 4, "lost": 3, "hang": 2}},
        "bind": {"published": {"credentials": CREDENTIALS}},
    },
}
OFFERED = Offered(
    SERVICE_ID,
    (SMALL, LARGE),
    parameters=lambda chance: {"label": chance.choice(["a", "a", "a", "b"]), "size": 1},
    changes=lambda chance, text: chance.choice([{"label": text}, {"label": "again"}, {"size": chance.randint(1, 3)}]),
    bind_parameters=lambda chance: {"access": chance.choice(["read", "read", "read", "write"])},
)
SETTINGS = {
    "executor": "scripted",
    "operation_deadline_seconds": DEADLINE_SECONDS,
    "lease_seconds": 60,  # a machine that does other things too must not lose leases
    "max_attempts": 3,
    "concurrency": 8,
    "cancel_grace_seconds": 5,
    "sync_wait_seconds": 10,
}


def offer_crates(made: Site, **script: Any) -> None:
    """A role of the tests' own in the site's apb.yml, whose runs follow the script, but for what is said otherwise."""
    role = made.state.root / "services" / "crate"
    (role / "tasks" / "host").mkdir(parents=True)
    (role / "meta").mkdir()
    (role / "tasks" / "host" / "provision.yml").write_text("[]\n")
    (role / "meta" / "service.yml").write_text(yaml.safe_dump(SERVICE, allow_unicode=True))
    made.configure(
        services_path=["services"],
        roles=[{"name": "crate", "settings": {"scripted": {**SCRIPT, **script, "record": str(made.record)}}}],
        offers=[{"plan": f"crate/{name}", "mode": "host", "targets": ["local"]} for name in ("small", "large")],
        settings=SETTINGS,
    )


@pytest.fixture
def crates(database: Database, database_url: str, short_directory: Path) -> Iterator[Site]:
    """Servers on an empty database that offer crates."""
    with site(short_directory / "s", database_url, listen=f"127.0.0.1:{ports.free()}", ports="20000-20199", seed=SEED) as made:
        offer_crates(made)
        made.start()
        yield made


def test_nothing_is_lost_run_twice_or_forgotten_under_load(crates: Site, tmp_path: Path) -> None:
    """No lost update, no double run, every 202 reaches an end, last_operation never goes backwards, each answer fits what is there."""
    print(f"APB_LOAD_SEED={SEED}")
    wire, failures = crates.load(OFFERED, INSTANCES, CLIENTS, Pace(clock() + SECONDS, PAUSE_SECONDS))
    assert failures == [], crates.logs()
    quiet_at = crates.settle(wire, SETTLE_SECONDS)
    history = crates.look(wire, INSTANCES, quiet_at=quiet_at, deadline_seconds=DEADLINE_SECONDS, recorded=True)
    history.save(tmp_path / "history.json")
    print(json.dumps(counted(history)))
    found = model.problems(history)
    assert found == [], f"{len(found)} problems, the first of them:\n" + "\n".join(found[:20])
    require_variety(history)


def counted(history: History) -> dict[str, dict[str, int]]:
    """How much of what happened."""
    return {
        "requests": dict(Counter(each.verb for each in history.exchanges)),
        "answers": dict(Counter(f"{each.status} {each.answer.get('error', '')}".strip() for each in history.exchanges)),
        "operations": dict(Counter(f"{each.kind} {each.state}" for each in history.operations)),
        "runs": dict(Counter(f"{each.outcome}" for each in history.runs or [])),
    }


def require_variety(history: History) -> None:
    """A model that is shown nothing finds nothing: there has to be some of everything that is drawn often."""
    seen = counted(history)
    kinds = ("provision", "update", "deprovision", "bind", "unbind")
    missing = {f"{kind} succeeded" for kind in kinds} - set(seen["operations"])
    missing |= {"200", "202", "404", "409", "410", "422 ConcurrencyError", "422 AsyncRequired"} - set(seen["answers"])
    missing |= {"succeeded", "failed", "transient", "lost", "ended"} - set(seen["runs"])
    assert missing == set(), seen
    assert any(each.state == "failed" for each in history.operations), seen
    repeated = Counter(each.operation for each in history.exchanges if each.operation is not None)
    assert max(repeated.values()) > 1, "no request was sent again while it was in progress"
