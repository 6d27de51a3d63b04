"""Each action of each role and mode, twice in a row and killed at three points then run again: the same end state.

The points come from a seed, which is printed; APB_SEED sets it.
"""

import contextlib
import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from tests import ports
from tests.faults.killed_plays import KillingHost, Point
from tests.integration.collection import postgresql_server, redis_server
from tests.integration.collection.conftest import Instance, bundled_redis, make_directory

ACTIONS = ("provision", "bind", "update", "unbind", "deprovision")
POINTS = 3
SEED = os.environ.get("APB_SEED") or str(random.SystemRandom().randrange(10**6))
PASSWORD = "password-of-the-binding"


class Subject:
    """One instance on its way through the actions. Subclasses know one role and mode."""

    def __init__(self, name, host, instance):
        self.host, self.instance, self.epoch = host, instance, 0
        number = f"{instance.slug[-12:]}"
        self.binding = {"id": number, "username": f"b{number}", "password": PASSWORD, "parameters": {"access": "readwrite"}}
        self.name = name

    def play(self, action, point=None):
        """One run of the action, killed at the point if there is one."""
        self.epoch += 1
        self.host.point = point
        return self.run(action)

    def run(self, action):
        return self.instance.play(action, binding=self.binding, epoch=self.epoch)

    def prepare(self, action):
        """What the caller changes before it asks for the action."""
        self.instance.bindings = [self.binding] if action == "update" else []

    def state(self):
        """Everything there is of the instance, in words that are the same for each instance."""
        text = json.dumps(self.found(), sort_keys=True, default=str)
        for own, common in self.names().items():
            text = text.replace(own, common)
        return json.loads(text)

    def names(self):
        return {self.instance.slug: "SLUG", self.instance.slug.replace("-", "_"): "DATABASE", self.binding["username"]: "ACCOUNT"}


class RedisOnHost(Subject):
    """A server of the instance's own."""

    def prepare(self, action):
        super().prepare(action)
        self.instance.parameters["memory"] = 0.2 if action in ("update", "unbind", "deprovision") else 0.1
        if action == "bind":
            with self.instance.admin() as client:
                client.set("kept", "data")

    def names(self):
        return {**super().names(), str(self.instance.port): "PORT"}

    def found(self):
        return {
            "files": {str(path): description(path) for path in sorted(self.host.directory.rglob("*")) if self.instance.slug in str(path)},
            "units": [path.name for path in Path("/etc/systemd/system").glob(f"*{self.instance.slug}*")],
            "processes": [process.info["cmdline"] for process in psutil.process_iter(["cmdline"]) if self.is_server(process)],
            "user": self.instance.has_user(),
            "server": self.server() if self.instance.is_listening() else None,
        }

    def is_server(self, process):
        return any(str(self.instance.home) in word or f":{self.instance.port}" in word for word in process.info["cmdline"] or [])

    def server(self):
        with self.instance.admin() as client:
            return {"accounts": accounts(client, ""), "settings": client.config_get("*"), "keys": keys(client, "*")}


class RedisShared(Subject):
    """A share of a server."""

    def prepare(self, action):
        super().prepare(action)
        if action == "bind":
            with self.instance.admin() as client:
                client.set(f"{self.instance.prefix}kept", "data")

    def found(self):
        with self.instance.admin() as client:
            saved = [line for line in self.instance.server.acl.read_text().splitlines() if self.instance.prefix in line]
            return {
                "accounts": accounts(client, self.instance.prefix),
                "saved": [" ".join(sorted(line.split())) for line in saved],
                "keys": keys(client, f"{self.instance.prefix}*"),
            }


def accounts(client, prefix):
    """Each with its rights, in an order of our own: a server's is not always the same."""
    lines = [line for line in client.acl_list() if prefix in line]
    return sorted(" ".join(sorted(line.split())) for line in lines)


def keys(client, pattern):
    return {key: client.get(key) for key in client.scan_iter(pattern)}


def description(path):
    """What a file is; of those that the server itself writes, and of the fence with its growing number, only that they are there."""
    found = path.stat()
    text = path.read_text() if path.is_file() and path.suffix in (".conf", ".acl") else None
    lines = [" ".join(sorted(line.split())) for line in (text or "").splitlines()]
    return {"mode": oct(found.st_mode), "owned by root": found.st_uid == 0, "lines": sorted(lines) if path.suffix == ".acl" else lines}


class PostgresqlShared(Subject):
    """A database of a server."""

    def run(self, action):
        previous = BEFORE if action == "update" else None
        return self.instance.play(action, binding=self.binding, previous=previous)

    def prepare(self, action):
        super().prepare(action)
        self.binding["parameters"]["init"] = "CREATE TABLE kept (a text); INSERT INTO kept VALUES ('data')"
        self.instance.parameters = AFTER if action in ("update", "unbind", "deprovision") else BEFORE

    def found(self):
        server, database, account = self.instance.server, self.instance.database, self.binding["username"]
        rows = {name: plain(server.sql(query, [database, f"{database}_read", account])) for name, query in ON_SERVER.items()}
        if rows["database"]:
            rows |= {name: plain(server.sql(query, database=database)) for name, query in IN_DATABASE.items()}
            rows["data"] = plain(server.sql("SELECT * FROM kept", database=database)) if "kept" in str(rows["relations"]) else None
        return {**rows, "account works": self.account_works()}

    def account_works(self):
        with contextlib.suppress(psycopg.OperationalError):
            self.instance.connect(self.binding).close()
            return True
        return False


BEFORE, AFTER = {"connections": 5, "extensions": []}, {"connections": 6, "extensions": ["vector"]}
ON_SERVER = {
    "roles": """SELECT rolname, rolcanlogin, rolinherit, rolconnlimit, rolconfig, rolsuper, rolcreaterole, rolcreatedb
                FROM pg_roles WHERE rolname = ANY (%s)""",
    "members": "SELECT roleid::regrole, member::regrole, admin_option FROM pg_auth_members WHERE member::regrole::text = ANY (%s)",
    "database": "SELECT datname, datdba::regrole, datconnlimit, datacl::text[] FROM pg_database WHERE datname = ANY (%s)",
    "settings": """SELECT setrole::regrole, setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
                   WHERE datname = ANY (%s)""",
}
IN_DATABASE = {
    "schemas": "SELECT nspname, nspowner::regrole, nspacl::text[] FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'",
    "relations": """SELECT relnamespace::regnamespace, relname, relowner::regrole, relacl::text[] FROM pg_class
                    WHERE relnamespace::regnamespace::text <> 'pg_toast'""",
    "functions": """SELECT proname, proowner::regrole, proacl::text[] FROM pg_proc
                    WHERE pronamespace::regnamespace::text <> 'information_schema'""",
    "defaults": "SELECT defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl::text[] FROM pg_default_acl",
    "extensions": "SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension",
    "triggers": "SELECT evtname, evtenabled FROM pg_event_trigger",
    "inits": "SELECT sha256 FROM apb.inits",
}


def plain(rows):
    """Rows as lists, in an order of our own; rights too, whose order is that in which they were given."""
    return sorted(str([sorted(value) if isinstance(value, list) else str(value) for value in row]) for row in rows)


@contextlib.contextmanager
def redis_on_host():
    """A prepared host, and how instances are made there."""
    directory = make_directory()
    settings = {"redis_server_binary": shutil.which("redis-server") or bundled_redis()}
    host = KillingHost(directory, settings)
    instances = host.instances

    def made(name):
        instance = Instance(KillingHost(directory, settings), f"redis-{os.urandom(6).hex()}", ports.free(), {"memory": 0.1})
        instances.append(instance)
        return RedisOnHost(name, instance.host, instance)

    try:
        assert host.prepare().code == 0
        yield made
    finally:
        host.remove()


@contextlib.contextmanager
def redis_shared():
    """A server, and how shares of it are made."""
    directory = make_directory()
    program = redis_server.program_of("package") or redis_server.program_of("bundled")
    try:
        with redis_server.running(program) as server:

            def made(name):
                instance = redis_server.tenant_of(KillingHost(directory), server)
                return RedisShared(name, instance.host, instance)

            yield made
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def postgresql_shared():
    """A server, and how databases of it are made."""
    directory = make_directory()
    try:
        with postgresql_server.running() as server:

            def made(name):
                instance = postgresql_server.Tenant(KillingHost(directory, {"postgresql_extensions": ["vector"]}), server)
                return PostgresqlShared(name, instance.host, instance)

            yield made
    finally:
        shutil.rmtree(directory)


def carry_out_twice(subject):
    """The state after each action that nobody disturbs, and how long its tasks took; a second run changes nothing."""
    states, times = {}, {}
    for action in ACTIONS:
        subject.prepare(action)
        first = subject.play(action)
        assert first.code == 0, first.text
        states[action], times[action] = subject.state(), first.times
        again = subject.play(action)
        assert (again.code, again.changed) == (0, 0), again.text
        assert unlike(states[action], subject.state()) == {}, action
    return states, times


def carry_out_killed(subject, shares, states, times):
    """Each action killed at its point and run again."""
    for action in ACTIONS:
        subject.prepare(action)
        subject.play(action, Point(shares[action], times[action]))
        again = subject.play(action)
        told = f"{action} killed {shares[action]:.3f} of the way through, at {subject.host.kills[-1:]}, seed {SEED}"
        assert again.code == 0, f"{told}: {again.text}"
        assert unlike(states[action], subject.state()) == {}, told


def unlike(expected, found):
    """What differs, by its place."""
    return {place: (expected.get(place), found.get(place)) for place in {*expected, *found} if expected.get(place) != found.get(place)}


def carry_out(kind):
    """All of one role and mode."""
    chosen = random.Random(f"{SEED} {kind.__name__}")
    with kind() as made:
        states, times = carry_out_twice(made("undisturbed"))
        assert states["bind"] != states["unbind"] != states["deprovision"]
        shares = [{action: (third + chosen.random()) / POINTS for action in ACTIONS} for third in range(POINTS)]
        subjects = [made(f"killed in part {third}") for third in range(POINTS)]
        with ThreadPoolExecutor(POINTS) as pool:
            for done in [pool.submit(carry_out_killed, *each, states, times) for each in zip(subjects, shares, strict=True)]:
                done.result()
        assert sum(len(subject.host.kills) for subject in subjects) == POINTS * len(ACTIONS)


@pytest.fixture(scope="module")
def carried_out(request):
    """Those that were asked for, side by side: much of their time is waiting."""
    print(f"APB_SEED={SEED}")
    chosen = [item.callspec.params["kind"] for item in request.session.items if item.module is request.module]
    with ThreadPoolExecutor(len(chosen)) as pool:
        yield {kind: pool.submit(carry_out, kind) for kind in chosen}


KINDS = [redis_on_host, redis_shared, postgresql_shared]


@pytest.mark.parametrize("kind", KINDS)
def test_action_ends_the_same_when_run_twice_or_killed_and_run_again(carried_out, kind):
    """Accounts, rights, data, files and processes are those of a run that nobody disturbed."""
    carried_out[kind].result()
