"""An Open Service Broker for tests of the controller: it has real state, answers at once, and does with each call what the test says.

    with scripted.running() as broker:
        broker.script(Call.PROVISION, scripted.Fail(500, does_it=True))       # the next one
        broker.script(Call.BIND, scripted.Started(polls=3), times=None)       # all, from now on
        ...
        broker.wait_for(Call.DEPROVISION)
        broker.assert_clean()

As a process of its own: `python -m tests.brokers.scripted`; it says its address, and ends at SIGTERM with a summary.
"""

import argparse
import asyncio
import base64
import binascii
import contextlib
import json
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from apb_controller.rules.answers import Call
from tests.brokers import ledger, listening
from tests.brokers.ledger import Start as Started
from tests.brokers.listening import Reply

__all__ = ["Broker", "Cut", "Fail", "Garbage", "Hang", "Held", "Slow", "Started", "running"]

MODIFYING = (Call.PROVISION, Call.UPDATE, Call.DEPROVISION, Call.BIND, Call.UNBIND)
MANDATORY = {  # by the specification, in body or query
    Call.PROVISION: ("service_id", "plan_id", "organization_guid", "space_guid"),
    Call.UPDATE: ("service_id",),
    Call.DEPROVISION: ("service_id", "plan_id"),
    Call.BIND: ("service_id", "plan_id"),
    Call.UNBIND: ("service_id", "plan_id"),
}


@dataclass(frozen=True)
class Fail:
    """This answer. `does_it`: what was asked is done all the same, as with a broker that dies after its work, or is begun so."""

    status: int = 500
    body: Any = field(default_factory=lambda: {"description": "This went wrong."})
    headers: dict[str, str] = field(default_factory=dict)
    does_it: bool | Started = False


@dataclass(frozen=True)
class Slow:
    """An answer as always, later."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """No answer, until the client goes."""

    does_it: bool | Started = False


@dataclass(frozen=True)
class Garbage:
    """What is no HTTP."""

    data: bytes = b"\x16\x03\x01 what is this?\r\n\r\n"
    does_it: bool | Started = False


@dataclass(frozen=True)
class Cut:
    """The connection ends after these bytes of an answer."""

    after: bytes = b""
    is_reset: bool = False
    does_it: bool | Started = False


class Held:
    """The call stands still until the test lets it go on, as always then."""

    does_it = False

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._is_released = threading.Event()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def release(self) -> None:
        """It goes on, and so do later ones."""
        self._is_released.set()
        for loop, event in self._waiting:
            loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        """In the broker's thread."""
        event = asyncio.Event()
        self._waiting.append((asyncio.get_running_loop(), event))
        self.arrived.set()
        if not self._is_released.is_set():
            await event.wait()


Behaviour = Fail | Slow | Hang | Garbage | Cut | Held | Started


@dataclass
class _Rule:
    call: Call
    behaviour: Behaviour
    left: int | None
    instance_id: str | None


@dataclass
class Entry:
    """One call of the history. `answer`: the status; 0 for none, or while there is none yet."""

    call: Call | None
    key: tuple[str, ...]  # (instance's id,) or (instance's id, binding's id) or ()
    request: listening.Request
    began: float  # time.monotonic()
    answer: int = 0

    @property
    def body(self) -> Any:
        """What was sent, as JSON; None if it is none."""
        try:
            return json.loads(self.request.content) if self.request.content else None
        except ValueError:
            return None

    @property
    def identity(self) -> dict[str, Any] | None:
        """The originating identity."""
        header = self.request.headers.get("x-broker-api-originating-identity")
        return json.loads(base64.b64decode(header.removeprefix("kubernetes "))) if header else None


def catalog() -> dict[str, Any]:
    """Two services: `cache` with two plans, whose bindings cannot be fetched, and `database` with one, whose bindings can."""
    plans = [
        {"id": "plan/small", "name": "small", "description": "A small one.", "free": True},
        {"id": "plan/large", "name": "large", "description": "A large one.", "free": False},
    ]
    only = [{"id": "Plan-Only", "name": "only", "description": "The only one.", "maximum_polling_duration": 3600}]
    cache = {"id": "service/Cache", "name": "cache", "description": "Keeps things.", "bindable": True, "plan_updateable": True}
    database = {"id": "service-database", "name": "database", "description": "Keeps more.", "bindable": True, "bindings_retrievable": True}
    return {"services": [{**cache, "plans": plans}, {**database, "plans": only}]}


class Broker:
    """The broker. What it has is in `ledger`, what it was asked in `history`; `auth` is None, (name, password) or a token."""

    def __init__(
        self,
        kept: ledger.Ledger | None = None,
        *,
        port: int = 0,
        address: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
        auth: tuple[str, str] | str | None = None,
    ) -> None:
        self.ledger = kept or ledger.Ledger(catalog())
        self.history: list[Entry] = []
        self.auth = auth
        self._rules: list[_Rule] = []
        self._busy: Counter[tuple[str, ...]] = Counter()
        self._changed = threading.Condition()
        self.listener = listening.Listener(self._handle, port=port, context=context, address=address)
        self.url = self.listener.url

    # What tests say.

    def script(self, call: Call, behaviour: Behaviour, *, times: int | None = 1, instance_id: str | None = None) -> None:
        """What the next calls meet (of one instance, if so said), one script after the other; `times=None`: all that meet no other."""
        with self._changed:
            self._rules.append(_Rule(call, behaviour, times, instance_id))

    def unscript(self) -> None:
        """As always, from now on."""
        with self._changed:
            self._rules.clear()

    def finish(self, *key: str, failure: str | None = None) -> None:
        """An operation of `Started(polls=None)` ends."""
        with self._changed:
            self.ledger.finish(key, failure)

    def calls(self, *kinds: Call, instance_id: str | None = None) -> list[Entry]:
        """The history of these calls, or of all."""
        with self._changed:
            return [
                entry
                for entry in self.history
                if (not kinds or entry.call in kinds) and (instance_id is None or entry.key[:1] == (instance_id,))
            ]

    def wait_for(self, call: Call, count: int = 1, seconds: float = 30) -> list[Entry]:
        """Until so many of these have been answered, or not answered as scripted; those."""
        give_up = time.monotonic() + seconds

        def done() -> bool:
            return sum(entry.call is call and entry.answer != 0 for entry in self.history) >= count

        with self._changed:
            arrived = self._changed.wait_for(done, give_up - time.monotonic())
        assert arrived, f"{call.value} was not called {count} times within {seconds} s: {self.summary()}"
        return self.calls(call)

    def summary(self) -> dict[str, Any]:
        """What there is, what was asked how often, and what was wrong."""
        with self._changed:
            return {
                "instances": len(self.ledger.instances),
                "bindings": len(self.ledger.bindings),
                "creations": self.ledger.creations,
                "calls": dict(Counter(entry.call.value if entry.call else "unknown" for entry in self.history)),
                "violations": list(self.ledger.violations),
            }

    def assert_sound(self) -> None:
        """Nothing was done twice, or of nothing, or against the protocol."""
        assert not self.ledger.violations, "\n".join(self.ledger.violations)

    def assert_clean(self) -> None:
        """That, and nothing is left."""
        self.assert_sound()
        assert not self.ledger.bindings, f"bindings are left: {sorted(self.ledger.bindings)}"
        assert not self.ledger.instances, f"instances are left: {sorted(self.ledger.instances)}"

    def close(self) -> None:
        """Its end."""
        self.listener.stop()

    # What it does.

    async def _handle(self, request: listening.Request) -> Reply | listening.Cut:
        if request.segments == ("summary",):
            return Reply(200, self.summary())
        call, key = _route(request)
        entry = Entry(call, key, request, time.monotonic())
        with self._changed:
            self.history.append(entry)
            self._busy[key] += call in MODIFYING
            if self._busy[key] > 1:
                self.ledger.violations.append(f"two calls at a time for {'/'.join(key)}")
        try:
            reply = await self._behave(entry, self._behaviour(call, key))
        finally:
            with self._changed:
                self._busy[key] -= call in MODIFYING
                entry.answer = entry.answer or -1
                self._changed.notify_all()
        return reply

    def _behaviour(self, call: Call | None, key: tuple[str, ...]) -> Behaviour | None:
        with self._changed:
            fitting = [rule for rule in self._rules if rule.call is call and rule.instance_id in (None, *key[:1])]
            counted = [rule for rule in fitting if rule.left]
            endless = [rule for rule in fitting if rule.left is None]
            if counted:
                counted[0].left = (counted[0].left or 0) - 1
                return counted[0].behaviour
            return endless[-1].behaviour if endless else None

    async def _behave(self, entry: Entry, behaviour: Behaviour | None) -> Reply | listening.Cut:
        if isinstance(behaviour, (Fail, Hang, Garbage, Cut)) and behaviour.does_it:
            self._do(entry, behaviour.does_it if isinstance(behaviour.does_it, Started) else None)
        match behaviour:
            case Slow(seconds):
                await asyncio.sleep(seconds)
            case Held():
                await behaviour.wait()
            case Hang():
                await asyncio.Event().wait()
            case Garbage(data):
                return listening.Cut(data)
            case Cut(after, is_reset):
                return listening.Cut(after, is_reset)
            case Fail(status, body, headers):
                entry.answer = status
                return Reply(status, body, headers)
        reply = self._do(entry, behaviour if isinstance(behaviour, Started) else None)
        entry.answer = reply.status
        return reply

    def _do(self, entry: Entry, start: Started | None) -> Reply:
        with self._changed:
            refusal = self._refusal(entry)
            if refusal:
                return refusal
            if start and entry.request.query.get("accepts_incomplete") != "true" and entry.call in MODIFYING:
                return ledger.ASYNC_REQUIRED
            return self._carry_out(entry, start)

    def _carry_out(self, entry: Entry, start: Started | None) -> Reply:
        body = entry.body or {}
        match entry.call:
            case Call.CATALOG:
                return Reply(200, self.ledger.catalog)
            case Call.PROVISION:
                return self.ledger.provision(*entry.key, body, start)
            case Call.UPDATE:
                return self.ledger.update(*entry.key, body, start)
            case Call.DEPROVISION:
                return self.ledger.deprovision(*entry.key, start)
            case Call.BIND:
                return self.ledger.bind(*entry.key, body, start)
            case Call.UNBIND:
                return self.ledger.unbind(*entry.key, start)
            case Call.GET_BINDING:
                return self.ledger.fetch_binding(*entry.key)
            case Call.LAST_OPERATION:
                return self.ledger.last_operation(entry.key, entry.request.query.get("operation"))
        return Reply(404, {"description": "There is no such path."})

    def _refusal(self, entry: Entry) -> Reply | None:
        """What a broker refuses, and a platform should not have done."""
        if not self._is_logged_in(entry.request):
            return Reply(401, {"description": "Who are you?"})
        flaws = list(_flaws(entry))
        if not flaws:
            return None
        self.ledger.violations += [f"{entry.request.method} /{'/'.join(entry.request.segments)}: {flaw}" for flaw in flaws]
        return Reply(400, {"description": "; ".join(flaws)})

    def _is_logged_in(self, request: listening.Request) -> bool:
        given = request.headers.get("authorization")
        if self.auth is None:
            return True
        if isinstance(self.auth, str):
            return given == f"Bearer {self.auth}"
        return given == f"Basic {base64.b64encode(':'.join(self.auth).encode()).decode()}"


def _route(request: listening.Request) -> tuple[Call | None, tuple[str, ...]]:
    """The call, and what it is about."""
    method = request.method
    match request.segments:
        case ("v2", "catalog") if method == "GET":
            return Call.CATALOG, ()
        case ("v2", "service_instances", instance):
            return {"PUT": Call.PROVISION, "PATCH": Call.UPDATE, "DELETE": Call.DEPROVISION}.get(method), (instance,)
        case ("v2", "service_instances", instance, "last_operation") if method == "GET":
            return Call.LAST_OPERATION, (instance,)
        case ("v2", "service_instances", instance, "service_bindings", binding):
            return {"PUT": Call.BIND, "GET": Call.GET_BINDING, "DELETE": Call.UNBIND}.get(method), (instance, binding)
        case ("v2", "service_instances", instance, "service_bindings", binding, "last_operation") if method == "GET":
            return Call.LAST_OPERATION, (instance, binding)
    return None, ()


def _flaws(entry: Entry) -> Iterator[str]:
    """What a request lacks, by the specification."""
    request = entry.request
    if request.headers.get("x-broker-api-version") != "2.17":
        yield "X-Broker-API-Version is not 2.17"
    if entry.call is None:
        yield "there is no such path"
    has_body = entry.call in (Call.PROVISION, Call.UPDATE, Call.BIND)
    if has_body and request.headers.get("content-type") != "application/json":
        yield "the body is not said to be JSON"
    if has_body and not isinstance(entry.body, dict):
        yield "the body is no JSON object"
        return
    given = entry.body if has_body else request.query
    yield from (f"{name} is missing" for name in MANDATORY.get(entry.call or Call.CATALOG, ()) if not given.get(name))
    try:
        assert entry.identity is None or isinstance(entry.identity, dict)
    except (ValueError, binascii.Error, AssertionError):
        yield "the originating identity is none"


@contextlib.contextmanager
def running(kept: ledger.Ledger | None = None, **given: Any) -> Iterator[Broker]:
    """One for as long as it is needed."""
    broker = Broker(kept, **given)
    try:
        yield broker
    finally:
        broker.close()


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(prog="python -m tests.brokers.scripted", description="An Open Service Broker that answers at once.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--polls", type=int, default=0, help="instances are made asynchronously, done after so many questions")
    options = parser.parse_args()
    serve(Broker(port=options.port), options.polls)


def serve(broker: Broker, polls: int = 0) -> None:
    """Says its address in a line, and its summary in another at the end: SIGTERM."""
    if polls:
        for call in (Call.PROVISION, Call.UPDATE, Call.DEPROVISION):
            broker.script(call, Started(polls=polls), times=None)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    print(broker.url, flush=True)
    ended.wait()
    broker.close()
    print(json.dumps(broker.summary()), flush=True)


if __name__ == "__main__":
    main()
