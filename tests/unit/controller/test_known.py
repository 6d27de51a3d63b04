"""What is known of a cluster, and which objects a change of another one wakes."""

import copy
import itertools

import pytest

from apb_controller.reconcilers import triggers
from apb_controller.reconcilers.known import Known
from apb_controller.runtime.queue import Key
from apb_controller.scopes import BOTH, CLUSTER, NAMESPACED, Scope
from tests.unit.controller import cluster

VERSIONS = itertools.count(1)
SCOPES = pytest.mark.parametrize("scope", BOTH, ids=["cluster", "namespaced"])


def held(thing):
    """As an API server has it."""
    thing = copy.deepcopy(thing)
    thing["metadata"] |= {"resourceVersion": str(next(VERSIONS)), "uid": thing["metadata"].get("uid", thing["metadata"]["name"])}
    return thing


def secret(name, namespace="ns"):
    return held({"kind": "PartialObjectMetadata", "metadata": {"name": name, "namespace": namespace}})


class Watched:
    """What is known, and whom the last change woke."""

    def __init__(self, *things):
        self.woken: set[Key] = set()
        self.known = Known(self._wake)
        self.put(*things)

    def put(self, *things):
        for thing in things:
            self.woken = set()
            self.known.put(held(thing))
        return self.woken

    def gone(self, thing):
        self.woken = set()
        self.known.gone(thing)
        return self.woken

    def _wake(self, kind, before, after):
        self.woken |= set(triggers.keys(self.known, kind, before, after))


def key(kind, name, namespace="ns"):
    return Key(kind, namespace, name)


INSTANCE, BINDING = key("ServiceInstance", "i"), key("ServiceBinding", "k")


@SCOPES
@pytest.mark.parametrize(("spelling", "word"), [("ExternalName", "redis"), ("ExternalID", "C1"), ("Name", "c1")])
def test_choices_are_what_the_words_may_mean(scope: Scope, spelling: str, word: str) -> None:
    """Whatever the spelling; all plans of the class, none of another one."""
    others = [cluster.service_class(scope, "c2", externalName="mysql", externalID="C2")]
    others += [cluster.plan(scope, "p3", **{scope.class_ref: {"name": "c2"}}), cluster.plan(scope, "p2", externalName="big")]
    watched = Watched(cluster.service_class(scope), cluster.plan(scope), *others)
    wanted = {"metadata": {"name": "i", "namespace": "ns"}, "spec": {f"{scope.class_field}{spelling}": word}}
    classes, plans = watched.known.choices(wanted)
    assert [one["metadata"]["name"] for one in classes] == ["c1"]
    assert [one["metadata"]["name"] for one in plans] == ["p1", "p2"]


def test_choices_of_another_namespace_are_none() -> None:
    """A namespaced class of the same name is somebody else's."""
    watched = Watched(cluster.service_class(NAMESPACED), cluster.plan(NAMESPACED))
    elsewhere = {"metadata": {"name": "i", "namespace": "other"}, "spec": {"serviceClassExternalName": "redis"}}
    assert watched.known.choices(elsewhere) == ([], [])


def test_choices_have_what_the_references_say_though_the_words_do_not() -> None:
    """What was meant before a catalog renamed it."""
    renamed = cluster.service_class(CLUSTER, externalName="valkey")
    watched = Watched(renamed, cluster.plan(CLUSTER))
    classes, plans = watched.known.choices(cluster.instance(CLUSTER))
    assert [one["metadata"]["name"] for one in (*classes, *plans)] == ["c1", "p1"]


@SCOPES
def test_broker_of_an_instance_is_its_classes(scope: Scope) -> None:
    """Through the resolved class; none while one of both is missing."""
    watched = Watched(cluster.service_class(scope))
    assert watched.known.broker_of(cluster.instance(scope)) is None
    watched.put(cluster.broker(scope))
    assert watched.known.broker_of(cluster.instance(scope))["metadata"]["name"] == "b"


@SCOPES
def test_new_class_wakes_instances_that_wait_for_one(scope: Scope) -> None:
    """And none that have theirs already."""
    waiting = cluster.instance(scope)
    waiting["spec"] = {f"{scope.class_field}ExternalName": "mysql"}
    waiting["metadata"]["name"] = "waiting"
    watched = Watched(cluster.service_class(scope), cluster.instance(scope, cluster.provisioned(scope)), waiting)
    woken = watched.put(cluster.service_class(scope, "c2", externalName="mysql"))
    assert key("ServiceInstance", "waiting") in woken and INSTANCE not in woken


@SCOPES
def test_change_of_a_class_or_a_brokers_address_wakes_its_instances(scope: Scope) -> None:
    """A broker's status wakes nobody else."""
    watched = Watched(cluster.broker(scope), cluster.service_class(scope), cluster.plan(scope), cluster.instance(scope))
    assert INSTANCE in watched.put(cluster.removed(cluster.service_class(scope)))
    assert INSTANCE in watched.put(cluster.plan(scope, free=True))
    assert INSTANCE in watched.put(cluster.broker(scope, url="https://moved.example"))
    assert INSTANCE not in watched.put({**cluster.broker(scope, url="https://moved.example"), "status": {"attempts": 1}})


def test_instance_wakes_its_bindings_and_their_end_wakes_it() -> None:
    """Bindings wait for it to be ready, and it, when it is deleted, for them to go."""
    watched = Watched(cluster.instance(), cluster.binding())
    assert BINDING in watched.put(cluster.instance(status=cluster.provisioned()))
    binding = watched.known.get(*BINDING)
    watched.put(cluster.instance(metadata=cluster.DELETED))
    assert INSTANCE in watched.gone(binding)


@SCOPES
def test_end_of_an_instance_wakes_what_it_kept(scope: Scope) -> None:
    """A class and a plan that have left their catalog, and a broker that is being deleted."""
    broker = cluster.broker(scope)
    broker["metadata"] |= cluster.DELETED
    watched = Watched(broker, cluster.service_class(scope), cluster.plan(scope), cluster.instance(scope))
    assert watched.known.is_referred_to(cluster.service_class(scope)) and watched.known.is_referred_to(cluster.plan(scope))
    woken = watched.gone(watched.known.get(*INSTANCE))
    place = "" if scope.is_cluster else "ns"
    assert {Key(scope.service_class, place, "c1"), Key(scope.plan, place, "p1"), Key(scope.broker, place, "b")} <= woken
    assert not watched.known.is_referred_to(cluster.plan(scope))


@SCOPES
def test_secret_wakes_who_reads_or_writes_it(scope: Scope) -> None:
    """A broker's login, parameters of instances and bindings, a binding's own; of the same namespace only."""
    ref = {"name": "login", **({"namespace": "ns"} if scope.is_cluster else {})}
    source = [{"secretKeyRef": {"name": "parameters", "key": "json"}}]
    watched = Watched(
        cluster.broker(scope, authInfo={"bearer": {"secretRef": ref}}),
        cluster.instance(scope, parametersFrom=source),
        cluster.binding(secretTransforms=[{"addKeysFrom": {"secretRef": {"name": "more"}}}]),
    )
    place = "" if scope.is_cluster else "ns"
    assert watched.put(secret("login")) == {Key(scope.broker, place, "b")}
    assert watched.put(secret("parameters")) == {INSTANCE}
    assert watched.put(secret("more")) == watched.put(secret("k")) == {BINDING}
    assert watched.put(secret("login", "other")) == watched.put(secret("k", "other")) == set()
