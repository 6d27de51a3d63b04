"""ServiceInstance: what is done next, before any answer. The places of the reference (§2.3) are in the cases' names or docstrings."""

import base64
import json

import pytest

from apb_controller.rules import instances, names, parameters
from apb_controller.rules.answers import Call
from apb_controller.rules.steps import NOTHING, Deletion
from apb_controller.scopes import CLUSTER, NAMESPACED
from tests.unit.controller import cluster
from tests.unit.controller.cluster import DELETED, condition, heard, http, message, reasons, written

WORDS = {"clusterServiceClassExternalName": "redis", "clusterServicePlanExternalName": "small"}


def fresh(spec=None, **metadata):
    """An instance as `kubectl create` makes it."""
    given = {"name": "i", "namespace": "ns", "uid": "uid-i", "generation": 1, **metadata}
    return {"kind": "ServiceInstance", "metadata": given, "spec": dict(WORDS if spec is None else spec)}


def step(status=None, world=None, metadata=None, **spec):
    return instances.next_step(cluster.instance(status=status, metadata=metadata, **spec), world or cluster.world())


@pytest.mark.parametrize(
    ("status", "metadata", "call"),
    [
        (cluster.polled(), None, Call.LAST_OPERATION),
        (cluster.polled("Deprovision"), DELETED, Call.LAST_OPERATION),
        (cluster.in_flight("Deprovision"), DELETED, Call.DEPROVISION),
        (cluster.in_flight("Deprovision", orphanMitigationInProgress=True), None, Call.DEPROVISION),
        (cluster.in_flight("Update"), None, Call.UPDATE),
        (cluster.in_flight(), None, Call.PROVISION),
    ],
    ids=["poll", "poll of a removal", "delete", "orphan mitigation", "update", "add"],
)
def test_dispatch_is_by_what_the_object_says(status, metadata, call):
    """§2.3 Dispatch, in its order."""
    assert step(status, metadata=metadata).request.call is call


@pytest.mark.parametrize("kind", ["Ready", "Failed"])
def test_processed_instance_is_left_alone(kind):
    """§2.3 "Processed already": for this generation it is Ready or Failed."""
    status = cluster.provisioned(conditions=[{"type": kind, "status": "True", "reason": "r", "message": "m"}])
    assert step(status) == NOTHING
    assert step({**status, "provisionStatus": "NotProvisioned"}) == NOTHING


def test_new_instance_is_adopted_in_one_write():
    """Finalizer, id, references and the labels of both (§1.7); the user's own finalizers stay (§2.9 bug 11)."""
    found = instances.next_step(fresh(finalizers=["mine"]), cluster.world())
    assert found.metadata["finalizers"] == ["mine", names.FINALIZER]
    assert found.spec == {"externalID": "new-id", "clusterServiceClassRef": {"name": "c1"}, "clusterServicePlanRef": {"name": "p1"}}
    assert found.metadata["labels"]["servicecatalog.k8s.io/spec.clusterServiceClassRef.name"] == names.hashed("c1")
    assert found.status is None


def test_instance_without_a_class_is_adopted_all_the_same():
    """Or its id would be another one with every look."""
    found = instances.next_step(fresh(), cluster.world(classes=[]))
    assert found.spec == {"externalID": "new-id"}
    assert found.metadata["finalizers"] == [names.FINALIZER]


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
def test_provision_is_recorded_before_it_is_sent(scope):
    """§2.3 Add 7, and 8 with the body of §2.6; by words of either catalog."""
    thing = cluster.instance(scope, parameters={"memory": 1}, userInfo={"username": "eve"})
    begun = instances.next_step(thing, cluster.world(scope))
    assert begun.request is None and begun.events == ()
    assert condition(begun.status, "Ready") == ("False", "ProvisionRequestInFlight")
    assert message(begun.status) == "Provision request for ServiceInstance in-flight to Broker"
    assert (begun.status["currentOperation"], begun.status["deprovisionStatus"]) == ("Provision", "Required")
    assert begun.status["operationStartTime"] == "2026-03-01T12:00:00Z"
    shown = {"parameters": {"memory": 1}, "parameterChecksum": parameters.checksum({"memory": 1}), "userInfo": {"username": "eve"}}
    assert begun.status["inProgressProperties"] == cluster.properties(scope, **shown)
    assert begun.status["userSpecifiedClassName"] == f"{scope.service_class}/redis"
    assert begun.status["userSpecifiedPlanName"] == "small"
    sent = instances.next_step(written(thing, begun), cluster.world(scope)).request
    assert (sent.method, sent.path, sent.query) == ("PUT", "/v2/service_instances/I", {"accepts_incomplete": "true"})
    assert sent.body == {
        "service_id": "C1",
        "plan_id": "P1",
        "organization_guid": "cluster-1",
        "space_guid": "uid-ns",
        "context": {"platform": "kubernetes", "namespace": "ns", "clusterid": "cluster-1", "instance_name": "i"},
        "parameters": {"memory": 1},
    }
    platform, value = sent.identity.split()
    assert (platform, json.loads(base64.b64decode(value))) == ("kubernetes", {"username": "eve"})


def test_id_of_any_character_stays_one_part_of_the_path():
    """OSB 2.17: ids have no restriction of characters."""
    found = step(cluster.in_flight(), externalID="a/b?c#d")
    assert found.request.path == "/v2/service_instances/a%2Fb%3Fc%23d"


def test_parameters_of_secrets_are_sent_and_not_shown():
    """§2.5."""
    spec = {"parameters": {"a": 1}, "parametersFrom": [{"secretKeyRef": {"name": "s", "key": "k"}}]}
    world = cluster.world(secrets={("s", "k"): '{"password": "canary"}'})
    begun = step(None, world, **spec)
    assert begun.status["inProgressProperties"]["parameters"] == {"a": 1, "password": "<redacted>"}
    assert "canary" not in json.dumps(begun.status)
    sent = instances.next_step(written(cluster.instance(**spec), begun), world).request
    assert sent.body["parameters"] == {"a": 1, "password": "canary"}


FROM = [{"secretKeyRef": {"name": "s", "key": "k"}}]
BLOCKED = {  # world, spec: reason, message
    "4 class": (
        {"classes": []},
        {"clusterServiceClassExternalName": "gone"},
        "ReferencesNonexistentServiceClass",
        'References a non-existent ClusterServiceClass {ClusterServiceClassExternalName:"gone"} or there is more than one (found: 0)',
    ),
    "4 class, ambiguous": (
        {"classes": [cluster.service_class(name="c1"), cluster.service_class(name="c2")]},
        {"clusterServiceClassRef": None},
        "ReferencesNonexistentServiceClass",
        'References a non-existent ClusterServiceClass {ClusterServiceClassExternalName:"redis"} or there is more than one (found: 2)',
    ),
    "4 plan": (
        {"plans": []},
        {},
        "ReferencesNonexistentServicePlan",
        'References a non-existent ClusterServicePlan {ClusterServicePlanExternalName:"small"} on ClusterServiceClass (K8S: "c1" '
        'ExternalName: "redis") or there is more than one (found: 0)',
    ),
    "no plan named, several": (
        {"plans": [cluster.plan(), cluster.plan(name="p2")]},
        {"clusterServicePlanExternalName": "", "clusterServicePlanRef": None},
        "ReferencesNonexistentServicePlan",
        "ClusterServiceClass (K8S: c1 ExternalName: redis) has more than one plan, PlanName must be specified",
    ),
    "no plan named, none": (
        {"plans": []},
        {"clusterServicePlanExternalName": "", "clusterServicePlanRef": None},
        "ReferencesNonexistentServicePlan",
        'no ClusterServicePlans found at all for ClusterServiceClass "redis"',
    ),
    "6 broker": (
        {"broker": None},
        {},
        "ReferencesNonexistentBroker",
        'The instance references a non-existent broker: ClusterServiceBroker "b"',
    ),
    "6 class removed": (
        {"classes": [cluster.removed(cluster.service_class())]},
        {},
        "ReferencesDeletedServiceClass",
        'ClusterServiceClass (K8S: "c1" ExternalName: "redis") has been deleted; cannot provision.',
    ),
    "6 plan removed": (
        {"plans": [cluster.removed(cluster.plan())]},
        {},
        "ReferencesDeletedServicePlan",
        'ClusterServicePlan (K8S: "p1" ExternalName: "small") has been deleted; cannot provision.',
    ),
    "6 parameters": (
        {},
        {"parametersFrom": FROM},
        "ErrorWithParameters",
        'Failed to prepare parameters: parametersFrom: there is no key "k" in secret "s"',
    ),
    "6 namespace": ({"namespace": None}, {}, "ErrorFindingNamespaceForInstance", 'Failed to get namespace "ns"'),
    "6 originating identity": (
        {},
        {"userInfo": {"uid": "7"}},
        "ErrorWithOriginatingIdentity",
        "Error building originating identity headers: userInfo has no username",
    ),
}


@pytest.mark.parametrize(("around", "spec", "reason", "text"), BLOCKED.values(), ids=BLOCKED)
def test_provision_is_blocked_until_something_else_changes(around, spec, reason, text):
    """§2.3 Add 4 and 6: told once, looked at again, and nothing written when nothing has changed."""
    thing = cluster.instance(**spec)
    world = cluster.world(**around)
    found = instances.next_step(thing, world)
    assert condition(found.status, "Ready") == ("False", reason)
    assert message(found.status) == text
    assert reasons(found) == [reason]
    assert "currentOperation" not in found.status
    assert (found.status["provisionStatus"], found.status["deprovisionStatus"]) == ("NotProvisioned", "NotRequired"), "§2.3 Add 1"
    again = instances.next_step(written(thing, found), cluster.later(world, minutes=2))
    assert (again.status, again.events, again.wait_seconds) == (None, (), 60)


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
@pytest.mark.parametrize(
    ("spelling", "of_class", "of_plan"), [("ExternalName", "redis", "small"), ("ExternalID", "C1", "P1"), ("Name", "c1", "p1")]
)
def test_class_and_plan_are_found_by_each_spelling(scope, spelling, of_class, of_plan):
    """§1.5, PlanReference."""
    spec = {f"{scope.class_field}{spelling}": of_class, f"{scope.plan_field}{spelling}": of_plan}
    found = instances.next_step(fresh(spec), cluster.world(scope))
    assert (found.spec[scope.class_ref], found.spec[scope.plan_ref]) == ({"name": "c1"}, {"name": "p1"})


def test_only_plan_of_a_class_is_the_default():
    """§2.7, default plan: in the spelling of the class, and a plan that is removed does not count."""
    plans = [cluster.plan(), cluster.removed(cluster.plan(name="p2"))]
    found = instances.next_step(fresh({"clusterServiceClassExternalID": "C1"}), cluster.world(plans=plans))
    assert found.spec["clusterServicePlanExternalID"] == "P1"


def test_plan_defaults_are_merged_once():
    """§2.3 Add 5: class < plan < instance; recorded, so that what the user takes away afterwards stays away."""
    around = {
        "classes": [cluster.service_class(defaultProvisionParameters={"a": 1, "b": 1, "deep": {"x": 1, "y": 1}})],
        "plans": [cluster.plan(defaultProvisionParameters={"b": 2, "c": 2, "deep": {"y": 2}})],
        "has_plan_defaults": True,
    }
    thing = cluster.instance(parameters={"c": 3})
    adopted = instances.next_step(thing, cluster.world(**around))
    assert adopted.spec == {"parameters": {"a": 1, "b": 2, "c": 3, "deep": {"x": 1, "y": 2}}}
    begun = instances.next_step(written(thing, adopted), cluster.world(**around))
    assert begun.status["defaultProvisionParameters"] == {"a": 1, "b": 2, "c": 2, "deep": {"x": 1, "y": 2}}


def test_pause_is_kept_to_unless_the_spec_changes():
    """§2.3 Add 2; §2.9 bug 12: it is in the status, so a restart does not forget it."""
    status = cluster.in_flight(deprovisionStatus="NotRequired", attempts=3, nextAttemptTime="2026-03-01T12:00:08Z")
    assert step(status).wait_seconds == 8
    changed = step(status, metadata={"generation": 2})
    assert "attempts" not in changed.status and "currentOperation" not in changed.status
    assert step(changed.status, metadata={"generation": 2}).status["currentOperation"] == "Provision"


def test_new_generation_is_a_new_chance():
    """§2.3 Add 3: observedGeneration, and Failed goes."""
    failed = [{"type": "Failed", "status": "True", "reason": "r", "message": "m"}]
    status = {"conditions": failed, "provisionStatus": "NotProvisioned", "deprovisionStatus": "NotRequired", "observedGeneration": 1}
    found = step(status, metadata={"generation": 2})
    assert condition(found.status, "Failed") is None
    assert (found.status["observedGeneration"], found.status["currentOperation"]) == (2, "Provision")


@pytest.mark.parametrize(("metadata", "spec"), [({"generation": 2}, {}), ({}, {"parameters": {"other": 1}})], ids=["spec", "secret"])
def test_change_while_a_provision_may_be_at_the_broker_undoes_it_first(metadata, spec):
    """What was asked for may exist: another request with the same id would be a conflict for ever."""
    found = step(cluster.in_flight(), metadata=metadata, **spec)
    assert condition(found.status, "Ready") == ("False", "StartingInstanceOrphanMitigation")
    assert found.status["orphanMitigationInProgress"] is True


def test_request_of_a_controller_that_died_is_uncertain():
    """After a restart nobody knows whether a recorded request was sent: a refusal of the next one says nothing about it."""
    thing = cluster.instance(status=cluster.in_flight())
    world = cluster.world(leading_since=cluster.NOW)
    marked = instances.next_step(thing, world)
    assert marked.status["outcomeUncertain"] is True
    assert instances.next_step(written(thing, marked), world).request.call is Call.PROVISION


def changed(scope=CLUSTER, world=None, status=None, generation=2, **spec):
    """The request that an update leads to, from a provisioned instance whose spec has changed."""
    thing = cluster.instance(scope, status=status or cluster.provisioned(scope), metadata={"generation": generation}, **spec)
    world = world or cluster.world(scope)
    for _ in range(4):
        found = instances.next_step(thing, world)
        if found.request:
            return thing, found.request
        thing = written(thing, found)
    raise AssertionError(found)


def test_update_is_recorded_before_it_is_sent():
    """§2.3 Update, start."""
    found = step(cluster.provisioned(), metadata={"generation": 2})
    assert found.status["currentOperation"] == "Update"
    assert condition(found.status, "Ready") == ("False", "UpdateInstanceRequestInFlight")


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
def test_update_sends_a_new_plan(scope):
    """§2.3 Update: plan_id only if changed; §2.9 bug 2: of a namespaced class too, and with the plan before (bug 8)."""
    plans = [cluster.plan(scope), cluster.plan(scope, name="p2", externalName="big", externalID="P2")]
    thing, sent = changed(scope, cluster.world(scope, plans=plans), **{f"{scope.plan_field}ExternalName": "big"})
    assert thing["spec"][scope.plan_ref] == {"name": "p2"}
    assert (sent.method, sent.body["plan_id"], sent.body["previous_values"]) == ("PATCH", "P2", {"plan_id": "P1"})
    assert "parameters" not in sent.body


def test_update_sends_parameters_only_when_they_changed():
    """§2.3 Update: {} when they were taken away; nothing but the call when only updateRequests was raised."""
    old = cluster.provisioned(externalProperties=cluster.properties(parameters={"a": 1}, parameterChecksum=parameters.checksum({"a": 1})))
    assert changed(status=old, parameters={"a": 2})[1].body["parameters"] == {"a": 2}
    assert changed(status=old)[1].body["parameters"] == {}
    same = changed(status=old, parameters={"a": 1}, updateRequests=1)[1].body
    assert not {"plan_id", "parameters"} & set(same)


def test_update_sends_everything_when_the_last_end_is_unknown():
    """An update whose answer got lost may have been carried out: that the spec is as before does not mean that the instance is."""
    sent = changed(status=cluster.provisioned(outcomeUncertain=True), parameters={"a": 1})[1].body
    assert (sent["plan_id"], sent["parameters"]) == ("P1", {"a": 1})


def test_update_that_is_replaced_without_an_answer_is_uncertain():
    """The same, for a request that was recorded and superseded."""
    conditions = [{"type": "Ready", "status": "False", "reason": "UpdateInstanceRequestInFlight", "message": "m"}]
    found = step(cluster.in_flight("Update", conditions=conditions), metadata={"generation": 2})
    assert found.status["outcomeUncertain"] is True
    assert "currentOperation" not in found.status


def test_update_of_a_controller_that_died_is_uncertain():
    """It may be at the broker, and be carried out: what comes next tells the broker everything, also when the spec is as it was before."""
    new = cluster.properties(parameters={"a": 2}, parameterChecksum=parameters.checksum({"a": 2}))
    old = cluster.properties(parameters={"a": 1}, parameterChecksum=parameters.checksum({"a": 1}))
    thing = cluster.instance(status=cluster.in_flight("Update", inProgressProperties=new, externalProperties=old), parameters={"a": 2})
    world = cluster.world(leading_since=cluster.NOW)
    marked = instances.next_step(thing, world)
    assert marked.status["outcomeUncertain"] is True
    sent = instances.next_step(written(thing, marked), world).request
    assert (sent.call, sent.body["parameters"], sent.body["plan_id"]) == (Call.UPDATE, {"a": 2}, "P1")
    busy = heard(instances, written(thing, marked), sent, http(422, {"error": "ConcurrencyError"}), world).status
    _, sent = changed(status=busy, parameters={"a": 1})
    assert sent.body["parameters"] == {"a": 1}


def test_removed_plan_can_be_kept_but_not_changed_to():
    """§2.3 Update: "removed class/plan blocks plan change but not parameter change"."""
    world = cluster.world(plans=[cluster.removed(cluster.plan())])
    assert changed(world=world, parameters={"a": 1})[1].body["parameters"] == {"a": 1}
    plans = [cluster.plan(), cluster.removed(cluster.plan(name="p2", externalName="big", externalID="P2"))]
    thing = cluster.instance(
        status=cluster.provisioned(),
        metadata={"generation": 2, "labels": {}},
        clusterServicePlanExternalName="big",
        clusterServicePlanRef={"name": "p2"},
    )
    thing = written(thing, instances.next_step(thing, cluster.world(plans=plans)))
    found = instances.next_step(thing, cluster.world(plans=plans))
    assert condition(found.status, "Ready") == ("False", "ReferencesDeletedServicePlan")


def test_plan_that_the_catalog_renamed_is_still_meant():
    """External names are the broker's to change; what the user wrote meant the plan that it meant."""
    status = cluster.provisioned(userSpecifiedClassName="ClusterServiceClass/redis", userSpecifiedPlanName="small")
    world = cluster.world(plans=[cluster.plan(externalName="tiny")])
    _, sent = changed(status=status, world=world, parameters={"a": 1})
    assert "plan_id" not in sent.body


@pytest.mark.parametrize("state", ["NotRequired", "Succeeded", ""])
def test_deletion_lets_go_what_the_broker_does_not_have(state):
    """§2.3 Delete: the finalizer goes, others' stay."""
    metadata = {**DELETED, "finalizers": ["mine", names.FINALIZER]}
    assert step({"deprovisionStatus": state}, metadata=metadata).metadata == {"finalizers": ["mine"]}


def test_deletion_without_our_finalizer_is_not_ours():
    """Nothing is done once it was let go."""
    assert step(cluster.provisioned(), metadata={**DELETED, "finalizers": ["mine"]}) == NOTHING


def test_deletion_with_an_unknown_state_is_refused():
    """§2.3 Delete: InvalidDeprovisionStatus."""
    found = step(cluster.provisioned(deprovisionStatus="Perhaps"), metadata=DELETED)
    assert condition(found.status, "Ready") == ("Unknown", "InvalidDeprovisionStatus")
    assert condition(found.status, "Failed") == ("True", "InvalidDeprovisionStatus")
    assert step(found.status, metadata=DELETED) == NOTHING


def test_deletion_waits_for_bindings():
    """§2.3 Delete."""
    found = step(cluster.provisioned(), cluster.world(bindings=[cluster.binding()]), DELETED)
    assert condition(found.status, "Ready") == ("False", "DeprovisionBlockedByExistingCredentials")
    assert message(found.status) == "All associated ServiceBindings must be removed before this ServiceInstance can be deleted"


def test_deletion_deletes_bindings_where_that_is_wanted():
    """§2.3 Delete, gate CascadingDeletion: each once."""
    alive, dying = cluster.binding(), cluster.binding(metadata={"name": "k2", **DELETED})
    world = cluster.world(bindings=[alive, dying], deletes_bindings=True)
    found = step(cluster.provisioned(), world, DELETED)
    assert condition(found.status, "Ready") == ("False", "ServiceBindingsDeletion")
    assert message(found.status) == "The instance's service bindings are being deleted"
    assert found.deletions == (Deletion("ServiceBinding", "k", "uid-k"),)


def test_deprovision_is_recorded_before_it_is_sent():
    """§2.3 Delete, start; with the plan that the broker has, not the one that the spec names by now."""
    status = cluster.provisioned(externalProperties=cluster.properties(clusterServicePlanExternalID="OLD"))
    thing = cluster.instance(status=status, metadata=DELETED)
    begun = instances.next_step(thing, cluster.world())
    assert begun.status["currentOperation"] == "Deprovision"
    assert condition(begun.status, "Ready") == ("False", "DeprovisionRequestInFlight")
    sent = instances.next_step(written(thing, begun), cluster.world()).request
    assert (sent.method, sent.path) == ("DELETE", "/v2/service_instances/I")
    assert sent.query == {"service_id": "C1", "plan_id": "OLD", "accepts_incomplete": "true"}


def test_deprovision_follows_a_provision_that_may_have_been_sent():
    """A deletion in the middle of a provision: the broker is asked to remove what it may have."""
    thing = cluster.instance(status=cluster.in_flight(), metadata=DELETED)
    begun = instances.next_step(thing, cluster.world())
    assert instances.next_step(written(thing, begun), cluster.world()).request.call is Call.DEPROVISION


def test_deletion_takes_an_orphan_mitigation_over():
    """§2.3 Delete, start: what was being removed is removed for the deletion from now on."""
    cause = {"type": "OrphanMitigation", "status": "True", "reason": "r", "message": "m"}
    status = cluster.in_flight("Deprovision", orphanMitigationInProgress=True, conditions=[cause])
    begun = step(status, metadata=DELETED)
    assert condition(begun.status, "Ready") == ("False", "DeprovisionRequestInFlight")
    assert condition(begun.status, "OrphanMitigation") is None
    assert begun.status["orphanMitigationInProgress"] is False
    assert step(begun.status, metadata=DELETED).request.call is Call.DEPROVISION


def test_orphan_mitigation_is_sent_at_once():
    """Also where a later attempt to provision would have to wait."""
    status = cluster.in_flight(orphanMitigationInProgress=True, attempts=9)
    begun = step(status)
    assert begun.status["currentOperation"] == "Deprovision"
    assert step(begun.status).request.call is Call.DEPROVISION


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        ({"broker": None}, "ReferencesNonexistentBroker"),
        ({"classes": []}, "ReferencesNonexistentServiceClass"),
        ({"plans": []}, "ReferencesNonexistentServicePlan"),
    ],
)
def test_deprovision_without_a_broker_is_blocked(around, reason):
    """§2.3 Delete; polling in the same way."""
    for status in (cluster.in_flight("Deprovision"), cluster.polled("Deprovision")):
        found = step(status, cluster.world(**around), DELETED)
        assert condition(found.status, "Ready") == ("Unknown", reason)


def test_poll_names_operation_and_the_plan_before():
    """OSB 2.17 last_operation: plan_id is the plan prior to the update."""
    status = cluster.polled("Update", inProgressProperties=cluster.properties(clusterServicePlanExternalID="P2"))
    sent = step(status).request
    assert sent.path == "/v2/service_instances/I/last_operation"
    assert sent.query == {"service_id": "C1", "plan_id": "P1", "operation": "op"}


def test_maintenance_version_is_sent_with_its_plan():
    """OSB 2.17 maintenance_info: only its version."""
    world = cluster.world(NAMESPACED, plans=[cluster.plan(NAMESPACED, maintenanceInfo={"version": "1.2.3", "description": "d"})])
    sent = instances.next_step(cluster.instance(NAMESPACED, status=cluster.in_flight(scope=NAMESPACED)), world).request
    assert sent.body["maintenance_info"] == {"version": "1.2.3"}
