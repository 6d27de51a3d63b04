"""The accounts of a tenant's database: as described, or gone without what they made being lost.

An account that writes is a member of the owner role and acts as it from login on, so what it makes belongs to all. Who resets that
(poolers do) still has the owner's rights; what it makes then is handed to the owner by postgresql_after_ddl.py, else when the account
is removed. A comment on the role tells apb's accounts from the operator's, which are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.apb.catalog.plugins.module_utils import (
    postgresql_connection,
    postgresql_default_privileges,
    postgresql_password,
)
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import Change, PostgresqlError, one, statement

ACCOUNT_SPEC = dict(
    name=dict(type="str", required=True),
    password=dict(type="str", no_log=True),
    access=dict(type="str", choices=["readwrite", "read"], default="readwrite"),
)
SPEC = dict(
    **postgresql_connection.SPEC,
    admin_database=dict(type="str", default="postgres"),
    owner=dict(type="str", required=True),
    reader=dict(type="str", required=True),
    accounts=dict(type="list", elements="dict", required=True, options=ACCOUNT_SPEC),
    state=dict(type="str", choices=["present", "absent"], default="present"),
)
MARK = "apb account of "
END_MILLISECONDS = 10_000
EXPLICIT_OPTIONS = 160000  # from this version on a membership says whether it is inherited and may be used by SET ROLE
ROLE = """
SELECT rolsuper, rolreplication, rolbypassrls, shobj_description(oid, 'pg_authid') AS comment,
  rolcanlogin AND rolinherit AND NOT rolcreaterole AND NOT rolcreatedb AND rolconnlimit = -1
  AND (rolvaliduntil IS NULL OR rolvaliduntil = 'infinity') AS usual
FROM pg_roles WHERE rolname = %s
"""
SETTING = """
SELECT s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase JOIN pg_roles r ON r.oid = s.setrole
WHERE d.datname = %s AND r.rolname = %s
"""


def work(params: dict, check_mode: bool) -> dict:
    """What became of the accounts: changed, msg. Raises PostgresqlError."""
    try:
        return _remove(params, check_mode) if params["state"] == "absent" else _make(params, check_mode)
    except postgresql_connection.ClientError as error:
        names = ", ".join(account["name"] for account in params["accounts"])
        raise postgresql_connection.failed(f"account {names}", error) from error


def names_of(connection, database: str) -> list[str]:
    """All accounts that apb made for a database, also half removed ones."""
    query = "SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = %s ORDER BY 1"
    return [row.rolname for row in connection.execute(query, (_mark(database),))]


def find_own_membership(connection, role: str) -> Iterator[Change]:
    """What it takes so that we, no superuser, may act for `role`: end its sessions, change and hand over what it owns."""
    # Not asked for a role that is not there yet: it would be an error.
    if one(connection, "SELECT to_regrole(quote_ident(%s))", role) is None or not one(connection, "SELECT pg_has_role(%s, 'USAGE')", role):
        yield Change(f"{connection.info.user} may not act for {role}", (_grant(connection, role, connection.info.user),))


def roll_back_prepared(connection, account: str | None = None) -> None:
    """Ends the prepared transactions of one account, or of all, in the database of the connection."""
    query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND (%s::name IS NULL OR owner = %s)"
    for row in connection.execute(query, (account, account)).fetchall():
        connection.execute(statement("ROLLBACK PREPARED {gid}", gid=row.gid))


def _make(params: dict, check_mode: bool) -> dict:
    connection = postgresql_connection.connect(params)
    with connection:
        return postgresql_connection.bring(
            connection,
            lambda: [change for account in params["accounts"] for change in _find_changes(connection, params, account)],
            check_mode,
        )


def _find_changes(connection, params: dict, account: dict) -> Iterator[Change]:
    if account["password"] is None:
        raise PostgresqlError(f"account {account['name']}: a password is needed")
    superuser = postgresql_connection.is_superuser(connection)
    exists = one(connection, "SELECT to_regrole(quote_ident(%s))", account["name"]) is not None
    yield from _role(connection, params, account, superuser=superuser)
    for change in _rights(connection, params, account, superuser=superuser):
        yield change if exists else change._replace(sentence="")  # that there is none says it all


def _rights(connection, params: dict, account: dict, *, superuser: bool) -> Iterator[Change]:
    yield from _membership(connection, params, account)
    yield from _acts_as(connection, params, account)
    if not superuser:
        yield from find_own_membership(connection, account["name"])
    if account["access"] == "readwrite":
        for grantee, wanted in (
            (params["owner"], postgresql_default_privileges.EVERYTHING),
            (params["reader"], postgresql_default_privileges.READ),
        ):
            yield from postgresql_default_privileges.find_changes(connection, account["name"], grantee, wanted)


def _role(connection, params: dict, account: dict, *, superuser: bool) -> Iterator[Change]:
    name, found = account["name"], connection.execute(ROLE, (account["name"],)).fetchone()
    scrambled = postgresql_password.scrambled(connection, name, account["password"])
    if found is None:
        made = statement("CREATE ROLE {} LOGIN PASSWORD {password}", name, password=scrambled)
        yield Change(
            f"there is no account {name}", (made, statement("COMMENT ON ROLE {} IS {comment}", name, comment=_mark(params["database"])))
        )
        return
    _check_ours(params, name, found)
    if not found.usual:
        text = "ALTER ROLE {} LOGIN INHERIT NOCREATEROLE NOCREATEDB CONNECTION LIMIT -1 VALID UNTIL 'infinity'"
        yield Change(f"account {name} is not as usual", (statement(text, name),))
    if not _has_password(connection, params, account, superuser=superuser):
        yield Change(f"account {name} has another password", (statement("ALTER ROLE {} PASSWORD {password}", name, password=scrambled),))


def _check_ours(params: dict, name: str, found) -> None:
    if found.comment != _mark(params["database"]):
        raise PostgresqlError(f"there is a role {name} on the server that is no account of {params['database']}: rename or remove it")
    if found.rolsuper or found.rolreplication or found.rolbypassrls:
        raise PostgresqlError(f"account {name} was given rights over the whole server: an administrator has to take them from it")


def _has_password(connection, params: dict, account: dict, *, superuser: bool) -> bool:
    if superuser:
        stored = one(connection, "SELECT rolpassword FROM pg_authid WHERE rolname = %s", account["name"])
        return postgresql_password.matches(stored, account["password"])
    try:
        postgresql_connection.connect({**params, "login_user": account["name"], "login_password": account["password"]}).close()
    except PostgresqlError as error:
        return error.code != postgresql_connection.REFUSED_PASSWORD  # whatever else may be in the way, it comes after the password
    return True


def _membership(connection, params: dict, account: dict) -> Iterator[Change]:
    name, parent = account["name"], params["owner" if account["access"] == "readwrite" else "reader"]
    query = """SELECT p.rolname AS parent FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.roleid JOIN pg_roles a ON a.oid = m.member
               WHERE a.rolname = %s"""
    found = {row.parent for row in connection.execute(query, (name,))}
    for other in sorted(found - {parent}):
        yield Change(f"account {name} is a member of {other}", (statement("REVOKE {} FROM {}", other, name),))
    if parent not in found or not one(connection, "SELECT pg_has_role(%s, %s, 'USAGE')", name, parent):
        yield Change(f"account {name} has not the rights of {parent}", (_grant(connection, parent, name),))


def _grant(connection, role: str, member: str):
    explicit = connection.info.server_version >= EXPLICIT_OPTIONS
    return statement("GRANT {} TO {}" + (" WITH INHERIT TRUE, SET TRUE" if explicit else ""), role, member)


def _acts_as(connection, params: dict, account: dict) -> Iterator[Change]:
    name, database, owner = account["name"], params["database"], params["owner"]
    found = one(connection, SETTING, database, name) or []
    acted = next((setting.partition("=")[2] for setting in found if setting.startswith("role=")), None)
    if account["access"] == "readwrite" and acted != owner:
        made = statement("ALTER ROLE {} IN DATABASE {} SET role = {owner}", name, database, owner=owner)
        yield Change(f"account {name} does not act as {owner}", (made,))
    if account["access"] == "read" and acted is not None:
        yield Change(f"account {name} acts as {acted}", (statement("ALTER ROLE {} IN DATABASE {} RESET role", name, database),))


def _mark(database: str) -> str:
    return f"{MARK}{database}"


def database_of(comment: str | None) -> str | None:
    """The database that a role with this comment is an account of; None: it is none of apb's accounts."""
    return comment.removeprefix(MARK) if comment and comment.startswith(MARK) else None


def _remove(params: dict, check_mode: bool) -> dict:
    with postgresql_connection.connect(params, params["admin_database"]) as connection:
        found = [(name, row) for name in _names(params) if (row := connection.execute(ROLE, (name,)).fetchone()) is not None]
        for name, row in found:
            _check_ours(params, name, row)
            if not check_mode:
                _shut_out(connection, name)
        if found and not check_mode:
            _drop(connection, params, [name for name, _row in found])
    return postgresql_connection.told(f"there is an account {name}" for name, _row in found)


def _names(params: dict) -> list[str]:
    return [account["name"] for account in params["accounts"]]


def _shut_out(connection, name: str) -> None:
    """No new session of the account, and no old one: what it makes from now on would be lost."""
    connection.execute(statement("ALTER ROLE {} NOLOGIN", name))
    query = "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE usesysid = to_regrole(quote_ident(%s))"
    if not all(row[0] for row in connection.execute(query, (END_MILLISECONDS, name)).fetchall()):
        raise PostgresqlError(f"a session of {name} does not end: try again")


def _drop(connection, params: dict, names: list[str]) -> None:
    if one(connection, "SELECT datconnlimit <> -2 FROM pg_database WHERE datname = %s", params["database"]):
        with postgresql_connection.connect(params) as inside:
            for name in names:
                roll_back_prepared(inside, name)
            with inside.transaction():
                for name in names:
                    _hand_over(inside, name, params["owner"])
        return
    for name in names:
        connection.execute(statement("DROP OWNED BY {}", name))
        connection.execute(statement("DROP ROLE {}", name))


def _hand_over(connection, name: str, owner: str) -> None:
    connection.execute(statement("REASSIGN OWNED BY {} TO {}", name, owner))
    connection.execute(statement("DROP OWNED BY {}", name))
    connection.execute(statement("DROP ROLE {}", name))
