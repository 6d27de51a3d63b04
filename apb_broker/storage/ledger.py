"""Ports and memory that are booked, held against the instances they are booked for."""

from dataclasses import dataclass

from sqlalchemy import delete, select

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Allocation, Instance, Reservation


@dataclass(frozen=True)
class Stray:
    """A booking without an instance that has it: a port of a host, or the memory of a copy (`port` is None)."""

    place: str
    instance_id: str
    port: int | None
    copy: int | None = None


def strays(unit: Unit) -> list[Stray]:
    """Bookings for instances that do not exist, and ports booked for one that has others."""
    ports = {row.id: set(row.ports.values()) for row in unit.session.execute(select(Instance.id, Instance.ports))}
    booked = unit.session.execute(
        select(Allocation.host, Allocation.port, Allocation.instance_id).order_by(Allocation.host, Allocation.port)
    )
    found = [Stray(host, instance_id, port) for host, port, instance_id in booked if port not in ports.get(instance_id, ())]
    held = unit.session.execute(select(Reservation.place, Reservation.instance_id, Reservation.copy).order_by(Reservation.place))
    return found + [Stray(place, instance_id, None, copy) for place, instance_id, copy in held if instance_id not in ports]


def remove(unit: Unit, stray: Stray) -> None:
    """Takes it out of the books. The caller holds the instance's lock."""
    if stray.port is not None:
        unit.session.execute(delete(Allocation).where(Allocation.host == stray.place, Allocation.port == stray.port))
    else:
        unit.session.execute(delete(Reservation).where(Reservation.instance_id == stray.instance_id, Reservation.copy == stray.copy))
