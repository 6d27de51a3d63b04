"""Which worker processes live: each says so every few seconds."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from apb_broker.storage.database import Unit
from apb_broker.storage.tables import Worker

FORGOTTEN_SECONDS = 3600.0  # so that a worker that died is seen as missing for a while


def heard_of(unit: Unit, *, owner: str, version: str, concurrency: int, running: int) -> None:
    """Notes that this worker lives, and forgets those that have been silent for an hour."""
    seen = {"version": version, "concurrency": concurrency, "running": running, "seen_at": func.now()}
    unit.session.execute(insert(Worker).values(owner=owner, **seen).on_conflict_do_update(index_elements=[Worker.owner], set_=seen))
    unit.session.execute(delete(Worker).where(Worker.seen_at < func.now() - timedelta(seconds=FORGOTTEN_SECONDS)))


def gone(unit: Unit, owner: str) -> None:
    """Notes that this worker stopped in good order."""
    unit.session.execute(delete(Worker).where(Worker.owner == owner))


def known(unit: Unit) -> Sequence[tuple[Worker, float]]:
    """The workers, each with the seconds since it was last heard of."""
    silent = func.extract("epoch", func.now() - Worker.seen_at)
    return [(worker, float(seconds)) for worker, seconds in unit.session.execute(select(Worker, silent).order_by(Worker.owner))]
