"""What the broker believes to exist, and what it remembers of what is gone: for whoever compares that with hosts and servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.apb.catalog.plugins.module_utils import service

from apb_broker.lifecycle import errors, variables
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage import history, ledger, queue
from apb_broker.storage.database import Unit
from apb_broker.storage.ledger import Stray
from apb_broker.storage.tables import Instance


@dataclass(frozen=True)
class Holding:
    """One instance. `described` is what a role gets of it, secrets included; `accounts` are {username: binding's state}."""

    id: str
    name: str
    service: str
    role: str
    mode: str
    state: str
    described: dict[str, Any]
    accounts: dict[str, str]

    @property
    def slug(self) -> str:
        """Its name on machines."""
        return str(self.described["names"]["slug"])

    @property
    def place(self) -> tuple[str, str]:
        """Its target, and its host in there (localhost for a server that many share)."""
        return self.described["placement"]["target"], self.described["placement"]["host"]


@dataclass(frozen=True)
class Holdings:
    """All instances by slug; the ids of those that are gone by slug, and of gone bindings' instances by (slug, username); strays."""

    at: datetime
    instances: dict[str, Holding]
    gone: dict[str, str]
    gone_accounts: dict[tuple[str, str], str]
    strays: tuple[Stray, ...]
    services: frozenset[str]


def read(broker: Broker) -> Holdings:
    """How it is now."""
    with broker.database.unit() as unit:
        instances = {row.names["slug"]: _holding(unit, row) for row in unit.instances()}
        subjects = history.subjects(unit)
        return Holdings(
            at=unit.now(),
            instances=instances,
            gone={slug: id_ for name, id_, _binding in subjects if (slug := service.slug(name, id_)) not in instances},
            gone_accounts={
                (service.slug(name, id_), service.binding_username(id_, binding)): id_
                for name, id_, binding in subjects
                if binding is not None
            },
            strays=tuple(ledger.strays(unit)),
            services=frozenset(name for name, _id, _binding in subjects) | {held.service for held in instances.values()},
        )


def _holding(unit: Unit, row: Instance) -> Holding:
    return Holding(
        id=row.id,
        name=row.name or row.id,
        service=row.service_name,
        role=row.role,
        mode=row.mode,
        state=row.state,
        described={**variables.of_instance(row), "secrets": row.secrets or {}},
        accounts={binding.username: binding.state for binding in unit.bindings(row.id)},
    )


def touched_since(broker: Broker, time: datetime) -> set[str]:
    """Slugs of the instances that somebody works on, or worked on after that time: what was seen of them says nothing."""
    with broker.database.unit() as unit:
        touched = history.touched_since(unit, time)
        return {service.slug(name, id_) for name, id_, _binding in history.subjects(unit) if id_ in touched}


def next_epoch(broker: Broker) -> int:
    """An epoch for a run that no operation stands for: higher than all before."""
    with broker.database.unit() as unit:
        return queue.next_epoch(unit)


@contextmanager
def quiet(broker: Broker, instance_id: str) -> Iterator[Holding | None]:
    """The instance as it is, or None, and nothing can be accepted for it until the end of the block. Raises Busy.

    Whoever asks for that very instance meanwhile waits, so what is done here has to be short.
    """
    with broker.database.unit() as unit:
        unit.lock_instance(instance_id)
        if unit.active_operations(instance_id):
            raise errors.Busy(f"instance {instance_id} is being worked on")
        row = unit.instance(instance_id)
        yield None if row is None else _holding(unit, row)


def clear(broker: Broker, stray: Stray) -> None:
    """Takes a booking that no instance has out of the books. Raises Busy."""
    with broker.database.unit() as unit:
        unit.lock_instance(stray.instance_id)
        if stray not in ledger.strays(unit):
            raise errors.Busy(f"instance {stray.instance_id} has it by now")
        ledger.remove(unit, stray)
