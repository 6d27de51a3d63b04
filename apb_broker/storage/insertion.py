"""New rows, written by one statement: a round trip for all, and none of the ORM's bookkeeping.

An acceptance is half a dozen rows in six tables. Each in a statement of its own costs more than all of them in one, and those of several
acceptances cost little more than those of one (bench/README.md); the statement goes to the driver, since SQLAlchemy would take as long
as the server.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from pydantic_core import to_json
from sqlalchemy import Connection, PoolProxiedConnection, inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import make_transient_to_detached
from sqlalchemy.orm.attributes import manager_of_class

from apb_broker.storage.tables import Table

Shape = tuple[tuple[type[Table], tuple[str, ...]], ...]
Values = list[bytes | None]  # text, which the server reads each as its column's type

PREPARED = "insertions"  # in what the pool knows of a connection: {statement: its name}


@dataclass(frozen=True, slots=True)
class Insertion:
    """Rows that are to be inserted together: tables and columns, and the values of each row.

    `notify` is the channel that is notified when they are; `canary` that of the key that they are sealed with, if it is to be checked.
    """

    shape: Shape
    values: list[Values]
    notify: str | None
    canary: str | None = None

    @property
    def kind(self) -> tuple[Any, ...]:
        """Those of one kind can be written by one statement."""
        return self.shape, self.notify, self.canary


def of(rows: Sequence[Table], notify: str | None, canary: str | None = None) -> Insertion:
    """The insertion of these rows. What a row does not set is the column's default."""
    shape, values = [], []
    for row in rows:
        found = row.__dict__
        columns = _columns(type(row), tuple(found))
        shape.append((type(row), columns.names))
        values.append([None if (value := found[name]) is None else encode(value) for name, encode in columns.encoders])
    return Insertion(tuple(shape), values, notify, canary)


def insert(connection: Connection, rows: Sequence[Table], notify: str | None) -> None:
    """Inserts rows in a transaction, and notifies that channel when it commits.

    References between the rows are checked when all are there. Raises the driver's errors.
    """
    statement, values = _filled([of(rows, notify)])
    driver: Any = connection.connection.driver_connection
    with psycopg.RawCursor(driver) as cursor:
        cursor.execute(statement, [None if value is None else value.decode() for value in values], prepare=True)


def insert_alone(connection: PoolProxiedConnection, insertions: Sequence[Insertion]) -> None:
    """The same for insertions of one kind, on a connection that is in no transaction: the statement is one by itself, all or nothing.

    It fails (SerializationFailure) when another key than that of the canary seals, and none other will before its end. It goes to libpq
    as it is: the driver's cursor would begin a transaction, and take half as long as the server.
    """
    statement, values = _filled(insertions)
    try:
        _run(connection, statement, values)
    except psycopg.errors.InvalidSqlStatementName:  # the driver prepares some, too, and after a rollback has the server forget all
        connection.info.pop(PREPARED)
        _run(connection, statement, values)


def is_refusal(error: BaseException) -> bool:
    """Whether the server has refused a statement: nothing was written then. (A connection that was lost has no such code.)"""
    return isinstance(error, psycopg.Error) and error.sqlstate is not None


def _filled(insertions: Sequence[Insertion]) -> tuple[str, Values]:
    """The statement for insertions of one kind, and its values."""
    first = insertions[0]
    values: Values = [None if text is None else text.encode() for text in (first.notify, first.canary)]
    # In the order of their first values: two statements with the same keys do not wait for each other in a circle.
    ordered = insertions if len(insertions) == 1 else sorted(insertions, key=_first_value)
    for number in range(len(first.values)):
        for each in ordered:
            values += each.values[number]
    return _statement(first.shape, len(insertions)), values


def _first_value(insertion: Insertion) -> bytes:
    return insertion.values[0][0] or b""


def _run(connection: PoolProxiedConnection, statement: str, values: Values) -> None:
    """Prepares a statement once for each connection."""
    server: PGconn = connection.driver_connection.pgconn  # type: ignore[union-attr]
    prepared = connection.info.setdefault(PREPARED, {})
    if statement not in prepared:
        name = f"apb_{len(prepared)}".encode()
        _require_done(server, server.prepare(name, statement.encode()))
        prepared[statement] = name
    _require_done(server, server.exec_prepared(prepared[statement], values))  # type: ignore[arg-type]  # None is NULL


def _require_done(server: PGconn, result: PGresult) -> None:
    if server.status != ConnStatus.OK:
        raise psycopg.OperationalError("the connection was lost")
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result)


def persistent(rows: Sequence[Table]) -> list[Table]:
    """The inserted rows that say themselves which they are, as if they had been looked up."""
    known = [row for row in rows if all(column.key in row.__dict__ for column in inspect(type(row)).primary_key)]
    for row in known:
        if not hasattr(row, "_sa_instance_state"):
            manager_of_class(type(row)).setup_instance(row)
        for name in [name for name, value in row.__dict__.items() if isinstance(value, bytes)]:
            del row.__dict__[name]  # is looked up when somebody reads it
        make_transient_to_detached(row)
    return known


@dataclass(frozen=True, slots=True)
class _Columns:
    """What a row sets, and how each value becomes text."""

    names: tuple[str, ...]
    encoders: tuple[tuple[str, Callable[[Any], bytes]], ...]


@functools.lru_cache(maxsize=256)
def _columns(table: type[Table], attributes: tuple[str, ...]) -> _Columns:
    kinds = {column.key: column.type for column in inspect(table).columns}
    names = tuple(name for name in attributes if name in kinds)
    return _Columns(names, tuple((name, _as_json if isinstance(kinds[name], JSONB) else _as_text) for name in names))


def _as_json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else to_json(value)


def _as_text(value: Any) -> bytes:
    return str(value).encode()


@functools.lru_cache(maxsize=256)
def _statement(shape: Shape, count: int) -> str:
    """One INSERT for each table's rows, in one statement with the notification. $1 is the channel, $2 the canary of the key that sealed."""
    number, inserts = 3, []
    for table, columns in shape:
        rows = []
        for _ in range(count):
            rows.append(f"({', '.join(f'${number + offset}' for offset in range(len(columns)))})")
            number += len(columns)
        names = ", ".join(f'"{column}"' for column in columns)
        inserts.append(f"row{number} AS (INSERT INTO {table.__tablename__} ({names}) VALUES {', '.join(rows)})")  # noqa: S608 (our own names)
    return f"WITH {', '.join(inserts)} SELECT CASE WHEN $1::text IS NOT NULL THEN pg_notify($1, '') END, apb_require_sealing_key($2)"
