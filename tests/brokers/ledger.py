"""What a broker of tests has: instances, bindings and operations, by the Open Service Broker API 2.17, and what was done wrong to it."""

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from apb_controller.rules.answers import Call
from tests.brokers.listening import Reply

GONE = Reply(410)
ASYNC_REQUIRED = Reply(422, {"error": "AsyncRequired", "description": "This broker needs accepts_incomplete=true."})


@dataclass
class Operation:
    """An asynchronous one. `polls`: after how many questions it has ended; None: when the test says so."""

    name: str
    call: Call
    polls: int | None
    failure: str | None = None
    description: str | None = None
    state: str = "in progress"


@dataclass
class Thing:
    """An instance or a binding."""

    service_id: str
    plan_id: str
    parameters: dict[str, Any]
    context: dict[str, Any]
    is_there: bool = True  # not while an asynchronous creation goes on
    operation: Operation | None = None
    wanted: dict[str, Any] | None = None  # of the last update, until it has ended
    updates: int = 0

    def become(self) -> None:
        """What is wanted."""
        if self.wanted is not None:
            self.plan_id = self.wanted.get("plan_id", self.plan_id)
            self.parameters = self.wanted.get("parameters", self.parameters)
            self.wanted = None
            self.updates += 1

    def is_same(self, body: dict[str, Any]) -> bool:
        """Whether a second PUT asks for the same."""
        asked = (body["service_id"], body["plan_id"], body.get("parameters") or {})
        return (self.service_id, self.plan_id, self.parameters) == asked


@dataclass(frozen=True)
class Start:
    """How an asynchronous operation goes."""

    polls: int | None = 1
    failure: str | None = None
    description: str | None = None
    retry_after: int | None = None
    is_named: bool = True


@dataclass
class Ledger:
    """All of it. Methods answer as a broker does."""

    catalog: dict[str, Any]
    instances: dict[str, Thing] = field(default_factory=dict)
    bindings: dict[tuple[str, str], Thing] = field(default_factory=dict)
    ended: dict[tuple[str, ...], Operation] = field(default_factory=dict)  # of what has gone
    violations: list[str] = field(default_factory=list)
    creations: int = 0
    _numbers: Any = field(default_factory=itertools.count)

    def provision(self, instance_id: str, body: dict[str, Any], start: Start | None) -> Reply:
        """PUT of an instance."""
        found = self.instances.get(instance_id)
        if found:
            return self._again(found, body)
        self._check_double(instance_id, body)
        self._check_offer(body)
        thing = self.instances[instance_id] = _thing(body)
        self.creations += 1
        thing.is_there = start is None
        shown = {"dashboard_url": f"https://dashboard.example/{instance_id}", "metadata": {"labels": {"made-by": "a test"}}}
        return self._begun(thing, Call.PROVISION, start, shown) if start else Reply(201, shown)

    def update(self, instance_id: str, body: dict[str, Any], start: Start | None) -> Reply:
        """PATCH of an instance."""
        thing = self.instances.get(instance_id)
        if thing is None or not thing.is_there:
            self.violations.append(f"update of an instance that is not there: {instance_id}")
            return Reply(404, {"description": "There is no such instance."})
        if thing.operation and thing.operation.state == "in progress":
            self._go_on(instance_id)
            return Reply(422, {"error": "ConcurrencyError", "description": "It is being changed."})
        thing.wanted = body
        if start:
            return self._begun(thing, Call.UPDATE, start, {})
        thing.become()
        return Reply(200)

    def deprovision(self, instance_id: str, start: Start | None) -> Reply:
        """DELETE of an instance."""
        thing = self.instances.get(instance_id)
        if thing is None:
            return GONE
        left = [key for key in self.bindings if key[0] == instance_id]
        if left:
            self.violations.append(f"deprovision of an instance with bindings: {instance_id}")
        if not start:
            self._remove((instance_id,))
            return Reply(200)
        return self._begun(thing, Call.DEPROVISION, start, {})

    def bind(self, instance_id: str, binding_id: str, body: dict[str, Any], start: Start | None) -> Reply:
        """PUT of a binding."""
        instance = self.instances.get(instance_id)
        if instance is None or not instance.is_there:
            self.violations.append(f"binding of nothing: {binding_id} of {instance_id}")
            return Reply(404, {"description": "There is no such instance."})
        found = self.bindings.get((instance_id, binding_id))
        if found:
            return self._again(found, body, self.credentials(instance_id, binding_id))
        if (body["service_id"], body["plan_id"]) != (instance.service_id, instance.plan_id):
            self.violations.append(f"binding by another service or plan than the instance's: {binding_id}")
        thing = self.bindings[(instance_id, binding_id)] = _thing(body)
        thing.is_there = start is None
        return self._begun(thing, Call.BIND, start, {}) if start else Reply(201, {"credentials": self.credentials(instance_id, binding_id)})

    def unbind(self, instance_id: str, binding_id: str, start: Start | None) -> Reply:
        """DELETE of a binding."""
        thing = self.bindings.get((instance_id, binding_id))
        if thing is None:
            return GONE
        if not start:
            self._remove((instance_id, binding_id))
            return Reply(200)
        return self._begun(thing, Call.UNBIND, start, {})

    def fetch_binding(self, instance_id: str, binding_id: str) -> Reply:
        """GET of a binding."""
        thing = self.bindings.get((instance_id, binding_id))
        if thing is None or not thing.is_there:
            return Reply(404, {"description": "There is no such binding."})
        return Reply(200, {"credentials": self.credentials(instance_id, binding_id), "parameters": thing.parameters})

    def credentials(self, instance_id: str, binding_id: str) -> dict[str, Any]:
        """Of a binding: each has its own, and always the same."""
        password = hashlib.sha256(f"{instance_id}/{binding_id}".encode()).hexdigest()[:20]
        return {"username": f"u-{binding_id}", "password": password, "port": 6379, "uri": f"x://u:{password}@host:6379", "more": {"a": [1]}}

    def last_operation(self, key: tuple[str, ...], named: str | None) -> Reply:
        """GET of the state of what goes on with an instance, (id,), or a binding, (instance's id, id)."""
        thing = self._thing(key)
        operation = thing.operation if thing else self.ended.get(key)
        if operation is None:
            return Reply(404, {"description": "Nothing is going on."})
        if named is not None and named != operation.name:
            self.violations.append(f"question for another operation than the last one: {named} of {'/'.join(key)}")
            return Reply(400, {"description": "This is no operation of it."})
        self._go_on(*key)
        told = {"state": operation.state, "description": operation.failure if operation.state == "failed" else operation.description}
        return Reply(200, {name: value for name, value in told.items() if value})

    def _go_on(self, *key: str) -> None:
        """Time passes, whoever asks: also a platform that has not heard of the operation's beginning meets its end."""
        thing = self._thing(key)
        operation = thing.operation if thing else None
        if operation and operation.state == "in progress" and operation.polls is not None:
            operation.polls -= 1
            if operation.polls <= 0:
                self.finish(key)

    def finish(self, key: tuple[str, ...], failure: str | None = None) -> None:
        """What goes on ends, well or with a failure."""
        thing = self._thing(key)
        assert thing and thing.operation, f"nothing is going on with {'/'.join(key)}"
        operation = thing.operation
        operation.failure = failure or operation.failure
        operation.state = "failed" if operation.failure else "succeeded"
        if operation.failure:
            return
        thing.is_there = True
        thing.become()
        if operation.call in (Call.DEPROVISION, Call.UNBIND):
            self.ended[key] = operation
            self._remove(key)

    def _thing(self, key: tuple[str, ...]) -> Thing | None:
        return self.instances.get(key[0]) if len(key) == 1 else self.bindings.get((key[0], key[1]))

    def _remove(self, key: tuple[str, ...]) -> None:
        if len(key) == 1:
            del self.instances[key[0]]
            self.bindings = {each: thing for each, thing in self.bindings.items() if each[0] != key[0]}
        else:
            del self.bindings[(key[0], key[1])]

    def _again(self, thing: Thing, body: dict[str, Any], credentials: dict[str, Any] | None = None) -> Reply:
        """A second PUT."""
        if not thing.is_same(body):
            return Reply(409, {"description": "There is one with other attributes."})
        operation = thing.operation
        if operation and operation.state == "in progress":
            return Reply(202, {"operation": operation.name})
        if operation and operation.state == "failed" and not thing.is_there:
            return Reply(500, {"description": "It was not made; delete it first."})
        return Reply(200, {"credentials": credentials} if credentials else {})

    def _begun(self, thing: Thing, call: Call, start: Start, shown: dict[str, Any]) -> Reply:
        """202. The same again is the same operation; a deletion ends what was going on."""
        running = thing.operation
        if not (running and running.state == "in progress" and running.call is call):
            running = thing.operation = Operation(
                f"{call.value}-{next(self._numbers)}", call, start.polls, start.failure, start.description
            )
        named = {"operation": running.name} if start.is_named else {}
        return Reply(202, {**shown, **named}, {} if start.retry_after is None else {"Retry-After": str(start.retry_after)})

    def _check_double(self, instance_id: str, body: dict[str, Any]) -> None:
        """A cluster's instance has one id at the broker, at a time."""
        for other_id, other in self.instances.items():
            if other.context and other.context == body.get("context"):
                self.violations.append(f"double provision: {instance_id} and {other_id} are both for {other.context}")

    def _check_offer(self, body: dict[str, Any]) -> None:
        plans = {(service["id"], plan["id"]) for service in self.catalog["services"] for plan in service["plans"]}
        if (body["service_id"], body["plan_id"]) not in plans:
            self.violations.append(f"provision of a plan that is not in the catalog: {body['service_id']}/{body['plan_id']}")


def _thing(body: dict[str, Any]) -> Thing:
    return Thing(body["service_id"], body["plan_id"], body.get("parameters") or {}, body.get("context") or {})
