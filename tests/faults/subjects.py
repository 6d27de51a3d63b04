"""One instance of each service and mode: what a platform sends about it, what there is of it, and what its credentials are good for."""

import hashlib
import pwd
import socket
from typing import ClassVar

import psycopg
import redis
from ansible_collections.apb.catalog.plugins.module_utils import service

from tests.faults import states


class Subject:
    """An instance with one binding. Subclasses know one service and mode."""

    actions = ("provision", "bind", "update", "unbind", "deprovision")
    parameters: ClassVar = {}  # of a provision, an update, a binding
    changed: ClassVar = {}
    access: ClassVar = {}

    def __init__(self, site, offered, number):
        self.site, self.id, self.binding = site, f"{self.mode}-{number}-{site.tag}", f"b-{number}"
        plan = next(plan for plan in offered[self.service]["plans"] if plan["name"] == self.plan)
        self.ids = {"service_id": offered[self.service]["id"], "plan_id": plan["id"]}
        self.slug = service.slug(self.service, self.id)
        self.port = self.credentials = self.secrets = None

    # What is sent

    def request(self, action):
        """Method, path, and what goes with it."""
        instance = f"/v2/service_instances/{self.id}"
        binding = f"{instance}/service_bindings/{self.binding}"
        query = {"accepts_incomplete": "true"}
        context = {"organization_guid": "org", "space_guid": "space"}
        return {
            "provision": ("PUT", instance, {"params": query, "json": {**self.ids, **context, "parameters": self.parameters}}),
            "update": ("PATCH", instance, {"params": query, "json": {"service_id": self.ids["service_id"], "parameters": self.changed}}),
            "bind": ("PUT", binding, {"params": query, "json": {**self.ids, "parameters": self.access}}),
            "unbind": ("DELETE", binding, {"params": {**query, **self.ids}}),
            "deprovision": ("DELETE", instance, {"params": {**query, **self.ids}}),
        }[action]

    def path(self, action):
        """Where the state of the action's operation is asked for."""
        return self.request(action)[1] + "/last_operation"

    # What there is

    def state(self):
        """Everything there is of it, in words that are the same for each instance of the mode."""
        return states.in_common_words(self.found(), self.names())

    def names(self):
        """What is its own."""
        own = {self.slug: "SLUG", self.slug.replace("-", "_"): "DATABASE", str(self.site.state.root): "ROOT"}
        if self.credentials:
            own |= {self.credentials["username"]: "ACCOUNT", hashed(self.credentials["password"]): "OF THE BINDING"}
        own |= {hashed(value): name for name, value in (self.secrets or {}).items()}
        return own

    def is_refused(self):
        """Whether the credentials of the last binding are good for nothing any more."""
        try:
            self.use()
        except (redis.exceptions.RedisError, psycopg.OperationalError, PermissionError):
            return True
        return False


def hashed(password):
    return hashlib.sha256(password.encode()).hexdigest()


class RedisOnHost(Subject):
    """A server of its own."""

    mode, service, plan = "redis-host", "redis", "redis-standard"
    parameters: ClassVar = {"memory": 0.1}
    changed: ClassVar = {"memory": 0.2}
    access: ClassVar = {"access": "readwrite"}

    def names(self):
        return {**super().names(), **({str(self.port): "PORT"} if self.port else {})}

    def found(self):
        return states.redis_on_host(
            self.site.state.host, self.slug, self.port, self._admin if self._is_listening() else None, self._has_user()
        )

    def _has_user(self):
        return any(user.pw_dir.endswith(self.slug) or user.pw_name == f"apb-{self.slug}" for user in pwd.getpwall())

    def _is_listening(self):
        with socket.socket() as tried:
            return self.port is not None and tried.connect_ex(("127.0.0.1", self.port)) == 0

    def _admin(self):
        password = self.secrets["admin_password"]
        return redis.Redis(port=self.port, username="apb_admin", password=password, decode_responses=True, socket_timeout=10)

    def life(self):
        """Which run of the server this is."""
        with self._admin() as client:
            return client.info("server")["run_id"]

    def use(self):
        """What a client of the binding does: keeps something, finds it again."""
        with redis.Redis.from_url(self.credentials["uri"], socket_timeout=10) as client:
            client.set(f"{self.credentials.get('key_prefix', '')}kept", "data")


class RedisShared(Subject):
    """A share of a server."""

    mode, service, plan = "redis-shared", "redis", "redis-tenant"
    actions = ("provision", "bind", "unbind", "deprovision")  # nothing of it can be changed
    access: ClassVar = {"access": "readwrite"}

    use = RedisOnHost.use

    def found(self):
        return states.redis_shared(self.site.redis.admin, self.site.redis.acl, f"{self.slug}:")


class PostgresqlShared(Subject):
    """A database of a server."""

    mode, service, plan = "postgresql-shared", "postgresql", "postgresql-tenant"
    parameters: ClassVar = {"connections": 5}
    changed: ClassVar = {"connections": 6}
    access: ClassVar = {"access": "readwrite", "init": "CREATE TABLE kept (a text); INSERT INTO kept VALUES ('data')"}

    @property
    def database(self):
        return self.slug.replace("-", "_")

    def found(self):
        account = self.credentials["username"] if self.credentials else ""
        return states.postgresql_shared(self.site.postgresql, self.database, account)

    def use(self):
        given = self.credentials
        with self.site.postgresql.connect(given["username"], given["password"], self.database) as connection:
            assert connection.execute("SELECT a FROM kept").fetchall() == [("data",)]


class Stubborn(Subject):
    """The service whose actions misbehave when they are told to; see stubborn.py."""

    mode, service, plan = "stubborn", "stubborn", "stubborn-large"
    parameters: ClassVar = {"greeting": "good morning"}
    changed: ClassVar = {"greeting": "good evening"}

    @property
    def home(self):
        return self.site.state.host / "instances" / self.slug

    def found(self):
        root = self.site.state.host
        greeting = self.home / "greeting"
        return {
            "files": {str(path): states.description(path) for path in sorted(root.rglob("*")) if self.slug in str(path)},
            "processes": [words for words in states.command_lines() if self.slug in " ".join(words)],
            "greeting": greeting.read_text() if greeting.exists() else None,
        }

    def use(self):
        account = self.home / f"account-{self.credentials['username']}"
        known = account.read_text() if account.exists() else None
        if known != hashed(f"{self.credentials['username']}:{self.credentials['password']}"):
            raise PermissionError("there is no such account")

    def order(self, action, behaviour):
        """What the next run of the action is to do."""
        self._order(action).write_text(behaviour)

    def has_begun(self, action):
        """Whether it does it."""
        return self._order(action).with_name(f"{self._order(action).name}.begun").exists()

    def withdraw(self):
        """No orders are left."""
        for file in self.site.orders.glob(f"{self.id}.*"):
            file.unlink()

    def _order(self, action):
        return self.site.orders / f"{self.id}.{action}"


MODES = {kind.mode: kind for kind in (RedisOnHost, RedisShared, PostgresqlShared, Stubborn)}
