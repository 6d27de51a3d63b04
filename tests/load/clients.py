"""Platforms that all work on the same few instances at once, each doing whatever it likes, and what they saw."""

import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from tests.load.history import Exchange, clock

BINDINGS = ("b0", "b1", "b2", "b3", "b/ü 4")
ANSWER_SECONDS = 180  # a request that is not answered in this time never is

# How often each is done, and how often an operation is asked for by a platform that cannot wait.
VERBS = {
    "provision": 14,
    "update": 14,
    "deprovision": 5,
    "fetch": 10,
    "poll": 14,
    "bind": 14,
    "rotate": 4,
    "unbind": 8,
    "fetch_binding": 8,
    "poll_binding": 7,
}
AT_ONCE = 0.12
AGAIN = 0.15  # the same request once more
TOGETHER = 0.4  # on the instance that others are on just now


@dataclass(frozen=True)
class Offered:
    """What is asked for: a service, its plans, and parameters by chance; the text makes those of an update unique."""

    service_id: str
    plans: tuple[str, ...]
    parameters: Callable[[random.Random], dict[str, Any]]
    changes: Callable[[random.Random, str], dict[str, Any]]
    bind_parameters: Callable[[random.Random], dict[str, Any]]


class Wire:
    """HTTP to the broker; every exchange is kept. Connections are not: the server closes idle ones just when they are used again."""

    def __init__(self, admin: dict[str, str], *, transport: Callable[[], httpx.BaseTransport] = lambda: None) -> None:
        self._transport = transport  # for what is between a platform and the broker
        self.exchanges: list[Exchange] = []
        self.operations: deque[tuple[str, str | None, str]] = deque(maxlen=200)
        self.accepted: set[str] = set()
        self._of_thread = threading.local()  # a pool that threads share closes a connection under the one that reads from it
        self._options: dict[str, Any] = {
            "base_url": admin["url"],
            "auth": (admin["username"], admin["password"]),
            "headers": {"X-Broker-API-Version": "2.17"},
            "timeout": ANSWER_SECONDS,
            "trust_env": False,
            "limits": httpx.Limits(max_keepalive_connections=0),
            "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # made once; there is no TLS here
        }

    @property
    def _http(self) -> httpx.Client:
        if not hasattr(self._of_thread, "client"):
            self._of_thread.client = httpx.Client(transport=self._transport(), **self._options)
        found: httpx.Client = self._of_thread.client
        return found

    def admin(self, path: str) -> httpx.Response:
        """The admin API."""
        return self._http.get(f"/admin/v1/{path}")

    def in_progress(self) -> list[Any]:
        """The operations that have still to end."""
        return [line for state in ("queued", "running") for line in self.admin(f"operations?state={state}").json()["operations"]]

    def catalog(self) -> dict[str, Any]:
        """What is offered."""
        found: dict[str, Any] = self._http.get("/v2/catalog").json()
        return found

    def exchange(self, verb: str, instance: str, binding: str | None, **about: Any) -> Exchange:
        """One request of the protocol, and its answer. Raises httpx.TransportError when there is none."""
        body, query, asked, can_wait, client = (about.get(name) for name in ("body", "query", "asked", "can_wait", "client"))
        sent_at = clock()
        response = self._http.request(METHODS[verb], path(verb, instance, binding), json=body, params=query or {})
        answer = response.json()
        done = Exchange(
            verb, instance, binding, sent_at, clock(), response.status_code, answer, asked or {}, can_wait is not False, client or 0
        )
        self.exchanges.append(done)
        if done.operation is not None:
            self.operations.append((instance, binding, done.operation))
            self.accepted.add(done.operation)
        return done


METHODS = {
    "provision": "PUT",
    "update": "PATCH",
    "deprovision": "DELETE",
    "fetch": "GET",
    "poll": "GET",
    "bind": "PUT",
    "unbind": "DELETE",
    "fetch_binding": "GET",
    "poll_binding": "GET",
}


def path(verb: str, instance: str, binding: str | None) -> str:
    """Where a request goes; ids hold any character."""
    below = "" if binding is None else f"/service_bindings/{quote(binding, safe='')}"
    return f"/v2/service_instances/{quote(instance, safe='')}{below}{'/last_operation' if verb.startswith('poll') else ''}"


@dataclass(frozen=True)
class Pace:
    """How long, how fast: until that time, or until so many operations were accepted; seconds between two requests of a client."""

    until: float
    pause_seconds: float
    operations: float = float("inf")
    verbs: dict[str, int] = field(default_factory=lambda: VERBS)


class Client(threading.Thread):
    """One platform. What it does is drawn from its own seed; what comes of it depends on the others."""

    def __init__(self, number: int, seed: int, wire: Wire, offered: Offered, instances: list[str], pace: Pace) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._number, self._chance = number, random.Random(f"{seed}/{number}")
        self._wire, self._offered, self._instances = wire, offered, instances
        self._pace, self._until = pace, pace.until
        self._count = 0
        self._last: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.failure: Exception | None = None

    def run(self) -> None:
        """First an instance, so that there is something; then one request after the other until it is enough."""
        pause = self._pace.pause_seconds
        try:
            time.sleep(self._chance.uniform(0, pause))
            self.provision(self._some_instance())
            while clock() < self._until and len(self._wire.accepted) < self._pace.operations:
                self._act()
                time.sleep(min(self._chance.expovariate(1 / pause), 4 * pause))
        except Exception as error:
            self.failure = error

    def stop(self) -> None:
        """No further request."""
        self._until = 0.0

    def _act(self) -> None:
        if self._last is not None and self._chance.random() < AGAIN:
            self._wire.exchange(*self._last[0], **self._last[1])
            return
        (verb,) = self._chance.choices(list(self._pace.verbs), weights=list(self._pace.verbs.values()))
        getattr(self, verb)(self._some_instance())

    def _some_instance(self) -> str:
        """Any; often the one that is the busiest just now, so that requests meet."""
        if self._chance.random() < TOGETHER:
            return self._instances[int(clock() / 2) % len(self._instances)]
        return self._chance.choice(self._instances)

    def _some_binding(self) -> str:
        return self._chance.choice(BINDINGS)

    def _send(self, verb: str, instance: str, binding: str | None = None, **about: Any) -> Exchange:
        self._last = ((verb, instance, binding), {**about, "client": self._number})
        return self._wire.exchange(*self._last[0], **self._last[1])

    def _waiting(self) -> dict[str, Any]:
        can_wait = self._chance.random() > AT_ONCE
        return {"can_wait": can_wait, "query": {"accepts_incomplete": "true"} if can_wait else {}}

    def provision(self, instance: str) -> None:
        """PUT of an instance."""
        asked = {"plan": self._offered.plans[0], "parameters": self._offered.parameters(self._chance)}
        body = {"organization_guid": "org", "space_guid": "space", **self._body(asked)}
        self._send("provision", instance, body=body, asked=asked, **self._waiting())

    def _body(self, asked: dict[str, Any]) -> dict[str, Any]:
        said = {"plan_id": asked.get("plan"), "parameters": asked.get("parameters")}
        return {"service_id": self._offered.service_id, **{name: value for name, value in said.items() if value is not None}}

    def update(self, instance: str) -> None:
        """PATCH of an instance: of a parameter, sometimes of the plan."""
        self._count += 1
        asked: dict[str, Any] = {"parameters": self._offered.changes(self._chance, f"{self._number}.{self._count}")}
        if self._chance.random() < 0.2:
            asked["plan"] = self._chance.choice(self._offered.plans)
        self._send("update", instance, body=self._body(asked), asked=asked, **self._waiting())

    def deprovision(self, instance: str) -> None:
        """DELETE of an instance."""
        self._remove("deprovision", instance, None)

    def _remove(self, verb: str, instance: str, binding: str | None) -> None:
        waiting = self._waiting()
        waiting["query"] |= {"service_id": self._offered.service_id, "plan_id": self._offered.plans[0]}
        self._send(verb, instance, binding, **waiting)

    def fetch(self, instance: str) -> None:
        """GET of an instance."""
        self._send("fetch", instance)

    def bind(self, instance: str) -> None:
        """PUT of a binding. A platform that is not sure of the plan is told."""
        plan = self._chance.choices(self._offered.plans, weights=[5, *[1] * (len(self._offered.plans) - 1)])[0]
        asked = {"plan": plan, "parameters": self._offered.bind_parameters(self._chance)}
        self._send("bind", instance, self._some_binding(), body=self._body(asked), asked=asked, **self._waiting())

    def rotate(self, instance: str) -> None:
        """PUT of a binding that follows another one."""
        successor, predecessor = self._chance.sample(BINDINGS, 2)
        asked = {"predecessor": predecessor}
        self._send("bind", instance, successor, body={"predecessor_binding_id": predecessor}, asked=asked, **self._waiting())

    def unbind(self, instance: str) -> None:
        """DELETE of a binding."""
        self._remove("unbind", instance, self._some_binding())

    def fetch_binding(self, instance: str) -> None:
        """GET of a binding."""
        self._send("fetch_binding", instance, self._some_binding())

    def poll(self, instance: str) -> None:
        """Polling an instance: without an operation, or any operation that somebody was given."""
        known = [each for each in self._wire.operations.copy() if each[1] is None]
        if not known or self._chance.random() < 0.2:
            self._send("poll", instance)
        else:
            self._poll(*self._chance.choice(known))

    def poll_binding(self, instance: str) -> None:
        """Polling a binding."""
        known = [each for each in self._wire.operations.copy() if each[1] is not None]
        if known:
            self._poll(*self._chance.choice(known))

    def _poll(self, instance: str, binding: str | None, operation: str) -> Exchange:
        verb = "poll" if binding is None else "poll_binding"
        return self._send(verb, instance, binding, query={"operation": operation}, asked={"operation": operation})
