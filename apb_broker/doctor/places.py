"""Where instances can be: each host of each target, and each server that many share; and what a survey there is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.catalog import roles
from apb_broker.catalog.catalog import Catalog
from apb_broker.catalog.config import HostTarget, Target
from apb_broker.catalog.errors import CatalogError
from apb_broker.lifecycle.holdings import Holding, Holdings

LOCAL = "localhost"


@dataclass(frozen=True)
class Place:
    """One host, or one server that many share."""

    target: str
    mode: str
    host: str  # in the inventory; localhost for a server that many share
    address: str
    directory: str | None  # of instances on a host
    ports: tuple[int, int] | None  # first and last, on a host; (port, port) of a server
    label: str

    def has(self, holding: Holding) -> bool:
        """Whether the instance was put there."""
        return holding.place == (self.target, self.host)


def of(catalog: Catalog) -> list[Place]:
    """All places, in the order of apb.yml."""
    return [place for target in catalog.targets.values() for place in _of_target(target)]


def _of_target(target: Target) -> Iterator[Place]:
    if isinstance(target, HostTarget):
        ports = (target.ports.start, target.ports.stop - 1)
        for host in target.hosts:
            yield Place(target.name, "host", host.name, host.address, str(target.directory), ports, f"{host.name} ({target.name})")
    else:
        label = f"{target.address}:{target.port} ({target.name})"
        yield Place(target.name, "shared", LOCAL, target.address, None, (target.port, target.port), label)


@dataclass(frozen=True)
class Surveyed:
    """A service that may have something at a place. `role` is None where nobody knows any more which role it was."""

    name: str
    role: str | None
    has_survey: bool


def services_at(catalog: Catalog, place: Place, holdings: Holdings) -> list[Surveyed]:
    """On a host any service's may be; on a server that many share only those that are offered or have instances there."""
    known = {found.name: found.role for found in catalog.services} | {held.service: held.role for held in holdings.instances.values()}
    names = set(known) | holdings.services if place.mode == "host" else _at_server(catalog, place, holdings)
    return [Surveyed(name, known.get(name), _has_survey(known.get(name), place.mode)) for name in sorted(names)]


def _at_server(catalog: Catalog, place: Place, holdings: Holdings) -> set[str]:
    offered = {offer.service.name for offer in catalog.offers if any(target.name == place.target for target in offer.targets)}
    return offered | {held.service for held in holdings.instances.values() if place.has(held)}


def _has_survey(role: str | None, mode: str) -> bool:
    try:
        folder = None if role is None else Path(role) if role.startswith("/") else roles.folder(role, [])
    except CatalogError:
        return False
    return folder is not None and (folder / "tasks" / mode / "survey.yml").is_file()


def survey_variables(place: Place, services: list[Surveyed], holdings: Holdings) -> dict[str, Any]:
    """The `apb_*` variables of a survey (docs/writing-a-service.md)."""
    return {
        "apb_action": "survey",
        "apb_mode": place.mode,
        "apb_survey": {
            "host": place.host,
            "directory": place.directory,
            "ports": list(place.ports or ()),
            "services": [_service(place, found, holdings) for found in services],
        },
    }


def _service(place: Place, found: Surveyed, holdings: Holdings) -> dict[str, Any]:
    live = [held.described for held in holdings.instances.values() if place.has(held) and (held.role, held.state) == (found.role, "ready")]
    has_survey = found.has_survey and (place.mode == "shared" or bool(live))  # on a host the service's own part is its live servers
    return {
        "service": found.name,
        "role": found.role,
        "has_survey": has_survey,
        "names": service.name_patterns(found.name),
        "instances": live,
    }
