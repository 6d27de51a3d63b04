"""What apb has on a PostgreSQL server: tenants' databases, the two roles of each, and the accounts of bindings.

Owns how they are told from the operator's own: by name, roles by not being able to log in, accounts by the comment that apb gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.apb.catalog.plugins.module_utils import postgresql_accounts, postgresql_connection

SPEC = {
    **{name: option for name, option in postgresql_connection.SPEC.items() if name != "database"},
    "admin_database": dict(type="str", default="postgres"),
    "database": dict(type="str", required=True),
    "username": dict(type="str", required=True),
}
ROLES = "SELECT rolname AS name, rolcanlogin AS is_account, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles ORDER BY 1"
READER = "_read"


def work(params: dict, check_mode: bool) -> dict:
    """Changed (never), things [{kind, name, slug, account, detail}], and expects. Raises PostgresqlError."""
    ours = re.compile(params["database"])
    try:
        with postgresql_connection.connect(params, params["admin_database"]) as connection:
            names = [row.datname for row in connection.execute("SELECT datname FROM pg_database ORDER BY 1")]
            databases = [_thing("database", name, name) for name in names if ours.fullmatch(name)]
            things = [*databases, *_roles(connection.execute(ROLES).fetchall(), ours, re.compile(params["username"]))]
    except postgresql_connection.ClientError as error:
        raise postgresql_connection.failed("databases and roles", error) from error
    return {"changed": False, "things": things, "expects": {"instance": ["database", "owner", "reader"], "binding": ["account"]}}


def _roles(rows: list, ours: re.Pattern, username: re.Pattern) -> Iterator[dict]:
    for row in rows:
        database = row.name.removesuffix(READER)
        if ours.fullmatch(database) and not row.is_account:
            yield _thing("owner" if database == row.name else "reader", row.name, database)
        database = postgresql_accounts.database_of(row.comment)
        if database is not None and ours.fullmatch(database) and username.fullmatch(row.name):
            yield _thing("account", row.name, database, account=row.name)


def _thing(kind: str, name: str, database: str, **more: str) -> dict:
    service, digits = database.rsplit("_", 1)
    return {"kind": kind, "name": name, "slug": f"{service.replace('_', '-')}-{digits}", "detail": "", **more}
