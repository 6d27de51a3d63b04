"""New rows, written by one statement: a round trip for all, and none of the ORM's bookkeeping.

An acceptance is half a dozen rows in six tables. Each in a statement of its own costs more than all of them in one
(bench/README.md). The statement goes to libpq as it is: the driver's cursor takes half as long as the server, SQLAlchemy as long.
"""

import functools
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from pydantic_core import to_json
from sqlalchemy import Connection, PoolProxiedConnection, inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import make_transient_to_detached

from apb_broker.storage.tables import Table

Shape = tuple[tuple[type[Table], tuple[str, ...]], ...]


def insert(connection: Connection, rows: Sequence[Table], notify: str | None) -> None:
    """Inserts rows in a transaction, and notifies that channel when it commits. What a row does not set is the column's default.

    References between the rows are checked when all are there. Raises the driver's errors.
    """
    pooled = connection.connection
    if _server(pooled).transaction_status == TransactionStatus.IDLE:
        connection.exec_driver_sql("SELECT")  # the driver begins the transaction with its first statement
    _run(pooled, rows, notify, None)


def insert_alone(connection: PoolProxiedConnection, rows: Sequence[Table], notify: str | None, canary: str) -> None:
    """The same on a connection that is in no transaction: the statement is one by itself, and nothing else is.

    It fails (SerializationFailure) when another key than that of the `canary` seals, and none other will before its end.
    """
    _run(connection, rows, notify, canary)


def _run(connection: PoolProxiedConnection, rows: Sequence[Table], notify: str | None, canary: str | None) -> None:
    """Prepares the statement once for each connection. A value is text; the server reads it as its column's type."""
    columns = [tuple(name for name in row.__dict__ if name != "_sa_instance_state") for row in rows]
    statement = _statement(tuple(zip(map(type, rows), columns, strict=True)))
    values: list[Any] = [None if text is None else text.encode() for text in (notify, canary)]
    for row, names in zip(rows, columns, strict=True):
        values += _values(row, names)
    server, prepared = _server(connection), connection.info.setdefault("insertions", {})
    if statement not in prepared:
        name = f"apb_{len(prepared)}".encode()
        _require_done(server, server.prepare(name, statement.encode()))
        prepared[statement] = name
    _require_done(server, server.exec_prepared(prepared[statement], values))


def _server(connection: PoolProxiedConnection) -> PGconn:
    found: PGconn = connection.driver_connection.pgconn  # type: ignore[union-attr]
    return found


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
