"""Each action of each role and mode, twice in a row and killed at three points then run again: the same end state.

The points come from a seed, which is printed; APB_SEED sets it.
"""

import contextlib
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests import ports
from tests.faults import states
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
        return states.in_common_words(self.found(), self.names())

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
        admin = self.instance.admin if self.instance.is_listening() else None
        return states.redis_on_host(self.host.directory, self.instance.slug, self.instance.port, admin, self.instance.has_user())


class RedisShared(Subject):
    """A share of a server."""

    def prepare(self, action):
        super().prepare(action)
        if action == "bind":
            with self.instance.admin() as client:
                client.set(f"{self.instance.prefix}kept", "data")

    def found(self):
        return states.redis_shared(self.instance.admin, self.instance.server.acl, self.instance.prefix)


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
        found = states.postgresql_shared(self.instance.server, self.instance.database, self.binding["username"])
        return {**found, "account works": self.account_works()}

    def account_works(self):
        with contextlib.suppress(psycopg.OperationalError):
            self.instance.connect(self.binding).close()
            return True
        return False


BEFORE, AFTER = {"connections": 5, "extensions": []}, {"connections": 6, "extensions": ["vector"]}


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
    found, times = {}, {}
    for action in ACTIONS:
        subject.prepare(action)
        first = subject.play(action)
        assert first.code == 0, first.text
        found[action], times[action] = subject.state(), first.times
        again = subject.play(action)
        assert (again.code, again.changed) == (0, 0), again.text
        assert states.unlike(found[action], subject.state()) == {}, action
    return found, times


def carry_out_killed(subject, shares, expected, times):
    """Each action killed at its point and run again."""
    for action in ACTIONS:
        subject.prepare(action)
        subject.play(action, Point(shares[action], times[action]))
        again = subject.play(action)
        told = f"{action} killed {shares[action]:.3f} of the way through, at {subject.host.kills[-1:]}, seed {SEED}"
        assert again.code == 0, f"{told}: {again.text}"
        assert states.unlike(expected[action], subject.state()) == {}, told


def carry_out(kind):
    """All of one role and mode."""
    chosen = random.Random(f"{SEED} {kind.__name__}")
    with kind() as made:
        expected, times = carry_out_twice(made("undisturbed"))
        assert expected["bind"] != expected["unbind"] != expected["deprovision"]
        shares = [{action: (third + chosen.random()) / POINTS for action in ACTIONS} for third in range(POINTS)]
        subjects = [made(f"killed in part {third}") for third in range(POINTS)]
        with ThreadPoolExecutor(POINTS) as pool:
            for done in [pool.submit(carry_out_killed, *each, expected, times) for each in zip(subjects, shares, strict=True)]:
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
