"""A service for tests of the rules: boxes with memory, copies, plans that lead to each other, and one on a shared server."""

from pathlib import Path

import yaml

UUID = "b0c5e5ed-0000-4000-8000-00000000000{}"


def _plan(name: str, number: int, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "id": UUID.format(number),
        "description": f"A {name} box",
        "tenancy": "dedicated",
        "parameters": {"memory": {}, "label": {}},
        "needs": {"memory_gb": "{{ parameters.memory }}", "ports": ["client", "peer"], "copies": "{{ parameters.copies }}"},
        "set": {"copies": 1},
        **more,
    }


SERVICE = {
    "apb": 1,
    "name": "box",
    "id": UUID.format(0),
    "description": {"en": "A box", "zh": "盒子"},
    "category": "other",
    "type": "box",
    "parameters": {
        "memory": {"type": "number", "minimum": 0.5, "maximum": 8, "multipleOf": 0.5, "default": 1, "x-unit": "GB", "x-updatable": True},
        "label": {"type": "string", "x-updatable": True},
        "copies": {"type": "integer", "minimum": 1, "maximum": 3, "default": 1},
        "key": {"type": "string", "x-sensitive": True, "x-updatable": True},
    },
    "plans": [
        _plan("small", 1, updates_to=["large", "triple"], parameters={"memory": {"maximum": 2}, "label": {}, "key": {}}),
        _plan("large", 2),
        _plan("triple", 3, set={"copies": 3}),
        _plan("part", 4, tenancy="shared", parameters={}, needs={}, set={}, secrets=[]),
    ],
    "secrets": {"admin": {}, "key": {"parameter": "key"}},
    "connection": {"host": "{{ instance.host }}", "port": "{{ instance.ports.client }}", "late": ["ipv4"]},
    "bind": {},
    "credentials": {"type": "object", "required": ["port"]},
}

CONFIG = """\
apb: 1
listen: 127.0.0.1:0
users: [{name: admin, password_file: admin.password, roles: [platform, operator]}]
services_path: [services]
roles: [{name: box}]
targets:
  one: {mode: host, inventory: hosts, ports: 31000-31009, hosts: [{name: a, address: 192.0.2.1, memory_gb: 4}]}
  two:
    mode: host
    inventory: hosts
    ports: 31000-31003
    hosts: [{name: b, address: 192.0.2.2, memory_gb: 4}, {name: c, address: 192.0.2.3, memory_gb: 3}]
  server: {mode: shared, address: db.example.com, port: 5432, username: apb, password_file: server.password, instances: 2}
offers:
  - {plan: box/small, mode: host, targets: [one, two]}
  - {plan: box/large, mode: host, targets: [two, one]}
  - {plan: box/triple, mode: host, targets: [two]}
  - {plan: box/part, mode: shared, targets: [server]}
"""


def write(folder: Path, service: dict[str, object] | None = None, plans: dict[str, dict[str, object]] | None = None) -> str:
    """The role box in folder/services, with what a test says otherwise of the service or of some of its plans.

    Returns an apb.yml that offers its plans.
    """
    described = {**SERVICE, **(service or {})}
    described["plans"] = [{**plan, **(plans or {}).get(str(plan["name"]), {})} for plan in SERVICE["plans"]]
    role = folder / "services" / "box"
    for mode in ("host", "shared"):
        (role / "tasks" / mode).mkdir(parents=True, exist_ok=True)
        (role / "tasks" / mode / "provision.yml").write_text("[]\n")
    (role / "meta").mkdir(exist_ok=True)
    (role / "meta" / "service.yml").write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True))
    return CONFIG


def ids(plan: str) -> dict[str, str]:
    """service_id and plan_id of one of its plans."""
    found = next(each for each in SERVICE["plans"] if each["name"] == plan)
    return {"service_id": str(SERVICE["id"]), "plan_id": str(found["id"])}
