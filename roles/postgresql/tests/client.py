"""Uses a database as a tenant's application would. Credentials (JSON) on stdin; exit 0: they work, 3: the server refused them.

An account that may write makes a table if there is none, writes and reads; one that may only read reads, and shows that it cannot write.
"""

import json
import sys

import psycopg
from psycopg import errors

MAKE = (
    "CREATE TABLE IF NOT EXISTS apb_client (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, written timestamptz NOT NULL DEFAULT now())"
)
REFUSED = (errors.InvalidPassword, errors.InvalidAuthorizationSpecification, errors.InvalidCatalogName)


def write(connection):
    connection.execute(MAKE)
    written = connection.execute("INSERT INTO apb_client DEFAULT VALUES RETURNING id").fetchone()[0]
    assert connection.execute("SELECT written <= now() FROM apb_client WHERE id = %s", (written,)).fetchone()[0]
    return f"wrote and read row {written} of apb_client"


def read(connection):
    made = connection.execute("SELECT to_regclass('public.apb_client') IS NOT NULL").fetchone()[0]
    writes = ["INSERT INTO public.apb_client DEFAULT VALUES"] if made else []
    for statement in (*writes, MAKE, "CREATE TEMPORARY TABLE apb_client_own (id int)"):
        try:
            connection.execute(statement)
        except errors.InsufficientPrivilege:
            continue
        raise AssertionError("an account that may only read has written")
    rows = connection.execute("SELECT count(*) FROM public.apb_client").fetchone()[0] if made else 0
    return f"read {rows} rows of apb_client, and cannot write"


def may_write(connection):
    return connection.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone()[0]


def is_refusal(error):
    return isinstance(error, REFUSED) or any(
        part in str(error) for part in ("password authentication failed", "does not exist", "not permitted")
    )


def main():
    credentials = json.load(sys.stdin)
    try:
        connection = psycopg.connect(credentials["uri"], autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        if not is_refusal(error):
            raise
        print(" ".join(str(error).split()))
        sys.exit(3)
    with connection:
        print(write(connection) if may_write(connection) else read(connection))


if __name__ == "__main__":
    main()
