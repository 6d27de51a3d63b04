"""One tenant's database on a server of many: its roles, who may enter, what is seen there of others; or all of it gone.

The tenant does not own the database (an owner may lift the connection limit), it owns everything in it, through one role that cannot
log in. Schema `apb` is the operator's: extensions stand there, where no tenant can put a function in the way of their scripts, and the
record of SQL that was run once. Accounts are postgresql_accounts.py's.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.apb.catalog.plugins.module_utils import (
    postgresql_accounts,
    postgresql_after_ddl,
    postgresql_connection,
    postgresql_default_privileges,
    postgresql_hidden_names,
    postgresql_large_objects,
)
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import Change, PostgresqlError, one, statement

SPEC = dict(
    **postgresql_connection.SPEC,
    admin_database=dict(type="str", default="postgres"),
    owner=dict(type="str", required=True),
    reader=dict(type="str", required=True),
    connections=dict(type="int", default=-1),
    hidden=dict(type="list", elements="str", default=[]),
    closed_databases=dict(type="list", elements="str", default=[]),
    state=dict(type="str", choices=["present", "absent"], default="present"),
)
SEARCH_PATH = '"$user", public, apb'
GRANTS = """
SELECT a.grantee, r.rolname AS name, a.privilege_type AS privilege
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.datname = %s
"""
OPEN = """
SELECT d.datname AS name, pg_has_role(d.datdba, 'USAGE') AS ours
FROM pg_database d WHERE d.datallowconn
  AND EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT')
ORDER BY 1
"""
SCHEMAS = "SELECT nspname AS name, pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname IN ('public', 'apb')"
SETTING = """
SELECT s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setrole = 0 AND d.datname = %s
"""
STRANGERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usesysid IS NOT NULL AND NOT has_database_privilege(usesysid, datid, 'CONNECT')
  AND pg_has_role(usesysid, 'USAGE')
"""


def work(params: dict, check_mode: bool) -> dict:
    """What became of it: changed, msg, and open_databases (those that every account of the server may enter). Raises PostgresqlError."""
    try:
        return _absent(params, check_mode) if params["state"] == "absent" else _present(params, check_mode)
    except postgresql_connection.ClientError as error:
        raise postgresql_connection.failed(f"database {params['database']}", error) from error


def _present(params: dict, check_mode: bool) -> dict:
    connection = postgresql_connection.connect(params)
    with connection:
        result = postgresql_connection.bring(connection, lambda: _find_changes(connection, params), check_mode)
        if not check_mode:
            connection.execute(STRANGERS)  # who came in before the door was shut
        return {**result, "open_databases": [row.name for row in connection.execute(OPEN) if row.name not in params["closed_databases"]]}


def _find_changes(connection, params: dict) -> Iterator[Change]:
    superuser = postgresql_connection.is_superuser(connection)
    yield from _roles(connection, params, superuser=superuser)
    yield from _doors(connection, params)
    yield from _schemas(connection, params)
    yield from _settings(connection, params)
    yield from postgresql_default_privileges.find_changes(connection, params["owner"], params["reader"], postgresql_default_privileges.READ)
    if superuser:
        yield from postgresql_hidden_names.find_changes(connection, params["hidden"])
        yield from postgresql_large_objects.find_changes(connection, params["owner"])
        yield from postgresql_after_ddl.find_changes(connection, params["owner"])
    yield from _closed_databases(connection, params)


def _roles(connection, params: dict, *, superuser: bool) -> Iterator[Change]:
    for role in (params["owner"], params["reader"]):
        found = one(
            connection, "SELECT NOT (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb) FROM pg_roles WHERE rolname = %s", role
        )
        if found is None:
            yield Change(f"there is no role {role}", (statement("CREATE ROLE {} NOLOGIN", role),))
        elif not found:
            raise PostgresqlError(f"role {role} may log in or change the server: it was not made by apb, or changed since")
        if not superuser:
            yield from postgresql_accounts.find_own_membership(connection, role)


def _doors(connection, params: dict) -> Iterator[Change]:
    database, owner, reader = params["database"], params["owner"], params["reader"]
    found = connection.execute(GRANTS, (database,)).fetchall()
    if any(row.grantee == 0 for row in found):
        yield Change(f"everybody may enter {database}", (statement("REVOKE ALL ON DATABASE {} FROM PUBLIC", database),))
    given = {(row.name, row.privilege) for row in found}
    for role, privileges in ((owner, ("CONNECT", "CREATE", "TEMPORARY")), (reader, ("CONNECT",))):
        if not {(role, privilege) for privilege in privileges} <= given:
            text = f"GRANT {', '.join(privileges)} ON DATABASE {{}} TO {{}}"
            yield Change(f"{role} may not use {database}", (statement(text, database, role),))


def _schemas(connection, params: dict) -> Iterator[Change]:
    owner, reader = params["owner"], params["reader"]
    found = {row.name: row.owner for row in connection.execute(SCHEMAS)}
    if found.get("public", owner) != owner:  # a tenant may remove it, and do with its own what it likes
        _check_public(connection, found["public"])
        yield Change(
            f"schema public is not {owner}'s",
            (
                statement("REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
                statement("GRANT USAGE ON SCHEMA public TO {}", reader),
                statement("ALTER SCHEMA public OWNER TO {}", owner),
            ),
        )
    if "apb" not in found:
        yield Change(
            "there is no schema apb", (statement("CREATE SCHEMA apb"), statement("GRANT USAGE ON SCHEMA apb TO {}, {}", owner, reader))
        )
    if one(connection, "SELECT to_regclass('apb.inits')") is None:
        yield Change(
            "there is no record of SQL that was run",
            (
                statement(
                    "CREATE TABLE apb.inits (sha256 text PRIMARY KEY, account name DEFAULT session_user, made timestamptz DEFAULT now())"
                ),
                statement("GRANT SELECT, INSERT ON apb.inits TO {}", owner),
                statement("GRANT SELECT ON apb.inits TO {}", reader),
            ),
        )


def _check_public(connection, owner: str) -> None:
    if not one(connection, "SELECT pg_has_role(%s, 'USAGE')", owner):
        raise PostgresqlError(
            f"schema public of a new database belongs to {owner}, as before PostgreSQL 15:"
            " apb's account has to be a superuser on this server"
        )


def _settings(connection, params: dict) -> Iterator[Change]:
    database = params["database"]
    if one(connection, "SELECT datconnlimit FROM pg_database WHERE datname = %s", database) != params["connections"]:
        made = statement("ALTER DATABASE {} CONNECTION LIMIT {limit}", database, limit=params["connections"])
        yield Change(f"{database} does not take {params['connections']} connections", (made,))
    if f"search_path={SEARCH_PATH}" not in (one(connection, SETTING, database) or []):
        yield Change(
            f"{database} does not look into schema apb",
            (statement(f"ALTER DATABASE {{}} SET search_path = {SEARCH_PATH}", database),),
        )


def _closed_databases(connection, params: dict) -> Iterator[Change]:
    for found in connection.execute(OPEN).fetchall():
        if found.name not in params["closed_databases"]:
            continue
        if not found.ours:
            raise PostgresqlError(
                f"every account of this server may enter database {found.name}, and {params['login_user']} cannot change that:"
                f' let a superuser run "REVOKE ALL ON DATABASE {found.name} FROM PUBLIC;'
                f' GRANT CONNECT ON DATABASE {found.name} TO {params["login_user"]}",'
                " or take it out of postgresql_closed_databases"
            )
        yield Change(f"everybody may enter {found.name}", (statement("REVOKE ALL ON DATABASE {} FROM PUBLIC", found.name),))


def _absent(params: dict, check_mode: bool) -> dict:
    connection = postgresql_connection.connect(params, params["admin_database"])
    with connection:
        limit = one(connection, "SELECT datconnlimit FROM pg_database WHERE datname = %s", params["database"])
        if limit is not None and not check_mode:
            _drop(connection, params, half_dropped=limit == -2)
        roles = postgresql_connection.bring(connection, lambda: _remaining_roles(connection, params), check_mode)
    gone = [] if limit is None else [f"there is a database {params['database']}"]
    return postgresql_connection.told([*gone, *filter(None, [roles["msg"]])])


def _drop(connection, params: dict, *, half_dropped: bool) -> None:
    if not half_dropped and one(connection, "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = %s)", params["database"]):
        # Not even FORCE goes over transactions that a tenant prepared and left, and only a session in their database can end them.
        with postgresql_connection.connect(params) as inside:
            postgresql_accounts.roll_back_prepared(inside)
    connection.execute(statement("DROP DATABASE IF EXISTS {} WITH (FORCE)", params["database"]))


def _remaining_roles(connection, params: dict) -> Iterator[Change]:
    accounts = postgresql_accounts.names_of(connection, params["database"])
    for role in (*accounts, params["owner"], params["reader"]):
        if one(connection, "SELECT to_regrole(quote_ident(%s))", role) is not None:
            # What it was given of shared things would keep it from being dropped.
            yield Change(f"there is a role {role}", (statement("DROP OWNED BY {}", role), statement("DROP ROLE {}", role)))
