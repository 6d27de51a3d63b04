"""Random lives of a binding: a broker that fails in all ways, Secrets that cannot be written, controllers that die, a deletion."""

import dataclasses
import random

import pytest

from apb_controller.rules import answers, bindings, conditions, times
from apb_controller.rules.answers import Call
from apb_controller.rules.bindings import world as surroundings
from apb_controller.rules.steps import NOTHING
from tests.unit.controller import cluster
from tests.unit.controller.cluster import LOST, TIMEOUT, UNREACHABLE, http, state, written

STEPS = 150
LIVES = 500
WAYS = ["obey", "obey", "start", "400", "422", "500", "500 after it did it", "timeout", "timeout after it did it"]
WAYS += ["unreachable", "lost", "die", "start and die", "no secret"]
CREDENTIALS = {"credentials": {"password": "p"}}


class Broker:
    """One binding's broker: whether it has it, and how it answers."""

    def __init__(self):
        self.has, self.pending = False, None

    def ask(self, request, way):
        """The answer; None when the controller does not live to hear it."""
        unheard = {"500 after it did it": http(500), "timeout after it did it": TIMEOUT, "lost": LOST, "die": None, "start and die": None}
        if request.call is Call.LAST_OPERATION:
            return self._poll(way)
        if way in ("unreachable", "400", "422", "500", "timeout"):
            return {"unreachable": UNREACHABLE, "timeout": TIMEOUT}.get(way) or http(int(way))
        answer = self._fetch() if request.call is Call.GET_BINDING else self._do(request.call, is_begun="start" in way)
        return unheard.get(way, answer)

    def _fetch(self):
        return http(200, CREDENTIALS) if self.has else http(404)

    def _do(self, call, *, is_begun):
        if self.pending:  # of which the controller knows nothing: it ends by itself
            before, self.pending = self.pending, None
            self._carry_out(before)
            return http(422, {"error": "ConcurrencyError"})
        if call is Call.UNBIND and not self.has:
            return http(410)
        if call is Call.BIND and self.has:
            return http(200, CREDENTIALS)
        if is_begun:
            self.pending = call
            return http(202, {"operation": "op"})
        self._carry_out(call)
        return http(200) if call is Call.UNBIND else http(201, CREDENTIALS)

    def _carry_out(self, call):
        self.has = call is Call.BIND

    def _poll(self, way):
        if "die" in way:
            return None
        if not self.pending:
            return state("succeeded") if self.has else http(410)
        if way in ("timeout", "unreachable", "lost", "500", "422"):
            return http(500)
        if way == "start":
            return state("in progress", "half")
        call, self.pending = self.pending, None
        if way == "400":
            return state("failed", "no")
        self._carry_out(call)
        return state("succeeded")


class Life:
    """A binding from its creation on."""

    def __init__(self):
        self.world = cluster.binding_world(leading_since=cluster.NOW)
        self.broker = Broker()
        metadata = {"name": "k", "namespace": "ns", "uid": "uid-k", "generation": 1}
        self.thing = {"kind": "ServiceBinding", "metadata": metadata, "spec": {"instanceRef": {"name": "i"}}}

    def delete(self):
        """The user does."""
        self.thing["metadata"]["deletionTimestamp"] = times.written(self.world.now)

    def look(self, way):
        """The controller looks at it once; true when there was nothing to do."""
        step = bindings.next_step(self.thing, self.world)
        is_at_rest, seconds = step == NOTHING, step.wait_seconds or 1
        while step.request:
            answer = self.broker.ask(step.request, way)
            if answer is None:  # it died: another one leads from now on
                self.world = dataclasses.replace(cluster.later(self.world, seconds=1), leading_since=self.world.now)
                return False
            outcome = answers.classified(step.request.call, answer, self.world.now, may_be_async=step.request.may_be_async)
            step = bindings.after(self.thing, step.request.call, outcome, self.world)
        if step.secret:
            step = self._keep(step.secret, way)
        if step.deletions:
            self.world = dataclasses.replace(self.world, secret=None)
        self.thing = written(self.thing, step)
        if self.thing is not None:
            self.check()
        self.world = cluster.later(self.world, seconds=seconds)
        return is_at_rest

    def _keep(self, secret, way):
        if way != "no secret":
            self.world = dataclasses.replace(self.world, secret={"metadata": {**secret["metadata"], "uid": "uid-s"}})
        return bindings.after_secret(self.thing, "forbidden" if way == "no secret" else None, self.world)

    def check(self):
        """Who is Ready has credentials in a Secret, and nothing goes on; what goes on has a beginning."""
        status = self.thing.get("status") or {}
        if conditions.is_true(status.get("conditions"), "Ready"):
            assert self.broker.has
            assert self.thing["metadata"].get("deletionTimestamp") or surroundings.is_owned(self.world.secret, self.thing)
            assert not {"currentOperation", "operationStartTime", "lastOperation", "inProgressProperties"} & set(status)
        if status.get("asyncOpInProgress"):
            assert {"currentOperation", "operationStartTime", "inProgressProperties"} <= set(status)
        assert status.get("lastConditionState", "") == conditions.last_state(status.get("conditions"))

    def settle(self):
        """From now on nothing goes wrong."""
        for _ in range(STEPS):
            if self.thing is None or self.look("obey"):
                return
        raise AssertionError(f"it does not come to rest: {self.thing}")


@pytest.mark.parametrize("seed", range(LIVES))
def test_any_life_of_a_binding_ends_well(seed):
    """It is Ready with a Secret, or Failed with nothing at the broker; after the deletion nothing is left anywhere."""
    chance = random.Random(seed)
    life = Life()
    for _ in range(chance.randint(3, 40)):
        life.look(chance.choice(WAYS))
    if chance.random() < 0.5:
        life.settle()
        told = life.thing["status"]["conditions"]
        assert conditions.is_true(told, "Ready") is life.broker.has is (life.world.secret is not None)
        assert conditions.is_true(told, "Ready") or conditions.is_true(told, "Failed")
    life.delete()
    for _ in range(chance.randint(0, 10)):
        if life.thing is not None:
            life.look(chance.choice(WAYS))
    life.settle()
    assert life.thing is None
    assert (life.broker.has, life.world.secret) == (False, None)
