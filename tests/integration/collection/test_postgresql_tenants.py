"""Tenants of one PostgreSQL server: what they share among their own accounts, and what they are refused of the server and of each other.

Made by the modules' own functions, as the role calls them; the playbooks are test_postgresql_shared.py's.
"""

import contextlib
import threading
import uuid

import psycopg
import pytest
import yaml
from ansible_collections.apb.catalog.plugins.module_utils import (
    postgresql_accounts,
    postgresql_init,
    postgresql_password,
    postgresql_tenant_database,
)
from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import PostgresqlError
from psycopg import errors

from tests.integration.collection import postgresql_server
from tests.integration.collection.conftest import ROOT

DEFAULTS = yaml.safe_load((ROOT / "roles" / "postgresql" / "defaults" / "main.yml").read_text())
PASSWORD = "p-password"
SUPERUSER = (postgresql_server.ADMIN, postgresql_server.ADMIN_PASSWORD)
MINOR = (postgresql_server.MINOR_ADMIN, postgresql_server.MINOR_PASSWORD)
FORBIDDEN = """\
SELECT pg_read_file('PG_VERSION')
SELECT pg_read_binary_file('PG_VERSION')
SELECT pg_ls_dir('.')
SELECT pg_stat_file('PG_VERSION')
SELECT lo_import('/etc/hostname')
SELECT lo_export(1, '/tmp/x')
SELECT pg_reload_conf()
SELECT pg_rotate_logfile()
SELECT pg_switch_wal()
SELECT pg_create_restore_point('x')
SELECT pg_create_physical_replication_slot('x')
SELECT pg_hba_file_rules()
SELECT * FROM pg_authid
SELECT * FROM pg_shadow
SELECT * FROM pg_file_settings
SELECT * FROM pg_user_mapping
COPY (SELECT 1) TO '/tmp/apb-refused'
COPY (SELECT 1) TO PROGRAM 'true'
CREATE ROLE other
CREATE USER other SUPERUSER
CREATE DATABASE other
CREATE TABLESPACE other LOCATION '/tmp'
ALTER SYSTEM SET work_mem = '1GB'
ALTER DATABASE {own} CONNECTION LIMIT 100
ALTER DATABASE {own} SET work_mem = '1GB'
ALTER DATABASE {own} OWNER TO {account}
DROP DATABASE {other}
ALTER ROLE {other_account} PASSWORD 'x'
ALTER ROLE {account} SUPERUSER
ALTER ROLE {account} CREATEROLE
DROP ROLE {other_account}
GRANT {other} TO {account}
GRANT {own} TO {other_account}
SET ROLE {other}
SET ROLE {admin}
SET SESSION AUTHORIZATION {other_account}
SET SESSION AUTHORIZATION {admin}
SET log_statement = 'none'
SET session_replication_role = 'replica'
SET allow_system_table_mods = on
CREATE FUNCTION c() RETURNS int LANGUAGE c AS 'x', 'y'
CREATE FUNCTION i() RETURNS int LANGUAGE internal AS 'pg_backend_pid'
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION apb.after_ddl()
DROP EVENT TRIGGER apb_after_ddl
ALTER EVENT TRIGGER apb_after_ddl DISABLE
DROP SCHEMA apb CASCADE
CREATE TABLE apb.mine (i int)
CREATE FUNCTION apb.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'
DELETE FROM apb.inits
UPDATE apb.inits SET sha256 = 'x'
CREATE TABLE pg_catalog.mine (i int)
ALTER DEFAULT PRIVILEGES FOR ROLE {other} GRANT SELECT ON TABLES TO PUBLIC"""


class Share:
    """A tenant's database `name` of a server, by the modules' functions. `login` is apb's account."""

    def __init__(self, server, *, login=SUPERUSER, connections=10, **settings):
        self.server, self.name = server, f"t_{uuid.uuid4().hex[:12]}"
        self.params = {
            "host": "127.0.0.1",
            "port": server.port,
            "login_user": login[0],
            "login_password": login[1],
            "sslmode": "prefer",
            "ca_cert": None,
            "database": self.name,
            "admin_database": "postgres",
            "owner": self.name,
            "reader": f"{self.name}_read",
        }
        hidden, closed = DEFAULTS["postgresql_hidden"], DEFAULTS["postgresql_closed_databases"]
        self.described = {"connections": connections, "hidden": hidden, "closed_databases": closed, "state": "present", **settings}
        with server.connect(*login, "postgres") as connection:
            connection.execute(f"CREATE DATABASE {self.name} TEMPLATE template0")

    def bring(self, *, check_mode=False, **changed):
        return postgresql_tenant_database.work({**self.params, **self.described, **changed}, check_mode)

    def account(self, access="readwrite", *, name=None, check_mode=False, state="present", password=PASSWORD):
        name = name or f"b{uuid.uuid4().hex[:12]}"
        described = {"name": name, "access": access, "password": password if state == "present" else None}
        result = postgresql_accounts.work({**self.params, "accounts": [described], "state": state}, check_mode)
        return name if name and state == "present" and not check_mode else result["changed"]

    def is_settled(self, name, access="readwrite", **given):
        described = {"name": name, "access": access, "password": PASSWORD, **given}
        return postgresql_accounts.work({**self.params, "accounts": [described], "state": "present"}, True)

    def init(self, account, text, *, check_mode=False):
        login = {"login_user": account, "login_password": PASSWORD, "sql": text}
        return postgresql_init.work({**self.params, **login}, check_mode)["changed"]

    @contextlib.contextmanager
    def session(self, account, database=None):
        with self.server.connect(account, PASSWORD, database or self.name) as connection:
            yield connection

    def owner_of(self, relation):
        query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%s)"
        return self.server.sql(query, relation, database=self.name)[0][0]


@pytest.fixture(scope="module")
def server():
    """The newest bundled version."""
    with postgresql_server.running(18) as made:
        yield made


@pytest.fixture(scope="module")
def share(server):
    """A tenant."""
    made = Share(server)
    assert made.bring()["changed"]
    return made


@pytest.fixture(scope="module")
def other(server):
    """Another tenant of the same server, with an account."""
    made = Share(server)
    made.bring()
    made.writer = made.account()
    return made


def test_database_is_made_once(share):
    """The second time nothing is different, nor does looking change anything."""
    assert share.bring() == {"changed": False, "msg": "", "diff": {"prepared": ""}, "open_databases": []}
    assert share.bring(connections=11, check_mode=True)["msg"] == f"{share.name} does not take 11 connections"
    assert not share.bring()["changed"]


@pytest.mark.parametrize("access", ["readwrite", "read"])
def test_account_is_made_once_and_put_right_when_it_differs(server, share, access):
    """Other password, rights, memberships and switched off: each is seen, told and mended."""
    name = share.account(access)
    assert share.is_settled(name, access)["msg"] == ""
    for drift in (
        "ALTER ROLE {} NOLOGIN",
        "ALTER ROLE {} NOINHERIT",
        "ALTER ROLE {} CREATEDB",
        "ALTER ROLE {} PASSWORD 'another'",
        "ALTER ROLE {} VALID UNTIL '2020-01-01'",
        "GRANT postgres TO {}",
        f"REVOKE {share.name}{'' if access == 'readwrite' else '_read'} FROM {{}}",
        f"ALTER ROLE {{}} IN DATABASE {share.name} SET role = 'none'",
    ):
        server.sql(drift.format(name))
        assert name in share.is_settled(name, access)["msg"], drift
        share.account(access, name=name)
        assert share.is_settled(name, access)["msg"] == "", drift


def test_account_of_somebody_else_is_never_taken(server, share, other):
    """Neither the operator's roles nor another tenant's accounts."""
    for name in ("postgres", postgresql_server.ADMIN, other.writer):
        for state in ("present", "absent"):
            with pytest.raises(PostgresqlError, match="is no account of"):
                share.account(name=name, state=state)


def test_password_is_not_in_the_servers_log(server, share):
    """Statements may be logged; verifiers cannot be logged in with."""
    name = share.account(password="canary-password")
    assert f'ALTER ROLE "{name}"' in server.log or f'CREATE ROLE "{name}"' in server.log
    assert "canary-password" not in server.log


@pytest.mark.parametrize("before", ["SELECT 1", "DISCARD ALL", "SET ROLE NONE", "RESET ROLE"])
def test_what_one_account_makes_the_next_changes_and_keeps(share, before):
    """Also when a pooler or the application reset its role first, and when the account is gone."""
    first, second, reader = share.account(), share.account(), share.account("read")
    with share.session(first) as connection:
        connection.execute(before)
        connection.execute("CREATE TABLE one (id serial PRIMARY KEY, note text); INSERT INTO one (note) VALUES ('kept')")
        connection.execute("CREATE TABLE two AS SELECT * FROM one")
        connection.execute("CREATE SCHEMA later CREATE TABLE three (i int) CREATE VIEW four AS SELECT * FROM three")
        connection.execute("CREATE MATERIALIZED VIEW five AS SELECT 1 AS i; CREATE TYPE colour AS ENUM ('red')")
        connection.execute("SELECT lo_unlink(lo_create(0))")
        connection.execute("CREATE FUNCTION six() RETURNS int LANGUAGE sql AS 'SELECT 6'")
    assert {share.owner_of(name) for name in ("one", "two", "later.three", "later.four", "five")} == {share.name}
    share.account(name=first, state="absent")
    with share.session(reader) as connection:
        for relation in ("one", "two", "later.three", "later.four", "five", "one_id_seq"):
            connection.execute(f"SELECT * FROM {relation}")
    with share.session(second) as connection:
        assert connection.execute("SELECT note FROM one").fetchone() == ("kept",)
        connection.execute("INSERT INTO one (note) VALUES ('more'); ALTER TABLE two ADD COLUMN i int; ALTER TYPE colour ADD VALUE 'blue'")
        connection.execute(
            "DROP TABLE one, two; DROP SCHEMA later CASCADE; DROP MATERIALIZED VIEW five; DROP FUNCTION six; DROP TYPE colour"
        )


def test_temporary_tables_stay_the_accounts_own(share):
    """They are gone with the session, and nobody else's."""
    with share.session(share.account()) as connection:
        connection.execute("SET ROLE NONE; CREATE TEMPORARY TABLE scratch (i int); INSERT INTO scratch VALUES (1)")
        assert connection.execute("SELECT * FROM scratch").fetchall() == [(1,)]


def test_reader_cannot_write_nor_gain_rights(share):
    """Whatever changes the database is refused, by whatever name it tries."""
    writer, reader = share.account(), share.account("read")
    with share.session(writer) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS readable (i serial)")
    for statement in (
        "INSERT INTO readable VALUES (1)",
        "UPDATE readable SET i = 2",
        "DELETE FROM readable",
        "TRUNCATE readable",
        "DROP TABLE readable",
        "SELECT nextval('readable_i_seq')",
        "SELECT * FROM readable FOR UPDATE",
        "BEGIN; LOCK TABLE readable IN EXCLUSIVE MODE",
        "CREATE TABLE mine (i int)",
        "CREATE TEMPORARY TABLE mine (i int)",
        "CREATE SCHEMA mine",
        "CREATE EXTENSION vector",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        f"SET ROLE {share.name}",
        f"SET SESSION AUTHORIZATION {writer}",
        f"GRANT {share.name} TO {reader}",
        f"REASSIGN OWNED BY {share.name} TO {reader}",
        "INSERT INTO apb.inits VALUES ('x')",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'x')",
    ):
        with share.session(reader) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)
            pytest.fail(statement)


@pytest.mark.parametrize("role", ["owner", "account"])
def test_tenant_cannot_touch_server_and_other_tenants(share, other, role):
    """Every way out that PostgreSQL has, as the owner role and as the account itself."""
    account = share.account()
    names = {"own": share.name, "other": other.name, "other_account": other.writer, "account": account, "admin": postgresql_server.ADMIN}
    for statement in FORBIDDEN.splitlines():
        with share.session(account) as connection:
            if role == "account":
                connection.execute("SET ROLE NONE")
            with pytest.raises((errors.InsufficientPrivilege, errors.CannotCoerce)):
                connection.execute(statement.format(**names))
                pytest.fail(statement)
    with share.session(account) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS taken (line text)")
        for statement in ("COPY taken FROM '/etc/hostname'", "COPY taken FROM PROGRAM 'id'", "COPY taken TO '/tmp/apb-refused'"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)


def test_tenant_cannot_enter_other_databases(share, other):
    """Neither another tenant's nor the ones every server has."""
    for account in (share.account(), share.account("read")):
        for database in (other.name, "postgres", "template1", "template0"):
            with pytest.raises(psycopg.OperationalError, match=r"permission denied for database|not currently accepting connections"):
                share.server.connect(account, PASSWORD, database)


def test_tenant_cannot_let_others_in(share, other):
    """PostgreSQL only warns of a grant that gives nothing."""
    with share.session(share.account()) as connection:
        connection.execute(f"GRANT ALL ON DATABASE {share.name} TO {other.name}, PUBLIC")
    query = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
    assert share.server.sql(query, other.writer, share.name) == [(False,)]


def test_tenant_cannot_end_other_tenants_sessions(share, other):
    """Its own it may."""
    account = share.account()
    with other.session(other.writer) as victim, share.session(account) as own, share.session(account) as connection:
        pid = victim.info.backend_pid
        for call in ("pg_terminate_backend", "pg_cancel_backend"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"SELECT {call}({pid})")
        connection.execute("SET ROLE NONE")
        assert connection.execute(f"SELECT pg_terminate_backend({own.info.backend_pid})").fetchone()[0]
        assert victim.execute("SELECT 1").fetchone()


def test_tenant_does_not_read_other_tenants_names(share, other):
    """Each hidden relation and function is refused, and no other one that can be read names the other tenant."""
    seen = []
    with share.session(share.account()) as connection:
        relations = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')"""
        found = connection.execute(relations).fetchall()
        for schema, relation in found:
            try:
                rows = connection.execute(f"SELECT x::text FROM {schema}.{relation} x").fetchall()
            except (errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState):
                continue
            seen.append(relation)
            assert other.name not in str(rows) and other.writer not in str(rows), relation
        for call in ("pg_describe_object(1262, 1, 0)", "pg_identify_object(1262, 1, 0)", "pg_stat_get_activity(NULL)"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"SELECT {call}")
    assert "pg_class" in seen and len(seen) > 100
    assert not set(seen) & set(DEFAULTS["postgresql_hidden"])


def test_names_are_shown_again_when_the_operator_wants_it(server):
    """Hiding is the operator's choice, both ways."""
    made = Share(server, hidden=[])
    made.bring()
    account = made.account()
    with made.session(account) as connection:
        assert connection.execute("SELECT count(*) FROM pg_roles").fetchone()[0] > 1
        made.bring(hidden=["pg_roles", "pg_identify_object()", "pg_unknown"])
        for query in ("SELECT * FROM pg_roles", "SELECT pg_identify_object(1262, 1, 0)"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(query)
        made.bring()
        assert connection.execute("SELECT count(*) FROM pg_roles, pg_identify_object(1262, 1, 0)").fetchone()[0] > 1
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM pg_authid")


def test_connections_are_limited_for_all_accounts_together(server):
    """One more than asked for is refused, whichever account asks; apb's own account comes in all the same."""
    made = Share(server, connections=2)
    made.bring()
    first, second = made.account(), made.account("read")
    with made.session(first), made.session(second):
        with pytest.raises(psycopg.OperationalError, match="too many connections for database"):
            server.connect(first, PASSWORD, made.name)
        made.bring(connections=3)
        with made.session(first):
            pass


def test_extension_outside_the_list_is_taken_back(share):
    """A trusted extension too, which PostgreSQL itself lets everybody install who may make a schema."""
    with share.session(share.account()) as connection:
        for statement in ("CREATE EXTENSION vector", "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)
        share.server.sql("CREATE EXTENSION IF NOT EXISTS vector SCHEMA apb", database=share.name)
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        assert connection.execute("SELECT '[1,2]'::vector <-> '[1,4]'").fetchone() == (2.0,)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("DROP EXTENSION vector")


def test_init_runs_once_whoever_brings_it(share):
    """Twice at the same time as well; other SQL is another init."""
    first, second = share.account(), share.account()
    text = "CREATE TABLE begun (i int);\nINSERT INTO begun VALUES (1);\nSELECT pg_sleep(0.3)"
    assert share.init(first, text, check_mode=True)
    outcomes = []
    runs = [threading.Thread(target=lambda name=name: outcomes.append(share.init(name, text))) for name in (first, second)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(outcomes) == [False, True]
    assert not share.init(second, text)
    assert share.init(second, "INSERT INTO begun VALUES (2)")
    with share.session(first) as connection:
        assert connection.execute("SELECT * FROM begun ORDER BY 1").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CREATE TABLE half (i int);\nINSERT INTO nowhere VALUES ('canary')", 'relation "nowhere" does not exist (line 2)'),
        ("CREATE TABLE half (i int); INSERT INTO half VALUES ('canary')", 'invalid input syntax for type integer: "…"'),
        ("CREATE TABLE half (i int); COMMIT; SELECT 'canary'", "EXECUTE of transaction commands is not implemented"),
        ("CREATE TABLE half (i int); DO $$ BEGIN RAISE EXCEPTION 'canary'; END $$", "an exception of its own"),
        ("CREATE TABLE half (i int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); INSERT INTO half VALUES (1), (1)", "duplicate key value"),
        ("CREATE TABLE half (i int); CREATE EXTENSION vector SCHEMA public", "permission denied to create extension"),
    ],
)
def test_init_that_fails_leaves_nothing_and_tells_no_value(server, text, said):
    """PostgreSQL's message and the line, but nothing that stood in a string; the next run tries again."""
    made = Share(server)
    made.bring()
    account = made.account()
    for _again in range(2):
        with pytest.raises(PostgresqlError) as raised:
            made.init(account, text)
        assert said in str(raised.value) and "canary" not in str(raised.value)
    with made.session(account) as connection:
        assert connection.execute("SELECT to_regclass('half'), (SELECT count(*) FROM apb.inits)").fetchone() == (None, 0)


def test_unbind_ends_sessions_and_prepared_transactions(share):
    """Nothing of the account is left, and a second time is no error."""
    name = share.account()
    with share.session(name) as open_one, share.session(name) as preparing:
        open_one.execute("SELECT 1")
        preparing.execute("BEGIN; CREATE TABLE prepared (i int); PREPARE TRANSACTION 'left'")
        assert share.account(name=name, state="absent")
        with pytest.raises(psycopg.OperationalError):
            open_one.execute("SELECT 1")
    assert not share.account(name=name, state="absent")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        share.server.connect(name, PASSWORD, share.name)


def test_deprovision_leaves_nothing(server):
    """With sessions open, transactions prepared and accounts half removed; a second time is no error."""
    made = Share(server)
    made.bring()
    writer, reader = made.account(), made.account("read")
    server.sql(f"ALTER ROLE {reader} NOLOGIN")
    with made.session(writer) as connection:
        connection.execute("BEGIN; CREATE TABLE prepared (i int); PREPARE TRANSACTION 'left behind'")
        assert made.bring(state="absent", check_mode=True)["changed"]
        assert made.bring(state="absent")["changed"]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert not made.bring(state="absent")["changed"]
    assert not made.account(name=writer, state="absent")
    assert server.sql("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [made.name, made.params["reader"], writer, reader]) == []


def test_strangers_who_came_in_early_are_sent_away(server):
    """Between the making of a database and the closing of its door everybody may enter."""
    stranger = Share(server)
    stranger.bring()
    account = stranger.account()
    made = Share(server)
    connection = server.connect(account, PASSWORD, made.name)
    made.bring()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_server_that_does_not_let_us_in_is_told_in_a_sentence(share):
    """Without the password."""
    for wrong, said in (
        ({"login_password": "wrong-canary"}, "does not accept the password of apb_admin"),
        ({"port": 1}, "Connection refused"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
    ):
        with pytest.raises(PostgresqlError, match=said) as raised:
            share.bring(**wrong)
        assert "canary" not in str(raised.value)


@pytest.mark.parametrize("major", [16, 18])
def test_account_without_superuser_rights_can_do_the_work(major, request):
    """CREATEROLE and CREATEDB are enough for all but hiding names and keeping extensions out."""
    with contextlib.ExitStack() as stack:
        server = request.getfixturevalue("server") if major == 18 else stack.enter_context(postgresql_server.running(major))
        for database in ("postgres", "template1"):
            server.sql(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {MINOR[0]}")
        made = Share(server, login=MINOR)
        assert made.bring()["changed"] and not made.bring()["changed"]
        writer, next_writer, reader = made.account(), made.account(), made.account("read")
        assert made.is_settled(writer)["msg"] == made.is_settled(reader, "read")["msg"] == ""
        assert "password" in made.is_settled(writer, password="another-password")["msg"]
        with made.session(writer) as connection:
            connection.execute("CREATE TABLE one (i int); SET ROLE NONE; CREATE TABLE two (i int)")
        with made.session(next_writer) as connection:
            connection.execute("INSERT INTO two VALUES (1); DROP TABLE one")
        assert made.account(name=writer, state="absent")
        assert made.owner_of("two") == made.name
        with made.session(reader) as connection:
            assert connection.execute("SELECT * FROM two").fetchall() == [(1,)]
            assert made.bring(state="absent")["changed"]
        assert not made.bring(state="absent")["changed"]


def test_open_database_that_cannot_be_closed_is_told_with_the_cure(server):
    """An account without rights over it says what a superuser has to do."""
    made = Share(server, login=MINOR)
    server.sql(f"GRANT CONNECT ON DATABASE template1 TO PUBLIC; GRANT CONNECT ON DATABASE postgres TO {MINOR[0]}")
    with pytest.raises(PostgresqlError, match="REVOKE ALL ON DATABASE template1 FROM PUBLIC"):
        made.bring()
    made.bring(closed_databases=[])
    server.sql("REVOKE CONNECT ON DATABASE template1 FROM PUBLIC")
    made.bring()
    made.bring(state="absent")


def test_password_is_recognized_without_being_changed(server, share):
    """The verifier that the server keeps says it."""
    name = share.account()
    stored = server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)[0][0]
    assert postgresql_password.matches(stored, PASSWORD) and not postgresql_password.matches(stored, "another")
