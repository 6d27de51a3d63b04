"""Which keys the processes that live have: each says so every few seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from apb_broker.storage.tables import KeyHolder, Worker

FORGOTTEN_SECONDS = 3600.0


@dataclass(frozen=True)
class Holder:
    """A process that lives: `labels` are the keys it has; None when it does not say (a worker of the previous release)."""

    name: str
    labels: frozenset[str] | None


def heard_of(session: Session, *, kind: str, owner: str, labels: Sequence[str]) -> None:
    """Notes which keys this process has, and forgets those that have been silent for an hour."""
    seen = {"labels": list(labels), "seen_at": func.now()}
    added = insert(KeyHolder).values(kind=kind, owner=owner, **seen)
    session.execute(added.on_conflict_do_update(index_elements=[KeyHolder.kind, KeyHolder.owner], set_=seen))
    session.execute(delete(KeyHolder).where(KeyHolder.seen_at < func.now() - timedelta(seconds=FORGOTTEN_SECONDS)))


def gone(session: Session, *, kind: str, owner: str) -> None:
    """Notes that this process stopped in good order."""
    session.execute(delete(KeyHolder).where(KeyHolder.kind == kind, KeyHolder.owner == owner))


def alive(session: Session, *, silent_seconds: float) -> list[Holder]:
    """The processes that were heard of lately."""
    since = func.now() - timedelta(seconds=silent_seconds)
    rows = session.scalars(select(KeyHolder).where(KeyHolder.seen_at > since)).all()
    told = {(row.kind, row.owner): frozenset(row.labels) for row in rows}
    workers = session.scalars(select(Worker.owner).where(Worker.seen_at > since)).all()
    everybody = dict.fromkeys([*told, *(("worker", owner) for owner in workers)])
    return [Holder(f"{kind} {owner}", told.get((kind, owner))) for kind, owner in sorted(everybody)]
