"""What becomes of instances and bindings on a real API server when their broker fails, delays, answers garbage or goes away."""

import time

import pytest

from apb_controller.rules.answers import Call
from apb_controller.scopes import BOTH, Scope
from tests.brokers import scripted
from tests.brokers.scripted import Cut, Fail, Garbage, Hang, Held, Started
from tests.cluster import catalog, offers
from tests.cluster.catalog import Catalog, condition
from tests.cluster.controllers import Controller
from tests.cluster.offers import told
from tests.e2e.machine import wait

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("controller")]
OPTIONS = ("--broker-timeout", "3", "--calls", "2")
INSTANCE, BINDING = "ServiceInstance", "ServiceBinding"
DONE_AND_LOST = {
    "500": (Fail(500, does_it=True), "ProvisionCallFailed"),
    "no answer in time": (Hang(does_it=True), "ErrorCallingProvision"),
    "201 that is no JSON": (Fail(201, "<html>", does_it=True), "ProvisionCallFailed"),
}


@pytest.mark.parametrize("way", DONE_AND_LOST)
def test_instance_that_may_have_been_made_is_removed_and_made_again(space: Catalog, broker: scripted.Broker, way: str) -> None:
    """Orphan mitigation: its cause stays to be read until it is done, and what was left at the broker goes first."""
    behaviour, reason = DONE_AND_LOST[way]
    removal = Held()
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, behaviour)
        broker.script(Call.DEPROVISION, removal)
        offers.instance(space)
        assert removal.arrived.wait(30)
        found = space.get(INSTANCE, "one")
        assert told(found) == ("False", "StartingInstanceOrphanMitigation")
        assert told(found, "OrphanMitigation") == ("True", reason)
        removal.release()
        found = space.wait_ready(INSTANCE, "one")
        assert told(found, "OrphanMitigation") == (None, None)
        assert [entry.call for entry in broker.calls(Call.PROVISION, Call.DEPROVISION)] == [
            Call.PROVISION,
            Call.DEPROVISION,
            Call.PROVISION,
        ]
        began, ended = ("Warning", "StartingInstanceOrphanMitigation"), ("Normal", "ProvisionedSuccessfully")
        space.wait_events("one", ("Warning", reason), began, ended)


@pytest.mark.parametrize("behaviour", [Garbage(does_it=True), Cut(is_reset=True, does_it=True), Fail(503)], ids=["garbage", "reset", "503"])
def test_instance_is_made_once_whatever_becomes_of_answers(space: Catalog, broker: scripted.Broker, behaviour: scripted.Behaviour) -> None:
    """The broker's own ledger says that there was never a second one."""
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, behaviour)
        offers.instance(space, parameters={"size": 3, "nothing": None, "share": 0.5})
        found = space.wait_ready(INSTANCE, "one")
        assert found["status"]["externalProperties"]["parameters"] == {"size": 3, "nothing": None, "share": 0.5}
        assert len(broker.ledger.instances) == 1


def test_instance_that_is_refused_fails_until_its_spec_changes(space: Catalog, broker: scripted.Broker) -> None:
    """400: upstream's two conditions; nothing is asked again, and nothing has to be removed."""
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, Fail(400, {"error": "Bad", "description": "size is too large"}))
        offers.instance(space, parameters={"size": 99})
        found = space.wait_for(INSTANCE, "one", lambda one: told(one, "Failed") == ("True", "ClusterServiceBrokerReturnedFailure"))
        assert "size is too large" in condition(found)["message"]
        assert found["status"]["deprovisionStatus"] == "NotRequired"
        space.patch(INSTANCE, "one", {"parameters": {"size": 1}})
        found = space.wait_ready(INSTANCE, "one")
        assert told(found, "Failed") == (None, None)
        assert len(broker.calls(Call.PROVISION)) == 2 and not broker.calls(Call.DEPROVISION)


@pytest.mark.parametrize("scope", BOTH, ids=["cluster", "namespaced"])
def test_asynchronous_life_of_an_instance_and_a_binding(space: Catalog, broker: scripted.Broker, scope: Scope) -> None:
    """Provision, update, bind, unbind and deprovision, each with 202 and questions; what the broker says of it is shown."""
    words = {f"{scope.class_field}ExternalName": "database"}
    with offers.registered(space, broker, scope, name=space.namespace):
        for call in (Call.PROVISION, Call.UPDATE, Call.BIND, Call.UNBIND, Call.DEPROVISION):
            broker.script(call, Started(polls=2, description=f"half of {call.value}"), times=None)
        offers.instance(space, words=words)
        offers.binding(space)
        space.wait_for(INSTANCE, "one", lambda one: "(half of provision)" in condition(one).get("message", ""))
        space.wait_ready(INSTANCE, "one")
        space.patch(INSTANCE, "one", {"parameters": {"size": 2}})
        space.wait_for(INSTANCE, "one", lambda one: told(one) == ("True", "InstanceUpdatedSuccessfully"))
        found = space.wait_ready(BINDING, "one")
        assert found["status"]["binding"] == {"name": "one"} and "asyncOpInProgress" in found["status"]
        assert space.credentials("one")["more"] == '{"a":[1]}'
        assert broker.calls(Call.GET_BINDING)
        space.remove(BINDING, "one")
        assert space.secret("one") is None
        space.remove(INSTANCE, "one")


def test_asynchronous_failure_is_shown_and_its_rest_removed(space: Catalog, broker: scripted.Broker) -> None:
    """`failed` while polling a provision: Failed, and orphan mitigation."""
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, Started(polls=1, failure="no room"))
        offers.instance(space)
        found = space.wait_for(INSTANCE, "one", lambda one: told(one) == ("False", "OrphanMitigationSuccessful"))
        assert condition(found, "Failed")["message"] == "Provision call failed: no room"
        assert broker.ledger.instances == {}


@pytest.mark.parametrize("seconds", [0, pytest.param(60, marks=pytest.mark.long)])
def test_broker_that_was_away_is_asked_again(
    space: Catalog, broker: scripted.Broker, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it was needed for says so meanwhile, and goes on by itself when it is there again: nothing is lost, nothing done twice."""
    monkeypatch.setattr(catalog, "SECONDS", 60 + 2 * seconds)  # as long as it was away, pauses have become
    with offers.registered(space, broker):
        for name in ("kept", "changed", "going"):
            offers.instance(space, name)
        for name in ("unbound", "kept"):
            offers.binding(space, name, of="kept")
            space.wait_ready(BINDING, name)
        for name in ("changed", "going"):
            space.wait_ready(INSTANCE, name)
        broker.script(Call.PROVISION, Started(polls=3, retry_after=1))
        offers.instance(space, "polled")
        space.wait_reason(INSTANCE, "polled", "Provisioning")
        broker.listener.disappear()
        offers.instance(space, "new")
        offers.binding(space, "new", of="kept")
        space.patch(INSTANCE, "changed", {"parameters": {"size": 2}})
        space.delete(INSTANCE, "going")
        space.delete(BINDING, "unbound")
        space.patch("ServiceBroker", "broker", {"relistRequests": 1})
        for kind, name, reason in AWAY:
            space.wait_reason(kind, name, reason)
        time.sleep(seconds)  # the pauses grow
        broker.listener.come_back()
        for kind, name in ((INSTANCE, "new"), (INSTANCE, "polled"), (BINDING, "new"), ("ServiceBroker", "broker")):
            space.wait_ready(kind, name)
        space.wait_reason(INSTANCE, "changed", "InstanceUpdatedSuccessfully")
        space.wait_gone(INSTANCE, "going")
        space.wait_gone(BINDING, "unbound")
        assert broker.ledger.creations == 5 == len(broker.ledger.instances) + 1
        assert len(broker.ledger.bindings) == 2


AWAY = [  # what is told while the broker is away
    (INSTANCE, "new", "ErrorCallingProvision"),
    (INSTANCE, "polled", "ErrorPollingLastOperation"),
    (INSTANCE, "changed", "ErrorCallingUpdateInstance"),
    (INSTANCE, "going", "DeprovisionCallFailed"),
    (BINDING, "new", "BindCallFailed"),
    (BINDING, "unbound", "UnbindCallFailed"),
    ("ServiceBroker", "broker", "ErrorFetchingCatalog"),
]


def test_binding_is_bound_again_after_a_failure(space: Catalog, broker: scripted.Broker) -> None:
    """500 after the broker has done it: unbound, and bound again."""
    with offers.registered(space, broker):
        offers.instance(space)
        broker.script(Call.BIND, Fail(500, does_it=True))
        offers.binding(space)
        space.wait_ready(BINDING, "one")
        assert [entry.call for entry in broker.calls(Call.BIND, Call.UNBIND)] == [Call.BIND, Call.UNBIND, Call.BIND]
        assert len(broker.ledger.bindings) == 1


def test_binding_waits_for_its_instance_and_both_for_their_broker(space: Catalog, broker: scripted.Broker) -> None:
    """In any order: each is woken by what it waits for, not by a clock."""
    offers.binding(space)
    space.wait_reason(BINDING, "one", "ReferencesNonexistentInstance")
    offers.instance(space)
    space.wait_reason(INSTANCE, "one", "ReferencesNonexistentServiceClass")
    began = time.monotonic()
    with offers.registered(space, broker):
        space.wait_ready(BINDING, "one")
        assert time.monotonic() - began < 30


def test_secret_of_somebody_else_is_neither_overwritten_nor_deleted(space: Catalog, broker: scripted.Broker) -> None:
    """The binding says whose place it would need; when it is free it is used, and what somebody puts there later stays."""
    with offers.registered(space, broker):
        space.put_secret("taken", a="mine")
        offers.instance(space)
        offers.binding(space, secretName="taken")
        found = space.wait_reason(BINDING, "one", "ErrorInjectingBindResult")
        assert f'Secret "{space.namespace}/taken" is not owned by ServiceBinding' in found["message"]
        assert space.credentials("taken") == {"a": "mine"}
        space.core.delete_namespaced_secret("taken", space.namespace)
        space.wait_ready(BINDING, "one")
        assert "password" in space.credentials("taken")
        space.core.delete_namespaced_secret("taken", space.namespace)
        space.put_secret("taken", a="mine again")
        space.remove(BINDING, "one")
        assert space.credentials("taken") == {"a": "mine again"}


def test_parameters_from_a_secret_are_sent_and_not_shown(space: Catalog, broker: scripted.Broker) -> None:
    """A Secret that is not there yet is waited for."""
    with offers.registered(space, broker):
        offers.instance(space, parametersFrom=[{"secretKeyRef": {"name": "login", "key": "json"}}], parameters={"size": 1})
        space.wait_reason(INSTANCE, "one", "ErrorWithParameters")
        space.put_secret("login", json='{"password": "of nobody else"}')
        found = space.wait_ready(INSTANCE, "one")
        assert found["status"]["externalProperties"]["parameters"] == {"size": 1, "password": "<redacted>"}
        (entry,) = broker.calls(Call.PROVISION)
        assert entry.body["parameters"] == {"size": 1, "password": "of nobody else"}


def test_transforms_add_keys_of_another_secret(space: Catalog, broker: scripted.Broker) -> None:
    """addKeysFrom, of the own namespace; renameKey, removeKey, and a path into the credentials."""
    with offers.registered(space, broker):
        offers.instance(space)
        space.put_secret("more", region="here")
        steps = [
            {"addKeysFrom": {"secretRef": {"name": "more"}}},
            {"renameKey": {"from": "username", "to": "user"}},
            {"addKey": {"key": "first", "jsonPathExpression": "{.more.a[0]}"}},
            {"removeKey": {"key": "uri"}},
        ]
        offers.binding(space, secretTransforms=steps)
        space.wait_ready(BINDING, "one")
        found = space.credentials("one")
        assert set(found) == {"region", "user", "first", "password", "port", "more"}
        assert (found["region"], found["first"]) == ("here", "1")


def test_user_who_changes_something_during_a_call_does_not_lose_its_answer(space: Catalog, broker: scripted.Broker) -> None:
    """The object that is written is another one than that of the request: the answer counts for it too."""
    call = Held()
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, call)
        offers.instance(space)
        assert call.arrived.wait(30)
        place = ("servicecatalog.k8s.io", "v1beta1", space.namespace, "serviceinstances", "one")
        space.objects.patch_namespaced_custom_object(
            *place, {"metadata": {"labels": {"mine": "yes"}}}, _content_type="application/merge-patch+json"
        )
        call.release()
        found = space.wait_ready(INSTANCE, "one")
        assert found["metadata"]["labels"]["mine"] == "yes"
        assert len(broker.calls(Call.PROVISION)) == 1


def test_spec_that_changes_during_a_call_is_carried_out_afterwards(space: Catalog, broker: scripted.Broker) -> None:
    """First what was asked for, then the update."""
    call = Held()
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, call)
        offers.instance(space, parameters={"size": 1})
        assert call.arrived.wait(30)
        space.patch(INSTANCE, "one", {"parameters": {"size": 2}})
        call.release()
        space.wait_for(INSTANCE, "one", lambda one: told(one)[0] == "True" and one["status"]["observedGeneration"] >= 3)
        (made,) = broker.ledger.instances.values()
        assert made.parameters == {"size": 2}


def test_slow_broker_makes_only_its_own_instances_wait(space: Catalog, broker: scripted.Broker, controller: Controller) -> None:
    """No more than --calls of it at a time; another broker's instance does not notice."""
    slow, elsewhere = Held(), space.of(f"{space.namespace}-other")
    elsewhere.core.create_namespace({"metadata": {"name": elsewhere.namespace}})
    with scripted.running() as other, offers.registered(space, broker), offers.registered(elsewhere, other):
        broker.script(Call.PROVISION, slow, times=None)
        names = [f"slow-{number}" for number in range(6)]
        for name in names:
            offers.instance(space, name)
        wait(lambda: controller.metric("apb_controller_broker_calls_waiting", broker=f"{space.namespace}/broker") == 4, 30, "a queue")
        offers.instance(elsewhere)
        elsewhere.wait_ready(INSTANCE, "one")
        assert len(broker.calls(Call.PROVISION)) == 2
        slow.release()
        for name in names:
            space.wait_ready(INSTANCE, name)
    elsewhere.core.delete_namespace(elsewhere.namespace)


def test_events_that_repeat_are_counted(space: Catalog, broker: scripted.Broker) -> None:
    """One event with a count, as client-go makes it."""
    with offers.registered(space, broker):
        broker.script(Call.PROVISION, Fail(422, {"description": "later"}), times=3)
        offers.instance(space)
        space.wait_ready(INSTANCE, "one")

        def failures():
            found = space.core.list_namespaced_event(space.namespace, field_selector="involvedObject.name=one").items
            return [each for each in found if each.reason == "ProvisionCallFailed"]

        wait(lambda: sum(each.count for each in failures()) == 3, 10, "three failures")
        (event,) = failures()
        assert (event.type, event.source.component) == ("Warning", "service-catalog-controller-manager")
        assert event.involved_object.kind == INSTANCE and event.first_timestamp < event.last_timestamp


def test_nothing_is_written_when_nothing_has_changed(space: Catalog, broker: scripted.Broker, controller: Controller) -> None:
    """A controller that starts anew looks at everything and writes nothing."""
    with offers.registered(space, broker):
        offers.instance(space)
        offers.binding(space)
        space.wait_ready(BINDING, "one")

        def versions():
            kinds = ("ServiceBroker", "ServiceClass", "ServicePlan", INSTANCE, BINDING)
            return [each["metadata"]["resourceVersion"] for kind in kinds for each in space.list(kind)]

        before = versions()
        controller.stop()
        controller.start()
        wait(lambda: controller.metric("apb_controller_looks_total", kind=BINDING) >= 1, 10, "a look at the binding")
        wait(lambda: controller.metric("apb_controller_queue_length") == 0, 10, "rest")
        assert controller.metric("apb_controller_api_requests_total", verb="PATCH") == 0
        assert versions() == before


def test_probes_and_metrics_answer(controller: Controller) -> None:
    """Also at the path that upstream's manifests ask."""
    assert [controller.health(path) for path in ("/livez", "/readyz", "/healthz/ready", "/metrics")] == [200] * 4
    assert controller.metric("apb_controller_leading") == 1
