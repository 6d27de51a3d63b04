"""Which of the system's relations and functions everybody may use in one database. Hidden ones tell of other databases and roles.

What PostgreSQL itself does not give to everybody is never touched; what is hidden no longer is given back. Only a superuser can.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.apb.catalog.plugins.module_utils import postgresql_large_objects
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import Change, sql, statement

RELATIONS = """
SELECT c.relname AS name,
  EXISTS (SELECT FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
          WHERE a.grantee = 0 AND a.privilege_type = 'SELECT') AS open,
  EXISTS (SELECT FROM pg_init_privs i, aclexplode(i.initprivs) a WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid
          AND i.objsubid = 0 AND a.grantee = 0 AND a.privilege_type = 'SELECT') AS usual
FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
"""
FUNCTIONS = """
SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
  EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) AS open
FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND (p.proacl IS NOT NULL OR p.proname = ANY (%s))
  AND NOT EXISTS (SELECT FROM pg_init_privs i WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid)
  AND p.proname <> ALL (%s)
"""


def find_changes(connection, hidden: list[str]) -> Iterator[Change]:
    """`hidden` names relations, and functions with `()` behind the name; a name that this version does not have is left out."""
    yield from _relations(connection, {name for name in hidden if not name.endswith("()")})
    yield from _functions(connection, {name.removesuffix("()") for name in hidden if name.endswith("()")})


def _relations(connection, hidden: set[str]) -> Iterator[Change]:
    for found in connection.execute(RELATIONS).fetchall():
        if found.open and found.name in hidden:
            yield Change(f"{found.name} can be read by everybody", (statement("REVOKE SELECT ON pg_catalog.{} FROM PUBLIC", found.name),))
        elif found.usual and not found.open and found.name not in hidden:
            yield Change(f"{found.name} is hidden", (statement("GRANT SELECT ON pg_catalog.{} TO PUBLIC", found.name),))


def _functions(connection, hidden: set[str]) -> Iterator[Change]:
    for found in connection.execute(FUNCTIONS, (list(hidden), list(postgresql_large_objects.MAKERS))).fetchall():
        named = sql.SQL("FUNCTION pg_catalog.{}({})").format(sql.Identifier(found.name), sql.SQL(found.arguments))
        if found.open and found.name in hidden:
            yield Change(f"{found.name} can be called by everybody", (sql.SQL("REVOKE EXECUTE ON {} FROM PUBLIC").format(named),))
        elif not found.open and found.name not in hidden:
            yield Change(f"{found.name} is hidden", (sql.SQL("GRANT EXECUTE ON {} TO PUBLIC").format(named),))
