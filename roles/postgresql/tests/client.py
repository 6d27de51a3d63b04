"""A client of one PostgreSQL binding: python client.py [readwrite | read] < credentials.json

Exit code 0: the credentials work, and one line says what was done with them. 3: the service refuses them. Else: something is broken,
which includes an account that may do more or less than the access that is named.
"""

import json
import sys

import psycopg
from psycopg import errors

MAKE = (
    "CREATE TABLE IF NOT EXISTS apb_client (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, written timestamptz NOT NULL DEFAULT now())"
)
WRITE = "INSERT INTO public.apb_client DEFAULT VALUES RETURNING id"
REFUSALS = ("password authentication failed", "does not exist", "is not permitted to log in", "permission denied for database")


def main() -> int | str:
    """The program."""
    credentials = json.load(sys.stdin)
    expected = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        with psycopg.connect(credentials["uri"], autocommit=True, connect_timeout=10) as connection:
            access, done = use(connection)
    except psycopg.OperationalError as error:
        if not any(refusal in str(error) for refusal in REFUSALS):
            raise
        print(f"refused: {' '.join(str(error).split())}")
        return 3
    print(f"{access}: {done}")
    return 0 if expected in (None, access) else f"the account's access is {access}, not {expected}"


def use(connection: psycopg.Connection) -> tuple[str, str]:
    """What the account may do, found by doing it."""
    try:
        connection.execute(MAKE)
    except errors.InsufficientPrivilege:
        return "read", read(connection)
    return "readwrite", write(connection)


def write(connection: psycopg.Connection) -> str:
    """Writes a row, and reads it back."""
    written = number(connection, WRITE)
    if number(connection, f"SELECT count(*) FROM public.apb_client WHERE id = {written}") != 1:  # noqa: S608 - a number
        raise SystemExit(f"row {written} was written and is not there")
    return f"wrote and read row {written} of apb_client"


def read(connection: psycopg.Connection) -> str:
    """Reads what is there, and finds every way to write closed."""
    made = number(connection, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('public.apb_client')")
    for statement in ["CREATE TEMPORARY TABLE apb_client_own (id int)", "CREATE SCHEMA apb_client", *[WRITE] * made]:
        try:
            connection.execute(statement)
        except errors.InsufficientPrivilege:
            continue
        raise SystemExit(f"an account that may not make a table may do this: {statement}")
    rows = number(connection, "SELECT count(*) FROM public.apb_client") if made else 0
    return f"read {rows} rows of apb_client, and cannot write"


def number(connection: psycopg.Connection, query: str) -> int:
    """The only value of the only row."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(main())
