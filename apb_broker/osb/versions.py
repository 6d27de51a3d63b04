"""What each version of the protocol knows: newer fields are left out for older platforms, of which strict ones refuse them.

A field's version is that of the release that brought it (OSB release notes, v2.13 to v2.17).
"""

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from apb_broker.catalog.catalog import Catalog

VERSION_HEADER = "X-Broker-API-Version"
VERSIONS = ("2.13", "2.14", "2.15", "2.16", "2.17")

SERVICE_FIELDS = {"instances_retrievable": "2.14", "bindings_retrievable": "2.14", "allow_context_updates": "2.15"}
PLAN_FIELDS = {"maintenance_info": "2.15", "maximum_polling_duration": "2.15", "plan_updateable": "2.15", "binding_rotatable": "2.17"}
BODY_FIELDS = {
    "endpoints": "2.15",
    "maintenance_info": "2.16",
    "metadata": "2.16",
    "instance_usable": "2.16",
    "update_repeatable": "2.16",
}


def body(found: dict[str, Any], version: str) -> dict[str, Any]:
    """A response's body as that version knows it."""
    if version == VERSIONS[-1]:
        return found
    return _known(found, BODY_FIELDS, version)


@dataclass(frozen=True)
class Rendered:
    """A body that is sent again and again, and its headers."""

    body: bytes
    headers: dict[str, str]


@functools.lru_cache(maxsize=64)
def rendered(of: Catalog, version: str) -> Rendered:
    """The catalog's bytes as that version knows it: a catalog never changes, so they are made once."""
    body = json.dumps(catalog(of.osb(), version), ensure_ascii=False, separators=(",", ":")).encode()
    etag = hashlib.sha256(body).hexdigest()[:32]
    cached = {"Cache-Control": "no-cache", "ETag": f'"{etag}"', "Vary": VERSION_HEADER}
    return Rendered(body, {"Content-Type": "application/json", **cached})


def catalog(found: dict[str, Any], version: str) -> dict[str, Any]:
    """The catalog as that version knows it."""
    return {"services": [_service(service, version) for service in found["services"]]}


def _service(service: dict[str, Any], version: str) -> dict[str, Any]:
    plans = [_known(plan, PLAN_FIELDS, version) for plan in service["plans"]]
    known = {**_known(service, SERVICE_FIELDS, version), "plans": plans}
    if not all("plan_updateable" in plan for plan in plans):
        known["plan_updateable"] = any(plan["plan_updateable"] for plan in service["plans"])  # all that old platforms look at
    return known


def _known(found: dict[str, Any], since: dict[str, str], version: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if VERSIONS.index(since.get(name, VERSIONS[0])) <= VERSIONS.index(version)}
