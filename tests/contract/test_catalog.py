"""The catalog: what is offered, in the fields and within the limits that platforms rely on (OSB 2.17, "Catalog Management")."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest

from tests.conftest import CONFIG
from tests.contract.conftest import Platform

SEMANTIC_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
CLI_FRIENDLY = re.compile(r"[A-Za-z0-9.-]+")
SHIPPED = """\
apb: 1
listen: 127.0.0.1:0
users: [{name: admin, password_file: admin.password, roles: [platform]}]
roles: [{name: apb.catalog.redis}, {name: apb.catalog.postgresql}]
targets:
  local: {mode: host, hosts: [{name: localhost, address: 127.0.0.1}], ports: 31000-31004}
  caches: {mode: shared, address: 192.0.2.1, port: 6379, username: apb, password_file: server.password}
  databases: {mode: shared, address: 192.0.2.1, port: 5432, username: apb, password_file: server.password}
offers:
  - {plan: redis/redis-standard, mode: host, targets: [local]}
  - {plan: redis/redis-tenant, mode: shared, targets: [caches]}
  - {plan: postgresql/postgresql-tenant, mode: shared, targets: [databases]}
"""


@pytest.fixture
def services(platform_at: Callable[[str], Platform], language: str) -> list[dict[str, Any]]:
    """All services that apb comes with, as a platform sees them."""
    found: list[dict[str, Any]] = platform_at(f"{SHIPPED}settings: {{language: {language}}}\n").catalog().json["services"]
    return found


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    """The language of the catalog's texts."""
    return str(request.param)


def _plans(services: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [plan for service in services for plan in service["plans"]]


def _schemas(services: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for plan in _plans(services):
        for uses in plan["schemas"].values():
            for use in uses.values():
                yield use["parameters"]


def test_catalog_has_what_is_required(services: list[dict[str, Any]]) -> None:
    """Service Offering Object, Service Plan Object: required fields are there, and no string is empty."""
    assert [service["name"] for service in services] == ["redis", "postgresql"]
    for service in services:
        assert service["name"] and service["id"] and service["description"]
        assert isinstance(service["bindable"], bool)
        assert service["plans"]
    for plan in _plans(services):
        assert plan["name"] and plan["id"] and plan["description"]


def test_catalog_ids_and_names_are_unique(services: list[dict[str, Any]]) -> None:
    """Service Offering Object, Service Plan Object: ids globally, names of services in the catalog, names of plans in their service."""
    ids = [thing["id"] for thing in (*services, *_plans(services))]
    assert len(set(ids)) == len(ids)
    assert len({service["name"] for service in services}) == len(services)
    for service in services:
        assert len({plan["name"] for plan in service["plans"]}) == len(service["plans"])


def test_catalog_ids_are_guids(services: list[dict[str, Any]]) -> None:
    """Service Offering Object: a GUID is recommended, so that no other broker uses the same."""
    for thing in (*services, *_plans(services)):
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", thing["id"])


def test_catalog_names_are_easy_to_type(services: list[dict[str, Any]]) -> None:
    """Catalog Management: CLI-friendly names (letters, digits, periods, hyphens) are recommended, and strings of at most 255 characters."""
    for thing in (*services, *_plans(services)):
        assert CLI_FRIENDLY.fullmatch(thing["name"])
        assert all(len(text) <= 255 for text in (thing["name"], thing["description"], *thing.get("tags", ())))


def test_catalog_ids_stay_across_queries_and_restarts(box_platform: Callable[..., Platform]) -> None:
    """Catalog Management: a broker must not change an id between queries, whatever else it changes."""

    def ids(service: dict[str, Any]) -> list[str]:
        return [service["id"], *(plan["id"] for plan in service["plans"])]

    platform = box_platform()
    (first,), (second,) = (platform.catalog().json["services"] for _ in range(2))
    (changed,) = box_platform(service={"description": "Other words", "tags": ["new"]}).catalog().json["services"]
    assert ids(first) == ids(second) == ids(changed)
    assert first["description"] != changed["description"]


def test_catalog_may_be_empty(platform_at: Callable[[str], Platform]) -> None:
    """Catalog Management: the list of services is there, also without any."""
    config = CONFIG.format(directory="/nowhere").partition("offers:")[0] + "offers: []\n"
    assert platform_at(config).catalog().json == {"services": []}


def test_catalog_says_what_can_be_fetched_and_told(platform: Platform) -> None:
    """Service Offering Object: instances and bindings can be fetched, and a change of context may be told."""
    (service,) = platform.catalog().json["services"]
    assert [service[name] for name in ("bindable", "instances_retrievable", "bindings_retrievable", "allow_context_updates")] == [True] * 4


def test_catalog_of_a_service_without_bindings_says_so(box_platform: Callable[..., Platform]) -> None:
    """Service Offering Object: `bindable` of the service is the default of its plans; without it there is no schema of a binding."""
    changes = {"bind": {"parameters": {}}}
    (service,) = box_platform(service=changes, plans={"small": {"bindable": False}}).catalog().json["services"]
    found = {plan["name"]: (plan["bindable"], plan["binding_rotatable"], "service_binding" in plan["schemas"]) for plan in service["plans"]}
    assert service["bindable"]
    assert found["small"] == (False, False, False)
    assert found["large"] == (True, False, True)


def test_catalog_plan_overrides_its_service(box_platform: Callable[..., Platform]) -> None:
    """Service Plan Object: rotation, maintenance, price and change of plan are said for each plan."""
    changes = {
        "small": {"free": False, "rotatable": True, "maintenance": {"version": "2.0.0", "description": "New disks"}},
        "large": {"maintenance": {"version": "1.2.3-rc.1+build.5"}},
    }
    (service,) = box_platform(service={"rotatable": False}, plans=changes).catalog().json["services"]
    small, large, *_ = service["plans"]
    assert (small["free"], small["binding_rotatable"], small["plan_updateable"]) == (False, True, True)
    assert (large["free"], large["binding_rotatable"], large["plan_updateable"]) == (True, False, False)
    assert small["maintenance_info"] == {"version": "2.0.0", "description": "New disks"}
    assert large["maintenance_info"] == {"version": "1.2.3-rc.1+build.5"}
    assert all("maintenance_info" not in plan for plan in service["plans"][2:])


def test_catalog_maintenance_versions_are_semantic(services: list[dict[str, Any]]) -> None:
    """Maintenance Info Object: the version is there and semantic; a description says what an update means."""
    for plan in _plans(services):
        assert SEMANTIC_VERSION.fullmatch(plan["maintenance_info"]["version"])
        assert plan["maintenance_info"]["description"]


def test_catalog_asks_for_no_permissions(services: list[dict[str, Any]]) -> None:
    """Service Offering Object: log drains, routes and volumes are not handed out, so none of these permissions is required."""
    assert not any("requires" in service or "dashboard_client" in service for service in services)


def test_catalog_schemas_are_self_contained(services: list[dict[str, Any]]) -> None:
    """Schemas Object: each names its version of JSON Schema, fits it, refers to nothing outside, and is at most 64 kB long."""
    found = list(_schemas(services))
    assert len(found) == 3 * len(_plans(services))
    for schema in found:
        jsonschema.validators.validator_for({"$schema": schema["$schema"]}, default=None).check_schema(schema)
        text = json.dumps(schema, ensure_ascii=False)
        assert '"$ref"' not in text
        assert len(text.encode()) <= 64_000


def test_catalog_says_how_long_to_poll(platform_with: Callable[[str], Platform]) -> None:
    """Service Plan Object: whole seconds, within which every operation has ended one way or the other."""
    settings = "{operation_deadline_seconds: 60.5, lease_seconds: 10, grace_seconds: 5}"
    assert _plans(platform_with(settings).catalog().json["services"])[0]["maximum_polling_duration"] == 76


def test_catalog_that_is_known_is_not_sent_again(box_platform: Callable[..., Platform]) -> None:
    """Catalog Management: ETag and If-None-Match (RFC 7232); a changed catalog is sent."""
    platform = box_platform()
    first = platform.catalog()
    tag = {"If-None-Match": first.headers["ETag"]}
    again = platform.call("GET", "/v2/catalog", headers=tag)
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    other = platform.call("GET", "/v2/catalog", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.json) == (200, first.json)
    changed = box_platform(service={"description": "Other words"}).call("GET", "/v2/catalog", headers=tag)
    assert changed.status_code == 200


def test_catalog_of_another_version_has_another_tag(platform: Platform) -> None:
    """Catalog Management: caches between must not give one platform what another one understands."""
    new, old = platform.catalog(), platform.speaking("2.14").catalog()
    assert new.headers["ETag"] != old.headers["ETag"]
    assert "X-Broker-API-Version" in new.headers["Vary"]
    assert platform.speaking("2.14").call("GET", "/v2/catalog", headers={"If-None-Match": new.headers["ETag"]}).status_code == 200
