"""Objects as an API server holds them, and the shell around the rules as far as tests need it: it writes what a step says."""

import copy
import dataclasses
import json
from datetime import UTC, datetime, timedelta

from apb_controller.rules import answers, brokers, names
from apb_controller.rules.answers import Answer, Trouble
from apb_controller.rules.bindings.world import World as BindingWorld
from apb_controller.rules.instances.world import World as InstanceWorld
from apb_controller.scopes import CLUSTER, NAMESPACED

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LONG_AGO = "2026-02-20T12:00:00Z"  # more than seven days before
LATELY = "2026-03-01T11:59:00Z"
TIMEOUT = Answer(trouble=Trouble.TIMEOUT, error="no answer within 60 s")
UNREACHABLE = Answer(trouble=Trouble.UNREACHABLE, error="connection refused")
LOST = Answer(trouble=Trouble.BROKEN, error="connection reset")


def http(status, body=None, **headers):
    """An answer; a body that is a text is sent as it is."""
    text = body if isinstance(body, str) else json.dumps({} if body is None else body)
    return Answer(status, text.encode(), {name.replace("_", "-"): value for name, value in headers.items()})


def state(word, description=""):
    """An answer of last_operation."""
    return http(200, {"state": word, **({"description": description} if description else {})})


def broker(scope=CLUSTER, **spec):
    metadata = {"name": "b", "uid": "uid-b", "generation": 1, "finalizers": [names.FINALIZER]}
    return {"kind": scope.broker, "metadata": {**metadata, **place(scope)}, "spec": {"url": "https://b.example", **spec}}


def service_class(scope=CLUSTER, name="c1", **spec):
    fields = {"externalName": "redis", "externalID": "C1", "bindable": True, scope.broker_field: "b"}
    return {"kind": scope.service_class, "metadata": {"name": name, **place(scope)}, "spec": {**fields, **spec}}


def plan(scope=CLUSTER, name="p1", **spec):
    fields = {"externalName": "small", "externalID": "P1", scope.broker_field: "b", scope.class_ref: {"name": "c1"}}
    return {"kind": scope.plan, "metadata": {"name": name, **place(scope)}, "spec": {**fields, **spec}}


def removed(thing):
    return {**thing, "status": {"removedFromBrokerCatalog": True}}


def place(scope):
    return {} if scope.is_cluster else {"namespace": "ns"}


def instance(scope=CLUSTER, status=None, metadata=None, **spec):
    """One that is adopted already: finalizer, id and references are there."""
    refs = {scope.class_ref: {"name": "c1"}, scope.plan_ref: {"name": "p1"}}
    words = {f"{scope.class_field}ExternalName": "redis", f"{scope.plan_field}ExternalName": "small"}
    labels = names.labels({f"spec.{ref}.name": value["name"] for ref, value in refs.items()})
    given = {"name": "i", "namespace": "ns", "uid": "uid-i", "generation": 1, "finalizers": [names.FINALIZER], "labels": labels}
    made = {"kind": "ServiceInstance", "metadata": {**given, **(metadata or {})}, "spec": {"externalID": "I", **words, **refs, **spec}}
    return {**made, "status": status} if status is not None else made


def properties(scope=CLUSTER, **more):
    return {f"{scope.plan_field}ExternalName": "small", f"{scope.plan_field}ExternalID": "P1", **more}


def in_flight(operation="Provision", scope=CLUSTER, **more):
    """The status of an instance whose request is about to be sent, or was."""
    return {
        "conditions": [],
        "provisionStatus": "NotProvisioned" if operation == "Provision" else "Provisioned",
        "deprovisionStatus": "Required",
        "observedGeneration": 1,
        "currentOperation": operation,
        "operationStartTime": LATELY,
        "inProgressProperties": properties(scope),
        **({} if operation == "Provision" else {"externalProperties": properties(scope)}),
        **more,
    }


def polled(operation="Provision", **more):
    return in_flight(operation, asyncOpInProgress=True, lastOperation="op", **more)


def provisioned(scope=CLUSTER, **more):
    condition = {"type": "Ready", "status": "True", "reason": "ProvisionedSuccessfully", "message": "", "lastTransitionTime": LATELY}
    return {
        "conditions": [condition],
        "provisionStatus": "Provisioned",
        "deprovisionStatus": "Required",
        "observedGeneration": 1,
        "reconciledGeneration": 1,
        "externalProperties": properties(scope),
        **more,
    }


def world(scope=CLUSTER, **more):
    fields = {
        "now": NOW,
        "classes": [service_class(scope)],
        "plans": [plan(scope)],
        "broker": broker(scope),
        "namespace": {"metadata": {"name": "ns", "uid": "uid-ns"}},
        "cluster_id": "cluster-1",
        "new_id": "new-id",
    }
    return InstanceWorld(**{**fields, **more})


def binding(status=None, metadata=None, **spec):
    """One that is adopted already."""
    given = {"name": "k", "namespace": "ns", "uid": "uid-k", "generation": 1, "finalizers": [names.FINALIZER]}
    made = {
        "kind": "ServiceBinding",
        "metadata": {**given, **(metadata or {})},
        "spec": {"instanceRef": {"name": "i"}, "externalID": "K", "secretName": "k", **spec},
    }
    return {**made, "status": status} if status is not None else made


def binding_status(operation="Bind", **more):
    return {
        "conditions": [],
        "unbindStatus": "Required",
        "currentOperation": operation,
        "operationStartTime": LATELY,
        "inProgressProperties": {},
        **more,
    }


def binding_world(**more):
    fields = dataclasses.asdict(world(classes=[service_class(bindingRetrievable=True)]))
    given = {name: fields[name] for name in ("now", "classes", "plans", "broker", "namespace", "cluster_id", "new_id")}
    return BindingWorld(**{**given, "instance": instance(status=provisioned()), **more})


def broker_world(scope=CLUSTER, **more):
    return brokers.World(**{"now": NOW, "scope": scope, **more})


DELETED = {"deletionTimestamp": LATELY}


def later(world, **span):
    return dataclasses.replace(world, now=world.now + timedelta(**span))


def heard(rules, thing, request, answer, world):
    """What the rules make of the answer to a request."""
    outcome = answers.classified(request.call, answer, world.now, may_be_async=request.may_be_async)
    return rules.after(thing, request.call, outcome, world)


def heard_catalog(thing, answer, world):
    """What the rules make of a catalog."""
    return brokers.after(thing, answers.classified(answers.Call.CATALOG, answer, world.now), world)


def written(thing, step):
    """The object after the step, as an API server has it: None when it has gone; a change of the spec is a new generation."""
    thing = copy.deepcopy(thing)
    if step.status is not None:
        thing["status"] = copy.deepcopy(step.status)
    if step.spec:
        thing["spec"].update(step.spec)
        thing["metadata"]["generation"] += 1
    for name, value in (step.metadata or {}).items():
        old = thing["metadata"].get(name)
        thing["metadata"][name] = {**(old or {}), **value} if isinstance(value, dict) else value
    gone = thing["metadata"].get("deletionTimestamp") and not thing["metadata"].get("finalizers")
    return None if gone else thing


def condition(status, kind):
    """`(status, reason)` of a condition."""
    found = [one for one in status.get("conditions", []) if one["type"] == kind]
    return (found[0]["status"], found[0]["reason"]) if found else None


def message(status, kind="Ready"):
    return next(one["message"] for one in status["conditions"] if one["type"] == kind)


def reasons(step):
    """Reasons of the events, in their order."""
    return [event.reason for event in step.events]


SCOPES = [CLUSTER, NAMESPACED]
