"""The workers, and figures about what they do: for metrics and health, never for decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from apb_broker.lifecycle.broker import Broker
from apb_broker.storage import health, holders, keys, migrate, statistics, workers
from apb_broker.storage.errors import Unavailable, WrongKey
from apb_broker.storage.tables import OperationStatistics

SILENT_SECONDS = 30.0
"""A worker that was not heard of for so long counts as missing."""

HEARTBEAT_SECONDS = 5.0
BOUNDS = statistics.BOUNDS


def report_alive(broker: Broker, owner: str, running: int) -> None:
    """Notes that a worker lives, and how many operations it runs. Raises WrongKey when its keys are not the database's."""
    report_keys(broker, "worker", owner)
    with broker.database.unit() as unit:
        workers.heard_of(unit, owner=owner, version=version("apb"), concurrency=broker.settings.concurrency, running=running)


def report_stopped(broker: Broker, owner: str) -> None:
    """Notes that a worker stopped in good order."""
    with broker.database.unit() as unit:
        workers.gone(unit, owner)
        holders.gone(unit.session, kind="worker", owner=owner)


def report_keys(broker: Broker, kind: str, owner: str) -> None:
    """Notes which keys a process (`serve` or `worker`) has. Raises WrongKey when they are not the database's."""
    with broker.database.unit() as unit:
        has = keys.held(unit.session, broker.database.keyring)
        found = keys.problems(unit.session, broker.database.keyring)
        if not found:
            holders.heard_of(unit.session, kind=kind, owner=owner, labels=has)
    if found:
        raise WrongKey("; ".join(found))


@dataclass(frozen=True)
class Ended:
    """Operations that ended alike: how many in each bucket of BOUNDS (one more for what took longer), and seconds of all together."""

    service: str
    plan: str
    action: str
    outcome: str
    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Figures:
    """What metrics show. `workers` are {name: seconds of silence}; `alive` of them were heard of lately, and run `capacity` at a time."""

    ended: tuple[Ended, ...]
    queue: statistics.QueueState
    workers: dict[str, float]
    alive: int
    capacity: int
    instances: tuple[tuple[str, str, str, int], ...]  # service, plan, health, how many


def figures(broker: Broker) -> Figures:
    """The figures now, in one transaction that reads no finished operation."""
    with broker.database.unit() as unit:
        known = workers.known(unit)
        alive = [worker for worker, seconds in known if seconds < SILENT_SECONDS]
        return Figures(
            ended=_ended(statistics.ended(unit)),
            queue=statistics.queue(unit),
            workers={worker.owner: seconds for worker, seconds in known},
            alive=len(alive),
            capacity=sum(worker.concurrency for worker in alive),
            instances=tuple(health.counts(unit)),
        )


def _ended(rows: Sequence[OperationStatistics]) -> tuple[Ended, ...]:
    counts: dict[tuple[str, str, str, str], list[int]] = {}
    seconds: dict[tuple[str, str, str, str], float] = {}
    for row in rows:
        key = (row.service_name, row.plan_name, row.kind, row.outcome)
        counts.setdefault(key, [0] * (len(BOUNDS) + 1))[row.bucket] = row.count
        seconds[key] = seconds.get(key, 0.0) + row.seconds
    return tuple(Ended(*key, tuple(found), seconds[key]) for key, found in sorted(counts.items()))


def require_current(broker: Broker) -> None:
    """Raises Unavailable while the database does not answer, lacks tables of this release, or is sealed with keys we have not got."""
    migrate.require_current(broker.database)
    with broker.database.unit() as unit:
        found = keys.problems(unit.session, broker.database.keyring)
    if found:
        raise Unavailable("the key file of this process does not fit its database; its log says why")


def alive(broker: Broker) -> int:
    """How many workers were heard of lately."""
    with broker.database.unit() as unit:
        return sum(seconds < SILENT_SECONDS for _, seconds in workers.known(unit))
