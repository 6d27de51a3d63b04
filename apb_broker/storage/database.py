"""The door to PostgreSQL: an engine, and units of work that are one transaction each.

Owns connections and the look-ups; how new rows are written is in `storage.insertion`, the queue's statements are in `storage.queue`.
"""

import functools
import random
import select as select_module
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import Session

from apb_broker.storage import errors, insertion, keys, tables
from apb_broker.storage.drafts import Draft
from apb_broker.storage.gathering import Gathering
from apb_broker.storage.sealing import Keyring
from apb_broker.storage.tables import ACTIVE_STATES, Binding, Instance, Operation, Progress, Reservation, Table

# Made once: to build a statement costs as much as to run it.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
STANDING = select(
    *(Operation.__table__.c[name] for name in ("kind", "state", "description", "error", "instance_id", "binding_id", "principal"))
).where(Operation.__table__.c.id == bindparam("id"))
MARK, LET_GO = text("SAVEPOINT mark"), text("ROLLBACK TO SAVEPOINT mark")
# Everybody in the same order, that of the names.
LOCK_ALL = """
SELECT pg_advisory_xact_lock{shared}(hashtextextended('place/' || name, 0)) FROM unnest(CAST(:names AS text[])) AS places(name)
"""
LOCK_PLACES, SHARE_PLACES = text(LOCK_ALL.format(shared="")), text(LOCK_ALL.format(shared="_shared"))
PORTS_TAKEN = text("SELECT count(*) FROM allocations WHERE host = :host")
# As many ports as are wanted, of the lowest that nobody has and nobody else holds: now they are held by us. Among the lowest
# (taken + spare) ports so many are free as are spare, so that no more need be looked at.
HOLD_PORTS = text("""
SELECT port FROM (
  SELECT port
  FROM generate_series(CAST(:first AS integer), least(CAST(:last AS integer), CAST(:first AS integer) + :taken + :spare)) AS series(port)
  WHERE NOT EXISTS (SELECT FROM allocations WHERE allocations.host = :host AND allocations.port = series.port)
  ORDER BY port LIMIT :spare
) AS free
WHERE pg_try_advisory_xact_lock(hashtextextended('port/' || :host || '/' || port, 0)) LIMIT :wanted
""")
# The same of some candidates, without a count of all that are taken: none, unless that many of the candidates are free.
HOLD_SOME_PORTS = text("""
WITH free AS MATERIALIZED (
  SELECT port FROM unnest(CAST(:candidates AS integer[])) AS candidates(port)
  WHERE NOT EXISTS (SELECT FROM allocations WHERE allocations.host = :host AND allocations.port = candidates.port)
  ORDER BY port
)
SELECT port FROM free
WHERE (SELECT count(*) FROM free) >= :plenty AND pg_try_advisory_xact_lock(hashtextextended('port/' || :host || '/' || port, 0))
LIMIT :wanted
""")
# What a cut network would otherwise hold up for a quarter of an hour (the system's retransmissions) or two hours (its keep-alives):
# we give a silent server up, and a server gives us up, with the locks that an interrupted or stopped process left. libpq's
# names and PostgreSQL's; what the URL says wins. They mean nothing on a local socket, but for the last one.
OF_US = {"connect_timeout": 5, "tcp_user_timeout": 15000, "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2}
OF_SERVER = {"tcp_user_timeout": "15s", "tcp_keepalives_idle": "5s", "tcp_keepalives_interval": "5s", "tcp_keepalives_count": "2"}
IDLE_TRANSACTION_SECONDS = 15.0  # no transaction of ours waits for anything but the database
SPARE_PORTS = 100  # that others may hold just now
WIDE_PORTS = 1000  # of so many some are tried, instead of all that are taken being counted
TAKEN_PORTS = text("SELECT port FROM allocations WHERE host = :host AND port = ANY(:ports)")
USAGE = text("""
SELECT place, count(*), sum(memory_gb) FROM reservations WHERE place = ANY(:places) GROUP BY place
""")
_reserve = insert(Reservation.__table__)  # type: ignore[arg-type]
RESERVE = _reserve.on_conflict_do_update(
    index_elements=["instance_id", "copy"], set_={name: _reserve.excluded[name] for name in ("place", "memory_gb")}
)


@contextmanager
def _told() -> Iterator[None]:
    """What the driver raises, in our words."""
    try:
        yield
    except (psycopg.errors.UniqueViolation, sqlalchemy.exc.IntegrityError) as error:
        raise _taken(error) from error
    except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
        raise errors.Taken("something else was decided at the same time") from error
    except sqlalchemy.exc.TimeoutError as error:
        raise errors.Unavailable("the database cannot be used now: all connections to it are in use") from error
    except psycopg.OperationalError as error:
        raise errors.Unavailable(f"the database cannot be used now: {type(error).__name__}") from error
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error, sqlalchemy.exc.OperationalError):
            raise errors.Unavailable(f"the database cannot be used now: {type(error.orig).__name__}") from error
        raise


def _taken(error: Exception) -> errors.StorageError:
    """Which unique constraint refused a row."""
    cause = error.orig if isinstance(error, sqlalchemy.exc.IntegrityError) else error
    name = cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
    return (
        errors.DuplicateName() if name == "instances_name" else errors.Taken(f"the database refuses a row: {name or type(cause).__name__}")
    )


def driver_url(url: str) -> str:
    """`postgresql://` and `postgres://` name psycopg 3 here."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def patience(url: str) -> dict[str, int]:
    """How long a connection waits for a server that is silent: arguments for psycopg, without those that the URL has."""
    said = sqlalchemy.make_url(driver_url(url)).query
    return {name: value for name, value in OF_US.items() if name not in said}


def _limit_server(connection: Any, _record: object) -> None:
    """How long the server waits for us. By a statement: poolers refuse them as parameters of a connection."""
    limits = {**OF_SERVER, "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION_SECONDS:g}s"}
    connection.execute("SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in limits.items()))
    connection.commit()


def _require_open(connection: Any, record: Any, _proxy: object) -> None:
    """A pooled connection that its server has closed meanwhile is replaced by the pool.

    Between transactions a server says nothing but that, so a look at the socket tells: a round trip less for each unit than a ping.
    """
    if record.info.setdefault("lent", 0):
        poll = select_module.poll()
        poll.register(connection.fileno(), select_module.POLLIN)
        if poll.poll(0):
            raise DisconnectionError("the server has closed this connection")
    record.info["lent"] += 1


class Database:
    """One PostgreSQL database and the keys to what is sealed in it."""

    def __init__(self, url: str, keyring: Keyring, *, pool_size: int = 20, pool_wait_seconds: float = 30) -> None:
        # hide_parameters: an error's text must never show the values of a statement.
        self.engine = sqlalchemy.create_engine(
            driver_url(url),
            pool_size=pool_size,
            pool_timeout=pool_wait_seconds,
            pool_use_lifo=True,  # the one that has prepared what is asked for, and has its server's caches warm
            hide_parameters=True,
            connect_args=patience(url),
        )
        sqlalchemy.event.listen(self.engine, "connect", _limit_server)
        sqlalchemy.event.listen(self.engine, "checkout", _require_open)
        self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.keyring = keyring
        self._drafts = Gathering(self._insert_all, insertion.is_refusal)
        self._sealing: keys.SealingKey | None = None  # the key that sealed last, as far as this process knows

    def reading(self) -> AbstractContextManager["Unit"]:
        """A unit that only looks: without a transaction around its statements, each of which sees what is committed then.

        In a unit it would be the same (READ COMMITTED), for two round trips more.
        """
        return self._unit(self._reader)

    def unit(self) -> AbstractContextManager["Unit"]:
        """One transaction: committed at the end of the block, rolled back by any exception. Raises Unavailable."""
        return self._unit(self.engine)

    def draft(self) -> Draft | None:
        """For rows that nothing has to be looked up for. None while it is not known which key seals: a unit finds out."""
        key = self._sealing
        return None if key is None else Draft(self.keyring, key, self._insert)

    def _insert(self, rows: Sequence[Table], notify: str | None, key: keys.SealingKey) -> None:
        wanted = insertion.of(rows, notify, key.canary)
        with _told():
            try:
                self._drafts.write(wanted, wanted.kind)
            except psycopg.errors.SerializationFailure:
                self._sealing = None
                raise

    def _insert_all(self, insertions: Sequence[insertion.Insertion]) -> None:
        with closing(self.engine.raw_connection()) as connection:
            insertion.insert_alone(connection, insertions)

    @contextmanager
    def _unit(self, engine: sqlalchemy.Engine) -> Iterator["Unit"]:
        with _told(), engine.begin() as connection:
            unit_keys = keys.UnitKeys(connection, self.keyring, self.admit)
            unit = Unit(connection, unit_keys)
            try:
                yield unit
                unit.flush()
            finally:
                unit.close()
                self._sealing = unit_keys.found or self._sealing

    def admit(self) -> None:
        """Refuses a key file that does not fit what is sealed here (WrongKey), and registers the first key. Raises Unavailable."""
        with self.unit() as unit:
            keys.admit(unit.session, self.keyring)

    def close(self) -> None:
        """Gives the connections back."""
        self.engine.dispose()


@dataclass(frozen=True)
class Usage:
    """What is taken of a place: copies of instances, and their memory in GB."""

    instances: int = 0
    memory_gb: float = 0.0


class Unit:
    """What one transaction sees. Rows it returns are changed in place; the commit writes them."""

    def __init__(self, connection: sqlalchemy.Connection, unit_keys: keys.UnitKeys) -> None:
        self._connection = connection
        self._keys = unit_keys

    @functools.cached_property
    def session(self) -> Session:
        """The rows that this unit has looked up. One that only inserts needs none, which saves it a tenth of a millisecond."""
        return Session(self._connection, autoflush=False, expire_on_commit=False, info={"keyring": self._keys})

    def close(self) -> None:
        """Lets go of the rows."""
        if "session" in self.__dict__:
            self.session.close()

    def lock_instance(self, instance_id: str) -> None:
        """Waits until no other transaction decides about this instance, known or new; held until the end of the unit."""
        self._lock(instance_id)

    def insert(self, *rows: Table, notify: str | None = None) -> None:
        """Inserts rows by one statement, which also notifies who listens on that channel. Those that have a key can be changed on."""
        self.flush()
        insertion.insert(self._connection, rows, notify)
        if "session" in self.__dict__:
            self.session.add_all(insertion.persistent(rows))

    def seal(self, row: Table, **values: Any) -> None:
        """Sets encrypted values of a row that is to be inserted, by their names; None stays None."""
        tables.seal(row, self._keys.seal, values)

    def flush(self) -> None:
        """Writes what was changed in rows now, so that what the database refuses is known here."""
        if "session" in self.__dict__:
            self.session.flush()

    def delete(self, row: Table) -> None:
        """Deletes a row and what hangs on it."""
        self.session.delete(row)
        self.session.flush()

    def instance(self, instance_id: str) -> Instance | None:
        """The instance of that id."""
        return self.session.get(Instance, instance_id)

    def instances(self) -> Sequence[Instance]:
        """All instances, oldest first."""
        return self.session.scalars(select(Instance).order_by(Instance.created_at, Instance.id)).all()

    def binding(self, instance_id: str, binding_id: str) -> Binding | None:
        """The binding of that id on that instance."""
        return self.session.get(Binding, (instance_id, binding_id))

    def bindings(self, instance_id: str) -> Sequence[Binding]:
        """The bindings of an instance, oldest first."""
        return self.session.scalars(
            select(Binding).where(Binding.instance_id == instance_id).order_by(Binding.created_at, Binding.id)
        ).all()

    def expired_bindings(self) -> Sequence[Binding]:
        """The bindings whose time is over and that are to be removed. (One whose removal failed is `storage.retries`' to tell.)"""
        return self.session.scalars(
            select(Binding).where(Binding.expires_at <= func.now(), Binding.state == "ready").order_by(Binding.expires_at).limit(100)
        ).all()

    def instances_to_purge(self, *, retry_seconds: float, only: str | None = None) -> Sequence[Instance]:
        """Those that were deleted, whose time of being kept is over: where a removal was halted, only after a while.

        What the operator protects stays. A removal that failed is `storage.retries`' to tell. With `only` it looks at that instance alone.
        """
        now, waited = func.now(), func.now() - timedelta(seconds=retry_seconds)
        return self.session.scalars(
            select(Instance)
            .where(
                sqlalchemy.true() if only is None else Instance.id == only,
                Instance.purge_at <= now,
                Instance.deletion_protection.is_not(True),
                ~sqlalchemy.exists().where(Operation.instance_id == Instance.id, Operation.retry_at.is_not(None)),
                sqlalchemy.or_(Instance.state == "kept", sqlalchemy.and_(Instance.state == "failed", Instance.updated_at < waited)),
            )
            .order_by(Instance.purge_at)
            .limit(100)
        ).all()

    def now(self) -> datetime:
        """The time of this transaction, by the database's clock."""
        return self.session.scalars(select(func.now())).one()

    def is_past(self, time: datetime | None) -> bool:
        """Whether that time is over, by the database's clock."""
        return time is not None and time <= self.now()

    def operation(self, operation_id: str) -> Operation | None:
        """The operation of that id."""
        return self.session.get(Operation, operation_id)

    def standing(self, operation_id: str) -> Any:
        """What polling needs of an operation, as a row; by far the most frequent question, so no Operation is made of it."""
        return self.session.connection().execute(STANDING, {"id": operation_id}).one_or_none()

    def operations(self, *, instance_id: str | None = None, state: str | None = None, limit: int = 100) -> Sequence[Operation]:
        """Operations, newest first."""
        query = select(Operation).order_by(Operation.sequence.desc()).limit(limit)
        if instance_id is not None:
            query = query.where(Operation.instance_id == instance_id)
        if state is not None:
            query = query.where(Operation.state == state)
        return self.session.scalars(query).all()

    def active_operations(self, instance_id: str) -> Sequence[Operation]:
        """The operations of an instance and its bindings that have still to end, oldest first."""
        return self.session.scalars(
            select(Operation).where(Operation.instance_id == instance_id, Operation.state.in_(ACTIVE_STATES)).order_by(Operation.sequence)
        ).all()

    def last_operation(self, instance_id: str, binding_id: str | None = None, *, asked_for: bool = False) -> Operation | None:
        """The newest operation on the instance itself, or on one binding of it; of those that platforms know, if only these count."""
        kinds = Operation.kind != "repair" if asked_for else sqlalchemy.true()
        subject = Operation.binding_id.is_(None) if binding_id is None else Operation.binding_id == binding_id
        return self._newest(Operation.instance_id == instance_id, subject, kinds)

    def last_begun(self, instance_id: str, kind: str) -> Operation | None:
        """The newest operation of that kind on the instance that a worker has begun."""
        begun = Operation.started_at.is_not(None)
        return self._newest(Operation.instance_id == instance_id, Operation.binding_id.is_(None), Operation.kind == kind, begun)

    def _newest(self, *which: sqlalchemy.ColumnElement[bool]) -> Operation | None:
        """Of operations on one subject: the first in the index of them, read backwards.

        The subject is part of the order, though it is the same in all: an order by age alone would be looked for among all operations.
        """
        newest_first = (Operation.binding_id.desc(), Operation.sequence.desc())
        return self.session.scalars(select(Operation).where(*which).order_by(*newest_first).limit(1)).first()

    def progress(self, operation_id: str, *, after: int = 0) -> Sequence[Progress]:
        """The lines of an operation's log with a sequence number above `after`."""
        return self.session.scalars(
            select(Progress).where(Progress.operation_id == operation_id, Progress.sequence > after).order_by(Progress.sequence)
        ).all()

    def lock_places(self, places: Collection[str], *, alone: bool = True) -> None:
        """Waits until no other transaction gives room on these hosts or servers away; held until the end of the unit.

        Several that are not `alone` there go on together, and count nothing but what each holds by itself.
        """
        self.session.execute(LOCK_PLACES if alone else SHARE_PLACES, {"names": sorted(places)})

    def mark(self) -> None:
        """What is locked and held from now on can be let go before the end of the unit."""
        self.session.execute(MARK)

    def let_go(self) -> None:
        """Gives up what was locked and held since the mark. Nothing may have been written since."""
        self.session.execute(LET_GO)

    def lock_owner(self, per: str, owner: str) -> None:
        """Waits until no other transaction decides how many instances this organization or space has; held until the end of the unit."""
        self._lock(f"{per}/{owner}")

    def lock_figures(self) -> None:
        """Waits until no other transaction counts; held until the end of the unit."""
        self._lock("operation_statistics")

    def count_instances(self, *, plan_id: str | None, organization: str | None = None, space: str | None = None) -> int:
        """How many instances an organization or a space has, all or those of a plan."""
        wanted = {Instance.plan_id: plan_id, Instance.organization: organization, Instance.space: space}
        query = select(func.count()).select_from(Instance)
        return self.session.scalars(query.where(*(column == value for column, value in wanted.items() if value is not None))).one()

    def usage(self, places: Collection[str]) -> dict[str, Usage]:
        """What is taken of each of these places."""
        rows = self.session.execute(USAGE, {"places": list(places)})
        return dict.fromkeys(places, Usage()) | {place: Usage(*taken) for place, *taken in rows}

    def reserve(self, instance_id: str, copy: int, place: str, memory_gb: float) -> None:
        """Takes room for a copy of an instance, or changes how much."""
        self.session.execute(RESERVE, {"instance_id": instance_id, "copy": copy, "place": place, "memory_gb": memory_gb})

    def reserved(self, instance_id: str) -> dict[int, float]:
        """The memory that each copy of an instance has."""
        rows = self.session.execute(select(Reservation.copy, Reservation.memory_gb).where(Reservation.instance_id == instance_id))
        return {row.copy: row.memory_gb for row in rows}

    def hold_ports(self, host: str, ports: range, wanted: int) -> list[int]:
        """So many ports of a host that nobody has; nobody else gets them before the end of the unit. Fewer, when there are no more.

        They are the lowest. Where there are many, and the lowest are taken, they are any: what that takes does not grow with how many
        are taken, until most of them are.
        """
        held = self._hold_some_ports(host, ports, wanted) if len(ports) >= WIDE_PORTS else []
        return held if len(held) == wanted else self._hold_lowest_ports(host, ports, wanted)

    def _hold_some_ports(self, host: str, ports: range, wanted: int) -> list[int]:
        plenty = wanted + SPARE_PORTS // 4
        candidates = {*ports[:SPARE_PORTS], *random.choices(ports, k=2 * plenty)}  # noqa: S311 - no secret
        limits = {"candidates": list(candidates), "plenty": plenty, "wanted": wanted}
        return self._still_free(host, self.session.scalars(HOLD_SOME_PORTS, {"host": host, **limits}).all())

    def _hold_lowest_ports(self, host: str, ports: range, wanted: int) -> list[int]:
        taken = self.session.scalars(PORTS_TAKEN, {"host": host}).one()
        if len(ports) - taken < wanted + SPARE_PORTS:
            self._lock("ports")  # about the last ones one decides at a time: two with half of what they want each help nobody
        sure: list[int] = []
        while len(sure) < wanted:
            taken = self.session.scalars(PORTS_TAKEN, {"host": host}).one()
            limits = {"first": ports.start, "last": ports.stop - 1, "taken": taken, "spare": wanted + SPARE_PORTS, "wanted": wanted}
            held = self.session.scalars(HOLD_PORTS, {"host": host, **limits}).all()
            sure = self._still_free(host, held)
            if len(held) < wanted:
                break
        return sure

    def _still_free(self, host: str, held: Sequence[int]) -> list[int]:
        """Those that nobody got before they were held: they were held before this look, so nobody gets them after it."""
        gone = set(self.session.scalars(TAKEN_PORTS, {"host": host, "ports": list(held)}))
        return [port for port in held if port not in gone]

    def _lock(self, name: str) -> None:
        self.session.execute(LOCK, {"name": name})
