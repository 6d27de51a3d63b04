"""Where an instance goes: hosts of one of the plan's targets with memory and ports on them, or a server the operator has.

Memory is what the operator gave each host in apb.yml, less what is reserved by instances; nobody measures the hosts themselves.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from apb_broker.catalog.catalog import Offer
from apb_broker.catalog.config import Host, HostTarget, SharedTarget, Target
from apb_broker.lifecycle import errors
from apb_broker.storage import tables
from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Allocation, Instance, Reservation, Table

GUESSABLE_PORTS = 1000  # among fewer, too many guesses would be wrong
MANY_HOSTS = 16  # of more, a few are looked at
FEW_HOSTS = 8


@dataclass(frozen=True)
class Placed:
    """Where an instance goes: what is kept with it, the ports of its first copy by name, and what it takes of each place."""

    placement: dict[str, Any]
    ports: dict[str, int]
    reservations: list[tuple[str, float]]  # place and memory of each copy
    allocations: list[tuple[str, dict[str, int]]]  # host and ports of each copy


def guess(offer: Offer, needs: dict[str, Any]) -> Placed | None:
    """A place that is very likely free, without a look at what is taken; the database refuses the instance (Taken) if it is not.

    None where that would be no guess: there are limits, several places to choose from, or few ports.
    """
    target = offer.targets[0]
    if _is_counted(target):
        return None
    if isinstance(target, SharedTarget):
        return _at_server(target)
    if len(target.hosts) > 1 or needs["copies"] > 1 or len(target.ports) < GUESSABLE_PORTS:
        return None
    ports = sorted(random.sample(target.ports, len(needs["ports"])))  # sorted: two that want each other's do not wait for each other
    return _placed(target, [(target.hosts[0], dict(zip(needs["ports"], ports, strict=True)))], needs)


def choose(unit: Unit, offer: Offer, needs: dict[str, Any]) -> Placed:
    """Finds room on the first target that has it, and keeps others from it until the end of the unit.

    `needs` are service.needs(): memory and ports for each copy. Copies go to different hosts while there are any, each to the one with
    the most memory free; of many hosts a few are drawn for that, so that all others can be given away meanwhile, and what is taken of
    them need not be added up. (With the best of a few, hosts fill nearly as evenly as with the best of all.) A port that is free here
    but busy on the host makes the run fail with a sentence that says so; it never moves by itself. Raises NoCapacity, saying what is
    missing.
    """
    few = _few_hosts(offer.targets[0], needs)
    if few is not None:
        unit.mark()
        placed = _on_first(unit, [few], needs, [])
        if placed is not None:
            return placed
        unit.let_go()  # who holds some places and waits for others would be waited for
    missing: list[str] = []
    placed = _on_first(unit, offer.targets, needs, missing)
    if placed is None:
        raise errors.NoCapacity(f"there is no room for this: {'; '.join(missing)}")
    return placed


def _few_hosts(target: Target, needs: dict[str, Any]) -> HostTarget | None:
    """The target with some of its hosts, if it has many."""
    if not isinstance(target, HostTarget) or len(target.hosts) <= max(MANY_HOSTS, 2 * needs["copies"]):
        return None
    return target.model_copy(update={"hosts": random.sample(target.hosts, max(FEW_HOSTS, 2 * needs["copies"]))})


def _on_first(unit: Unit, targets: Sequence[Target], needs: dict[str, Any], missing: list[str]) -> Placed | None:
    """On the first of these targets that has room; all are locked meanwhile."""
    unit.lock_places({key for target in targets for key in _keys(target)}, alone=any(map(_is_counted, targets)))
    for target in targets:
        placed = _on_server(unit, target, missing) if isinstance(target, SharedTarget) else _on_hosts(unit, target, needs, missing)
        if placed is not None:
            return placed
    return None


def rows(instance_id: str, placed: Placed) -> list[Table]:
    """What gives the room to an instance, to be inserted with it."""
    reserved = [
        tables.new(Reservation, instance_id=instance_id, copy=copy, place=place, memory_gb=memory_gb)
        for copy, (place, memory_gb) in enumerate(placed.reservations)
    ]
    allocated = [
        tables.new(Allocation, host=host, port=port, instance_id=instance_id, name=name)
        for host, ports in placed.allocations
        for name, port in ports.items()
    ]
    return [*reserved, *allocated]


def _is_counted(target: Target) -> bool:
    """Whether it has limits that only one can count at a time. Of ports each is held by itself, so that many can choose at once."""
    return target.instances is not None if isinstance(target, SharedTarget) else any(host.memory_gb is not None for host in target.hosts)


def _keys(target: Target) -> Iterator[str]:
    """What tells places apart: targets that name the same host or server share its room."""
    if isinstance(target, SharedTarget):
        yield f"{target.address}:{target.port}"
    else:
        yield from (host.address for host in target.hosts)


def _on_server(unit: Unit, target: SharedTarget, missing: list[str]) -> Placed | None:
    (key,) = _keys(target)
    if target.instances is not None and unit.usage([key])[key].instances >= target.instances:
        missing.append(f"target {target.name} has {target.instances} instances, as many as it takes")
        return None
    return _at_server(target)


def _at_server(target: SharedTarget) -> Placed:
    placement = {"target": target.name, "host": "localhost", "address": target.address}
    return Placed(placement, {"client": target.port}, [(key, 0) for key in _keys(target)], [])


@dataclass
class _Room:
    """What is left on a host while copies are handed out. Its ports are looked for when it is chosen."""

    host: Host
    memory_gb: float
    instances: int
    ports: list[int] | None = None
    copies: int = 0


def _on_hosts(unit: Unit, target: HostTarget, needs: dict[str, Any], missing: list[str]) -> Placed | None:
    rooms = _rooms(unit, target)
    chosen: list[tuple[Host, dict[str, int]]] = []
    for _copy in range(needs["copies"]):
        best = _best(unit, target, rooms, needs)
        if best is None:
            missing += [_missing(target, room, needs) for room in rooms]
            return None
        chosen.append(_take(best, needs))
    return _placed(target, chosen, needs)


def _best(unit: Unit, target: HostTarget, rooms: list[_Room], needs: dict[str, Any]) -> _Room | None:
    """The host for the next copy, with the ports that it needs there."""
    fitting = [room for room in rooms if room.memory_gb >= needs["memory_gb"]]
    for room in sorted(fitting, key=lambda room: (room.copies, -room.memory_gb, room.instances)):
        if room.ports is None:  # for all copies at once: to us, what we hold already looks free
            room.ports = unit.hold_ports(room.host.address, target.ports, needs["copies"] * len(needs["ports"]))
        if len(room.ports) >= len(needs["ports"]):
            return room
    return None


def _placed(target: HostTarget, chosen: list[tuple[Host, dict[str, int]]], needs: dict[str, Any]) -> Placed:
    copies = [{"host": host.name, "address": host.address, "directory": str(target.directory), "ports": ports} for host, ports in chosen]
    first = {key: copies[0][key] for key in ("host", "address", "directory")}
    return Placed(
        {"target": target.name, **first, "copies": copies},
        chosen[0][1],
        [(host.address, needs["memory_gb"]) for host, _ in chosen],
        [(host.address, ports) for host, ports in chosen],
    )


def _rooms(unit: Unit, target: HostTarget) -> list[_Room]:
    """What is left on each host."""
    usage = unit.usage(list(_keys(target)))
    return [_Room(host, _free(host, usage[host.address].memory_gb), usage[host.address].instances) for host in target.hosts]


def _free(host: Host, used_gb: float) -> float:
    return math.inf if host.memory_gb is None else round(host.memory_gb - used_gb, 6)  # sums of tenths


def _take(room: _Room, needs: dict[str, Any]) -> tuple[Host, dict[str, int]]:
    held = room.ports or []
    ports = dict(zip(needs["ports"], held, strict=False))
    room.memory_gb, room.ports, room.copies = room.memory_gb - needs["memory_gb"], held[len(ports) :], room.copies + 1
    return room.host, ports


def _missing(target: HostTarget, room: _Room, needs: dict[str, Any]) -> str:
    where = f"host {room.host.name} of target {target.name}"
    beside = f" beside {room.copies} other copies" if room.copies else ""
    if room.memory_gb < needs["memory_gb"]:
        return f"{where} has {room.memory_gb:g} GB of memory free{beside}, needed: {needs['memory_gb']:g} GB"
    ports = f"{target.ports.start}-{target.ports.stop - 1}"
    return f"{where} has {len(room.ports or [])} ports of {ports} free{beside}, needed: {len(needs['ports'])}"


def resize(unit: Unit, target: Target | None, instance: Instance, needs: dict[str, Any]) -> None:
    """Reserves what an update needs on top, where the instance is: both sizes count until it ends. Raises NoCapacity, Unsupported.

    `target` is None when it has left apb.yml: then nobody knows what its hosts have.
    """
    if not isinstance(target, HostTarget):
        return
    copies = _copies(instance)
    if needs["copies"] != len(copies):
        raise errors.Unsupported(f"the number of copies stays {len(copies)}: an update does not make it {needs['copies']}")
    unit.lock_places({copy["address"] for copy in copies})
    usage = unit.usage([copy["address"] for copy in copies])
    reserved = unit.reserved(instance.id)
    for number, copy in enumerate(copies):
        more = needs["memory_gb"] - reserved.get(number, 0)
        host = next((host for host in target.hosts if host.address == copy["address"]), None)
        free = math.inf if host is None else _free(host, usage[host.address].memory_gb)
        if more > free:
            raise errors.NoCapacity(
                f"there is no room for this: host {copy['host']} has {free:g} GB of memory free, {round(more, 6):g} GB more are needed"
            )
        unit.reserve(instance.id, number, copy["address"], max(needs["memory_gb"], reserved.get(number, 0)))


def settle(unit: Unit, instance: Instance, needs: dict[str, Any]) -> None:
    """After an update, however it ended: the instance has what its parameters need, and no more."""
    if instance.mode == "host":
        for number, copy in enumerate(_copies(instance)):
            unit.reserve(instance.id, number, copy["address"], needs["memory_gb"])


def _copies(instance: Instance) -> list[dict[str, Any]]:
    """Where its copies are; an instance of the first release has one, and nothing else in its placement."""
    return instance.placement.get("copies") or [instance.placement]
