"""New rows, written by one statement: a round trip for all, and none of the ORM's bookkeeping.

An acceptance is half a dozen rows in six tables. Each in a statement of its own costs more than all of them in one
(bench/README.md); the statement goes to the driver, since SQLAlchemy would take as long as the server.
"""

import functools
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from pydantic_core import to_json
from sqlalchemy import Connection, PoolProxiedConnection, inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import make_transient_to_detached

from apb_broker.storage.tables import Table

Shape = tuple[tuple[type[Table], tuple[str, ...]], ...]

PREPARED = "insertions"  # in what the pool knows of a connection: {statement: its name}


def insert(connection: Connection, rows: Sequence[Table], notify: str | None) -> None:
    """Inserts rows in a transaction, and notifies that channel when it commits. What a row does not set is the column's default.

    References between the rows are checked when all are there. Raises the driver's errors.
    """
    statement, values = _filled(rows, notify, None)
    driver: Any = connection.connection.driver_connection
    with psycopg.RawCursor(driver) as cursor:
        cursor.execute(statement, [None if value is None else value.decode() for value in values], prepare=True)


def insert_alone(connection: PoolProxiedConnection, rows: Sequence[Table], notify: str | None, canary: str) -> None:
    """The same on a connection that is in no transaction: the statement is one by itself, and nothing else is.

    It fails (SerializationFailure) when another key than that of the `canary` seals, and none other will before its end. It goes to libpq
    as it is: the driver's cursor would begin a transaction, and take half as long as the server.
    """
    statement, values = _filled(rows, notify, canary)
    try:
        _run(connection, statement, values)
    except psycopg.errors.InvalidSqlStatementName:  # the driver prepares some, too, and after a rollback has the server forget all
        connection.info.pop(PREPARED)
        _run(connection, statement, values)


def _filled(rows: Sequence[Table], notify: str | None, canary: str | None) -> tuple[str, list[Any]]:
    """The statement for such rows, and its values: bytes of text, which the server reads each as its column's type, or None."""
    columns = [tuple(name for name in row.__dict__ if name != "_sa_instance_state") for row in rows]
    values: list[Any] = [None if text is None else text.encode() for text in (notify, canary)]
    for row, names in zip(rows, columns, strict=True):
        values += _values(row, names)
    return _statement(tuple(zip(map(type, rows), columns, strict=True))), values


def _run(connection: PoolProxiedConnection, statement: str, values: list[Any]) -> None:
    """Prepares a statement once for each connection."""
    server: PGconn = connection.driver_connection.pgconn  # type: ignore[union-attr]
    prepared = connection.info.setdefault(PREPARED, {})
    if statement not in prepared:
        name = f"apb_{len(prepared)}".encode()
        _require_done(server, server.prepare(name, statement.encode()))
        prepared[statement] = name
    _require_done(server, server.exec_prepared(prepared[statement], values))


def _require_done(server: PGconn, result: PGresult) -> None:
    if server.status != ConnStatus.OK:
        raise psycopg.OperationalError("the connection was lost")
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result)


def persistent(rows: Sequence[Table]) -> list[Table]:
    """The inserted rows that say themselves which they are, as if they had been looked up."""
    known = [row for row in rows if all(column.key in row.__dict__ for column in inspect(type(row)).primary_key)]
    for row in known:
        make_transient_to_detached(row)
    return known


def _values(row: Table, columns: Sequence[str]) -> list[bytes | None]:
    """What the row sets, as text."""
    json_columns = _json_columns(type(row))
    return [
        None if value is None else to_json(value) if name in json_columns else str(value).encode()
        for name, value in zip(columns, map(row.__dict__.__getitem__, columns), strict=True)
    ]


@functools.cache
def _json_columns(table: type[Table]) -> frozenset[str]:
    return frozenset(column.key for column in inspect(table).columns if isinstance(column.type, JSONB))


@functools.lru_cache(maxsize=256)
def _statement(shape: Shape) -> str:
    """One INSERT for each row, in one statement with the notification. $1 is the channel, $2 the canary of the key that sealed."""
    number, inserts = 3, []
    for table, columns in shape:
        places = ", ".join(f"${number + offset}" for offset in range(len(columns)))
        names = ", ".join(f'"{column}"' for column in columns)
        inserts.append(f"row{number} AS (INSERT INTO {table.__tablename__} ({names}) VALUES ({places}))")  # noqa: S608 (our own names)
        number += len(columns)
    return f"WITH {', '.join(inserts)} SELECT CASE WHEN $1::text IS NOT NULL THEN pg_notify($1, '') END, apb_require_sealing_key($2)"
