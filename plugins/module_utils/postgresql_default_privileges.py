"""What a role's future tables, sequences and schemas grant to others, in the database of the connection."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import Change, statement

KINDS = {"r": "TABLES", "S": "SEQUENCES", "n": "SCHEMAS"}
READ = {"r": {"SELECT"}, "S": {"SELECT"}, "n": {"USAGE"}}
EVERYTHING = {
    "r": {"INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"},
    "S": {"USAGE", "SELECT", "UPDATE"},
    "n": {"USAGE", "CREATE"},
}
FIND = """
SELECT d.defaclobjtype::text AS kind, a.privilege_type AS privilege
FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole, aclexplode(d.defaclacl) a JOIN pg_roles g ON g.oid = a.grantee
WHERE d.defaclnamespace = 0 AND r.rolname = %s AND g.rolname = %s
"""


def find_changes(connection, role: str, grantee: str, wanted: dict[str, set[str]]) -> Iterator[Change]:
    """What it takes so that everything `role` makes from now on gives `wanted` to `grantee`."""
    found = {(row.kind, row.privilege) for row in connection.execute(FIND, (role, grantee))}
    for kind, privileges in wanted.items():
        if not {(kind, privilege) for privilege in privileges} <= found:
            granted = "ALL" if wanted is EVERYTHING else ", ".join(sorted(privileges))
            text = f"ALTER DEFAULT PRIVILEGES FOR ROLE {{}} GRANT {granted} ON {KINDS[kind]} TO {{}}"
            yield Change(f"new {KINDS[kind].lower()} of {role} are not open to {grantee}", (statement(text, role, grantee),))
