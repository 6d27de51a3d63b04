"""Where an instance goes: a host of one of the plan's targets, and ports on it."""

from typing import Any

from apb_broker.catalog.catalog import Offer
from apb_broker.lifecycle import errors
from apb_broker.storage.database import Unit


def place(unit: Unit, offer: Offer, instance_id: str, ports_needed: list[str]) -> tuple[dict[str, Any], dict[str, int]]:
    """Takes the first target host with enough free ports: (placement, ports by name). Raises NoCapacity.

    The instance's row has to exist in this unit. A port that is free here but busy on the host makes the
    run fail with a sentence that says so; it never moves by itself.
    """
    for target in offer.targets:
        for host in target.hosts:
            ports = _allocate(unit, host.address, target.ports, instance_id, ports_needed)
            if ports is not None:
                return {
                    "target": target.name,
                    "host": host.name,
                    "address": host.address,
                    "directory": str(target.directory),
                }, ports
    names = ", ".join(target.name for target in offer.targets)
    raise errors.NoCapacity(f"no host of target {names} has {len(ports_needed)} free port(s) left in its range")


def _allocate(unit: Unit, host: str, ports: range, instance_id: str, names: list[str]) -> dict[str, int] | None:
    given: dict[str, int] = {}
    for name in names:
        port = unit.allocate_port(host, ports, instance_id, name)
        if port is None:
            unit.release_ports(instance_id)
            return None
        given[name] = port
    return given
