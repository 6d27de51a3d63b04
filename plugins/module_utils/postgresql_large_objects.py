"""Who may make large objects in a tenant's database: its owner role. PostgreSQL lets everybody, also who may only read.

Only a superuser can change that.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import Change, sql

MAKERS = ("lo_creat", "lo_create", "lo_from_bytea")
FIND = """
SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments
FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (%s)
  AND (EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
    OR NOT EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = to_regrole(quote_ident(%s))))
"""


def find_changes(connection, owner: str) -> Iterator[Change]:
    """What it takes to leave it to `owner`."""
    for found in connection.execute(FIND, (list(MAKERS), owner)).fetchall():
        named = sql.SQL("FUNCTION pg_catalog.{}({})").format(sql.Identifier(found.name), sql.SQL(found.arguments))
        yield Change(
            f"{found.name} is not {owner}'s alone",
            (
                sql.SQL("REVOKE EXECUTE ON {} FROM PUBLIC").format(named),
                sql.SQL("GRANT EXECUTE ON {} TO {}").format(named, sql.Identifier(owner)),
            ),
        )
