"""Random lives of an instance: a broker that fails in all ways, a controller that dies, a user who changes things.

What has to be true at each moment are upstream's invariants of the status (`validation/instance.go:110-235`); what has to be true at the
end is that the broker has exactly what the object says.
"""

import dataclasses
import random
import re

import pytest

from apb_controller.rules import answers, conditions, instances, times
from apb_controller.rules.answers import Answer, Call
from apb_controller.scopes import BOTH
from tests.unit.controller import cluster
from tests.unit.controller.cluster import LOST, TIMEOUT, UNREACHABLE, http, state, written

STEPS = 120
LIVES = 500
PLANS = {"P1": "small", "P2": "big"}
WAYS = [
    "obey",
    "obey",
    "start",
    "400",
    "422",
    "500",
    "500 after it did it",
    "timeout",
    "timeout after it did it",
    "unreachable",
    "lost",
    "die",
    "start and die",
]
USER = ["nothing"] * 6 + ["parameters", "plan", "touch", "delete"]


class Broker:
    """One instance's broker: what it has, and how it answers."""

    def __init__(self):
        self.has = None
        self.pending = None
        self.created_twice = False

    def ask(self, request, way):
        """The answer; None when the controller does not live to hear it."""
        if request.call is Call.LAST_OPERATION:
            return self._poll(way)
        if way in ("unreachable", "400", "422", "500", "timeout"):
            return {"unreachable": UNREACHABLE, "timeout": TIMEOUT}.get(way) or http(int(way))
        answer = self._do(request, "start" in way)
        unheard = {"500 after it did it": http(500), "timeout after it did it": TIMEOUT, "lost": LOST, "die": None, "start and die": None}
        return unheard.get(way, answer)

    def _do(self, request, later):
        if self.pending:  # of which the controller knows nothing: it ends by itself
            before, self.pending = self.pending, None
            self._carry_out(before)
            return http(422, {"error": "ConcurrencyError"})
        if request.call is Call.PROVISION and self.has is not None:
            return http(200 if self.has == self._of(request.body) else 409)
        if request.call is Call.UPDATE and self.has is None:
            return http(404)
        if request.call is Call.DEPROVISION and self.has is None:
            return http(410)
        if later:
            self.pending = request
            return http(202, {"operation": "op"})
        self._carry_out(request)
        return http(201 if request.call is Call.PROVISION else 200)

    def _carry_out(self, request):
        if request.call is Call.DEPROVISION:
            self.has = None
        elif request.call is Call.PROVISION:
            self.has = self._of(request.body)
        else:
            changes = {"plan_id": request.body.get("plan_id"), "parameters": request.body.get("parameters")}
            self.has = {**self.has, **{name: value for name, value in changes.items() if value is not None}}

    def _poll(self, way):
        if "die" in way:
            return None
        if way in ("timeout", "unreachable", "lost", "500", "422") or not self.pending:
            return http(500) if self.pending else (http(404) if self.has is None else state("succeeded"))
        if way == "start":
            return state("in progress", "half")
        request, self.pending = self.pending, None
        if way == "400":
            return state("failed", "no")
        self._carry_out(request)
        return state("succeeded")

    @staticmethod
    def _of(body):
        return {"plan_id": body["plan_id"], "parameters": body.get("parameters", {})}


def check(thing):
    """Upstream's invariants."""
    status = thing.get("status") or {}
    operation = status.get("currentOperation")
    if not operation:
        assert not {"operationStartTime", "lastOperation", "inProgressProperties"} & set(status)
        assert not status.get("asyncOpInProgress")
    else:
        assert status.get("orphanMitigationInProgress") or "operationStartTime" in status
        assert "inProgressProperties" in status
        assert not conditions.is_true(status.get("conditions"), "Ready")
    for name in ("inProgressProperties", "externalProperties"):
        found = status.get(name) or {}
        assert ("parameters" in found) == ("parameterChecksum" in found)
        assert re.fullmatch("[0-9a-f]{64}", found.get("parameterChecksum", "0" * 64))
    assert status.get("reconciledGeneration", 0) <= thing["metadata"]["generation"]
    assert status.get("lastConditionState", "") == conditions.last_state(status.get("conditions"))


def refs(thing):
    return [thing["spec"].get(ref) for scope in BOTH for ref in (scope.class_ref, scope.plan_ref)]


class Life:
    """An instance from its creation on."""

    def __init__(self):
        scope = cluster.CLUSTER
        plans = [cluster.plan(scope, name=one.lower(), externalName=name, externalID=one) for one, name in PLANS.items()]
        self.world = cluster.world(plans=plans, leading_since=cluster.NOW)
        self.broker = Broker()
        metadata = {"name": "i", "namespace": "ns", "uid": "u", "generation": 1}
        words = {"clusterServiceClassExternalName": "redis", "clusterServicePlanExternalName": "small"}
        self.thing = {"kind": "ServiceInstance", "metadata": metadata, "spec": words}

    def act(self, what):
        """The user does something."""
        spec, metadata = self.thing["spec"], self.thing["metadata"]
        if metadata.get("deletionTimestamp") or what == "nothing":
            return
        metadata["generation"] += 1
        if what == "parameters":
            spec["parameters"] = {"a": spec.get("parameters", {}).get("a", 0) % 2 + 1}  # and back
        elif what == "plan":
            spec["clusterServicePlanExternalName"] = "big" if spec["clusterServicePlanExternalName"] == "small" else "small"
        elif what == "touch":
            spec["updateRequests"] = spec.get("updateRequests", 0) + 1
        else:
            metadata["deletionTimestamp"] = times.written(self.world.now)

    def look(self, way):
        """The controller looks at it once; true when there was nothing to do."""
        before = self.thing
        step = instances.next_step(self.thing, self.world)
        seconds = 1
        if step.request:
            answer = self.broker.ask(step.request, way)
            if answer is None:  # it died: another one leads from now on
                self.world = dataclasses.replace(cluster.later(self.world, seconds=1), leading_since=self.world.now)
                return False
            step = self._heard(step.request, answer)
        elif step.wait_seconds:
            seconds = step.wait_seconds
        self.thing = written(self.thing, step)
        if self.thing is not None:
            check(self.thing)
            if (before.get("status") or {}).get("currentOperation") and (self.thing["status"] or {}).get("currentOperation"):
                assert refs(before) == refs(self.thing)
        self.world = cluster.later(self.world, seconds=seconds)
        return step == instances.Step()

    def _heard(self, request, answer):
        assert isinstance(answer, Answer)
        outcome = answers.classified(request.call, answer, self.world.now, may_be_async=request.may_be_async)
        return instances.after(self.thing, request.call, outcome, self.world)

    def settle(self):
        """From now on nothing goes wrong."""
        for _ in range(STEPS):
            if self.thing is None or self.look("obey"):
                return
        raise AssertionError(f"it does not come to rest: {self.thing}")


@pytest.mark.parametrize("seed", range(LIVES))
def test_any_life_keeps_the_invariants_and_ends_well(seed):
    """Each status is one that upstream takes; in the end the broker has what is wanted, or, after the deletion, nothing."""
    chance = random.Random(seed)
    history = [(chance.choice(WAYS), chance.choice(USER)) for _ in range(chance.randint(5, 60))]
    life = Life()
    for way, what in history:
        life.act(what)
        life.look(way)
        if life.thing is None:
            break
    if life.thing is not None:
        life.act("touch")
        life.settle()
    if life.thing is not None:
        spec = life.thing["spec"]
        assert conditions.is_true(life.thing["status"]["conditions"], "Ready")
        plan_id = {name: one for one, name in PLANS.items()}[spec["clusterServicePlanExternalName"]]
        assert life.broker.has == {"plan_id": plan_id, "parameters": spec.get("parameters", {})}
        life.act("delete")
        life.settle()
    assert life.thing is None
    assert life.broker.has is None
