"""A connection to a PostgreSQL server, and bringing what is found to what is wanted in one transaction.

Tenants may create functions, operators and tables in their databases, and whoever connects there with more rights must not call them by
accident: the search path of our sessions is the system's catalog, set by the connection, which wins over every stored setting.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import NamedTuple

try:
    import psycopg
    from psycopg import sql
    from psycopg.rows import namedtuple_row

    IMPORT_ERROR = None
    ClientError = psycopg.Error
except ImportError as error:
    IMPORT_ERROR, sql = error, None
    ClientError = OSError  # the module reports the missing library before anything is asked

SPEC = dict(
    host=dict(type="str", required=True),
    port=dict(type="int", required=True),
    login_user=dict(type="str", required=True),
    login_password=dict(type="str", required=True, no_log=True),
    sslmode=dict(type="str", choices=["disable", "allow", "prefer", "require", "verify-ca", "verify-full"], default="prefer"),
    ca_cert=dict(type="path"),
    database=dict(type="str", required=True),
)
CONNECT_SECONDS = 10
LOCK_SECONDS = 20  # tenants may lock their tables for as long as they like
OLDEST = 140000
ATTEMPTS = 5
SAFE_PATH = "-c search_path=pg_catalog,pg_temp"
REFUSED_PASSWORD = "28P01"  # noqa: S105 - a code
NO_DATABASE = "3D000"
TOO_MANY_CONNECTIONS = "53300"
STARTING = "57P03"
NO_WAY = ("No route to host", "is unreachable", "could not translate host name", "failed to resolve host")
CONCURRENTLY_UPDATED = "XX000"  # an internal error's code: two GRANTs on one shared object


class PostgresqlError(Exception):
    """The server does not do what was asked. The message holds no secret. `code` is PostgreSQL's, where it said one."""

    code: str | None = None
    out_of_reach = False  # nobody can tell how the server is: there is no way to its host, or it is only starting


class Change(NamedTuple):
    """What is different, in words, and the statements that put it right. Without words it follows from another one."""

    sentence: str
    statements: tuple


def connect(params: dict, database: str | None = None, *, options: str | None = None):
    """A connection in autocommit. Raises PostgresqlError."""
    target = database or params["database"]
    try:
        connection = _log_in(params, target, options)
    except psycopg.OperationalError as error:
        raise _refusal(params, target, error) from None
    if connection.info.server_version < OLDEST:
        connection.close()
        raise PostgresqlError(f"PostgreSQL 14 or newer is needed, {_address(params)} is {connection.info.server_version // 10000}")
    return connection


def _log_in(params: dict, database: str, options: str | None):
    more = {"sslrootcert": params["ca_cert"]} if params.get("ca_cert") else {}
    return psycopg.connect(
        host=params["host"],
        port=params["port"],
        user=params["login_user"],
        password=params["login_password"],
        dbname=database,
        sslmode=params["sslmode"],
        connect_timeout=CONNECT_SECONDS,
        application_name="apb",
        options=options or f"{SAFE_PATH} -c lock_timeout={LOCK_SECONDS}s -c client_min_messages=error",
        autocommit=True,
        row_factory=namedtuple_row,
        **more,
    )


def _refusal(params: dict, database: str, error) -> PostgresqlError:
    # libpq tells a failed login's code in the text only; the text holds addresses and names, never the password.
    code = error.sqlstate or (error.pgconn and _code_in(str(error)))
    said = " ".join(str(error).split())
    if code == REFUSED_PASSWORD:
        said = f"it does not accept the password of {params['login_user']}"
    refused = PostgresqlError(f"PostgreSQL at {_address(params)}, database {database}: {said}")
    refused.code = code
    refused.out_of_reach = code == STARTING or any(part in said for part in NO_WAY) or ("timeout expired" in said and not _is_open(params))
    return refused


def _is_open(params: dict) -> bool:
    """Whether something accepts connections there: then it is the server that stands still, not the way to it."""
    try:
        socket.create_connection((params["host"], params["port"]), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _code_in(text: str) -> str | None:
    known = {
        "password authentication failed": REFUSED_PASSWORD,
        "does not exist": NO_DATABASE,
        "too many connections for": TOO_MANY_CONNECTIONS,
        "the database system is starting up": STARTING,
    }
    return next((code for part, code in known.items() if part in text), None)


def _address(params: dict) -> str:
    return f"{params['host']}:{params['port']}"


def is_superuser(connection) -> bool:
    """Whether the session's account is one."""
    return one(connection, "SELECT current_setting('is_superuser') = 'on'")


def one(connection, query: str, *values):
    """The first column of the first row, None without a row."""
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]


def statement(text: str, /, *names: str, **values: object):
    """SQL with `{}` for names, and `{value}` for literals where a statement takes no parameters."""
    return sql.SQL(text).format(*map(sql.Identifier, names), **{name: sql.Literal(value) for name, value in values.items()})


def failed(what: str, error) -> PostgresqlError:
    """The server's own words, without what they quote of data (detail, query)."""
    wrapped = PostgresqlError(f"{what}: {error.diag.message_primary or ' '.join(str(error).split())}")
    wrapped.code = error.sqlstate
    return wrapped


def bring(connection, find_changes, check_mode: bool) -> dict:
    """Makes the changes that `find_changes()` finds, all or none. Returns changed and msg (what is or was different)."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                changes: list[Change] = list(find_changes())
                if not check_mode:
                    _execute(connection, changes)
            return told(change.sentence for change in changes if change.sentence)
        except psycopg.Error as error:
            if error.sqlstate != CONCURRENTLY_UPDATED or attempt == ATTEMPTS:
                raise
    raise AssertionError


def told(sentences: Iterable[str]) -> dict:
    """A module's result: what is or was different, one sentence each; none: nothing."""
    found = list(sentences)
    return {"changed": bool(found), "msg": "; ".join(found), "diff": {"prepared": "".join(f"{sentence}\n" for sentence in found)}}


def _execute(connection, changes: Iterable[Change]) -> None:
    for change in changes:
        for made in change.statements:
            connection.execute(made)
