"""A large installation: instances on a hundred hosts, with all that the broker remembers of them, written by a few statements.

Rows are copies of what the broker itself has written for two instances, one on each kind of place, under other ids. What was sealed
in those is left out or copied: nobody opens it.
"""

from pathlib import Path
from typing import Any

import yaml

from bench import place

HOSTS, PORTS = 100, "20000-29999"
ALONE = 200  # instances on the one host without limits; the others are on the hosts that have some
OPERATIONS = 6  # that have ended, of each instance on average
BUSY, BUSY_OPERATIONS = "many-0", 5000  # one instance that applications bind and unbind all the time, in a large installation
PLACED = "crate"

SERVICE = {
    "apb": 1,
    "name": PLACED,
    "id": "10ad0000-0000-4000-8000-000000000000",
    "description": "A crate",
    "category": "other",
    "type": PLACED,
    "parameters": {"size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1}},
    "plans": [
        {
            "name": "small",
            "id": "10ad0000-0000-4000-8000-000000000001",
            "description": "A small crate",
            "tenancy": "dedicated",
            "parameters": {"size": {}},
            "needs": {"memory_gb": "{{ parameters.size }}", "ports": ["client"]},
        }
    ],
    "connection": {"host": "{{ instance.host }}", "port": "{{ instance.ports.client }}"},
    "credentials": {"type": "object"},
}

# {number}: how many. Those whose n is below ALONE are like the first example, the others like the second; times are spread over a year.
INSTANCES = """
INSERT INTO instances ({columns})
SELECT {values} FROM generate_series(0, {number} - 1) AS series(n)
JOIN instances AS example ON example.id = CASE WHEN n < {alone} THEN 'example-alone' ELSE 'example-placed' END
"""
CHANGED = {
    "id": "'many-' || n",
    "name": "'name-' || n",
    "organization": "'organization-' || n / 50",
    "space": "'space-' || n / 10",
    "requested_by": "'bench'",
    "state": "CASE WHEN n %% 100 = 99 THEN 'failed' ELSE 'ready' END",
    "placement": "jsonb_set(example.placement, '{address}', to_jsonb(CASE WHEN n < %(alone)s THEN '127.0.0.1' ELSE '10.0.0.' || n %% %(hosts)s END))",  # noqa: E501
    "ports": "jsonb_build_object('client', CASE WHEN n < %(alone)s THEN 10000 + n * 7 ELSE 20000 + n / %(hosts)s END)",
    "parameters_sealed": "NULL",
    "created_at": "now() - interval '1 year' * random()",
    "updated_at": "now() - interval '1 day' * random()",
}
BELONGINGS = """
INSERT INTO reservations (instance_id, copy, place, memory_gb)
SELECT id, 0, placement->>'address', 1 FROM instances WHERE requested_by = 'bench';
INSERT INTO allocations (host, port, instance_id, name)
SELECT placement->>'address', (ports->>'client')::integer, id, 'client' FROM instances WHERE requested_by = 'bench';
INSERT INTO health (instance_id, status, checked_at, due_at)
SELECT id, CASE WHEN random() < 0.01 THEN 'failing' ELSE 'ok' END, now(), now() + interval '1 day' * (1 + random())
FROM instances WHERE requested_by = 'bench' AND state = 'ready';
INSERT INTO bindings (instance_id, id, name, requested_by, context, state, username, password_sealed, credentials_sealed)
SELECT instances.id, 'binding-' || k, 'binding', 'bench', '{}', 'ready', 'b' || md5(instances.id || k), secrets_sealed, secrets_sealed
FROM instances, generate_series(1, 2) AS series(k) WHERE instances.requested_by = 'bench';
"""
ENDED = """
INSERT INTO operations (id, kind, instance_id, instance_name, binding_id, service_name, plan_name, principal, requested_by, state,
  description, epoch, attempt, deadline_at, created_at, started_at, finished_at)
SELECT id || '-op-' || k, CASE WHEN k = 1 THEN 'provision' WHEN k %% 2 = 0 THEN 'bind' ELSE 'unbind' END, id, name,
  CASE WHEN k > 1 THEN 'binding-' || k / 2 END, service_name, plan_name, principal, 'bench',
  CASE WHEN random() < 0.02 THEN 'failed' ELSE 'succeeded' END, 'Hand over the credentials', 1, 1, now(),
  created_at, created_at, created_at
FROM instances, generate_series(1, CASE WHEN id = %(busy)s THEN %(busy_operations)s ELSE %(operations)s END) AS series(k)
WHERE requested_by = 'bench' ORDER BY created_at;
INSERT INTO progress (operation_id, text) SELECT id, kind || ' accepted' FROM operations WHERE requested_by = 'bench';
INSERT INTO progress (operation_id, text) SELECT id, 'Hand over the credentials' FROM operations WHERE requested_by = 'bench';
INSERT INTO audit (principal, requested_by, action, outcome, instance_id, binding_id, operation_id)
SELECT 'admin', 'bench', kind, 'accepted', instance_id, binding_id, id FROM operations WHERE requested_by = 'bench';
INSERT INTO operation_statistics (service_name, plan_name, kind, outcome, bucket, count, seconds)
SELECT service_name, plan_name, kind, state, 1, count(*), count(*) FROM operations WHERE requested_by = 'bench' GROUP BY 1, 2, 3, 4;
"""


def configure(here: place.Place) -> None:
    """One host without limits, which Redis is offered on, and a hundred with some, which crates are offered on."""
    role = here.state.root / "services" / PLACED
    _write(role / "meta/service.yml", SERVICE)
    _write(role / "tasks/host/provision.yml", [])
    hosts = [{"name": f"host-{number}", "address": f"10.0.0.{number}", "memory_gb": 4096.0} for number in range(HOSTS)]
    alone = {"mode": "host", "hosts": [{"name": "localhost", "address": "127.0.0.1"}], "ports": "10000-59999"}
    here.configure(
        services_path=["services"],
        roles=[{"name": "apb.catalog.redis"}, {"name": PLACED}],
        targets={"local": alone, "hosts": {"mode": "host", "hosts": hosts, "ports": PORTS}},
        offers=[
            {"plan": "redis/redis-standard", "mode": "host", "targets": ["local"]},
            {"plan": f"{PLACED}/small", "mode": "host", "targets": ["hosts"]},
        ],
    )


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))


def fill(here: place.Place, number: int) -> None:
    """That many instances, like `example-alone` and `example-placed`, which are there; these go."""
    if number:
        columns = [name for (name,) in here.sql("SELECT column_name FROM information_schema.columns WHERE table_name = 'instances'")]
        counts = {"alone": min(ALONE, number), "hosts": HOSTS}
        values = [CHANGED[name] % counts if name in CHANGED else f"example.{name}" for name in columns]
        here.sql(INSTANCES.format(columns=", ".join(columns), values=", ".join(values), number=number, alone=counts["alone"]))
    here.sql("DELETE FROM instances WHERE id LIKE 'example-%'")
    if number:
        here.sql(BELONGINGS)
        busy_operations = min(number, BUSY_OPERATIONS)
        here.sql(ENDED % {"busy": f"'{BUSY}'", "busy_operations": busy_operations, "operations": OPERATIONS})
    here.sql("VACUUM ANALYZE")
