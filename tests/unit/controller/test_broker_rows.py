"""ClusterServiceBroker and ServiceBroker: the rows of the reference's state machine (§2.2), in both scopes."""

import pytest

from apb_controller.rules import brokers, names
from apb_controller.rules.answers import Call
from apb_controller.rules.steps import NOTHING, Deletion
from apb_controller.scopes import CLUSTER
from tests.unit.controller import cluster
from tests.unit.controller.cluster import (
    DELETED,
    LONG_AGO,
    TIMEOUT,
    UNREACHABLE,
    broker_world,
    condition,
    heard_catalog,
    http,
    message,
    reasons,
)

READY = [{"type": "Ready", "status": "True", "reason": "FetchedCatalog", "message": "m"}]
SYNCED = {"conditions": READY, "reconciledGeneration": 1, "observedGeneration": 1, "lastCatalogRetrievalTime": cluster.LATELY}
SERVICE = {"id": "C1", "name": "redis", "description": "d", "plans": [{"id": "P1", "name": "small", "description": "d"}]}
BODY = {"services": [SERVICE]}


def thing(status=None, scope=CLUSTER, metadata=None, **spec):
    made = cluster.broker(scope, **spec)
    made["metadata"] |= metadata or {}
    return {**made, "status": status} if status is not None else made


@pytest.mark.parametrize(
    ("status", "spec", "metadata", "is_due"),
    [
        (None, {}, {}, True),
        ({**SYNCED, "reconciledGeneration": 0}, {}, {}, True),
        ({**SYNCED, "conditions": []}, {}, {}, True),
        ({**SYNCED, "conditions": [{**READY[0], "status": "False"}]}, {}, {}, True),
        (SYNCED, {}, {}, False),
        ({**SYNCED, "lastCatalogRetrievalTime": LONG_AGO}, {}, {}, True),
        ({**SYNCED, "lastCatalogRetrievalTime": LONG_AGO}, {"relistBehavior": "Manual"}, {}, False),
        (SYNCED, {"relistDuration": "30s"}, {}, True),
        (SYNCED, {"relistDuration": "2m"}, {}, False),
    ],
    ids=["new", "generation", "no Ready", "not Ready", "ready", "24 h", "manual", "duration", "not yet"],
)
def test_catalog_is_read_when_it_is_due(status, spec, metadata, is_due):
    """§2.2 shouldReconcile."""
    found = brokers.next_step(thing(status, metadata=metadata, **spec), broker_world())
    assert (found.request is not None and found.request.call is Call.CATALOG) is is_due


def test_relist_comes_when_its_time_has_come():
    """The pause until then; none when it comes by hand."""
    assert brokers.next_step(thing(SYNCED, relistDuration="2m"), broker_world()).wait_seconds == 60
    assert brokers.next_step(thing(SYNCED, relistBehavior="Manual"), broker_world()) == NOTHING


def test_broker_gets_its_finalizer_first():
    """§1.7."""
    found = brokers.next_step(thing(metadata={"finalizers": ["mine"]}), broker_world())
    assert found.metadata == {"finalizers": ["mine", names.FINALIZER]}


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
def test_catalog_becomes_objects_and_ready(scope):
    """§2.2: the changes, then Ready, generation and time of retrieval."""
    failed = {"type": "Failed", "status": "True", "reason": "r", "message": "m"}
    made = thing({"conditions": [failed], "operationStartTime": LONG_AGO, "attempts": 3}, scope)
    sync = heard_catalog(made, http(200, BODY), broker_world(scope))
    assert [(change.verb, change.kind, change.name) for change in sync.changes] == [
        ("create", scope.service_class, names.escaped("C1")),
        ("create", scope.plan, names.escaped("P1")),
    ]
    status = sync.step.status
    assert condition(status, "Ready") == ("True", "FetchedCatalog")
    assert message(status) == "Successfully fetched catalog entries from broker."
    assert condition(status, "Failed") is None
    assert (status["reconciledGeneration"], status["lastCatalogRetrievalTime"]) == (1, "2026-03-01T12:00:00Z")
    assert not {"operationStartTime", "attempts", "nextAttemptTime"} & set(status)
    assert [event.is_warning for event in sync.step.events] == [False]


def test_catalog_that_is_read_twice_within_a_second_is_read_again_when_it_is_due():
    """The second time nothing is written."""
    first = heard_catalog(thing(), http(200, BODY), broker_world()).step
    again = heard_catalog(thing(first.status), http(200, BODY), broker_world()).step
    assert (again.status, again.wait_seconds) == (None, 1)


def test_login_that_cannot_be_read_is_told():
    """§2.2 auth err."""
    found = brokers.next_step(thing(), broker_world(login_error='secret "ns/s" not found'))
    assert reasons(found) == ["ErrorGettingAuthCredentials"]
    assert condition(found.status, "Ready") == ("False", "ErrorFetchingCatalog")
    assert message(found.status) == 'Error fetching catalog.Error getting broker auth credentials for broker b: secret "ns/s" not found'


@pytest.mark.parametrize("answer", [http(500), http(401), http(200, "<html>"), TIMEOUT, UNREACHABLE])
def test_catalog_that_cannot_be_fetched_is_retried(answer):
    """§2.2 GET err."""
    sync = heard_catalog(thing(), answer, broker_world())
    assert condition(sync.step.status, "Ready") == ("False", "ErrorFetchingCatalog")
    assert message(sync.step.status).startswith("Error fetching catalog.")
    assert sync.step.status["operationStartTime"] == "2026-03-01T12:00:00Z"
    assert (reasons(sync.step), sync.changes) == (["ErrorFetchingCatalog"], ())
    assert brokers.next_step(thing(sync.step.status), broker_world()).wait_seconds == 1
    again = heard_catalog(thing(sync.step.status), answer, cluster.later(broker_world(), minutes=1)).step
    assert again.status["operationStartTime"] == "2026-03-01T12:00:00Z", "the time of the first failure"


def test_changed_broker_is_asked_at_once():
    """A pause belongs to the spec that failed."""
    status = heard_catalog(thing(), http(500), broker_world()).step.status
    assert brokers.next_step(thing(status, metadata={"generation": 2}), broker_world()).request is not None


@pytest.mark.parametrize("conditions", [[], [{**READY[0], "status": "False"}]], ids=["no Ready", "with Ready"])
def test_catalog_that_cannot_be_fetched_for_seven_days_is_a_failure(conditions):
    """§2.2, and its bug: upstream writes it only where there was no Ready."""
    status = heard_catalog(thing({"conditions": conditions, "operationStartTime": LONG_AGO}), UNREACHABLE, broker_world()).step.status
    assert condition(status, "Failed") == ("True", "ErrorReconciliationRetryTimeout")


@pytest.mark.parametrize(
    ("body", "spec", "text"),
    [
        ({"services": "x"}, {}, "catalog: services must be a list of objects"),
        (
            {"services": [{**SERVICE, "plans": []}]},
            {},
            'ClusterServiceClass (K8S: "z43z1" ExternalName: "redis") must have at least one plan',
        ),
        (BODY, {"catalogRestrictions": {"serviceClass": ["color=red"]}}, "Invalid property: color"),
    ],
)
def test_catalog_that_makes_no_sense_is_told(body, spec, text):
    """§2.2 convert + catalogRestrictions."""
    step = heard_catalog(thing({"operationStartTime": LONG_AGO}, **spec), http(200, body), broker_world()).step
    assert condition(step.status, "Ready") == ("False", "ErrorSyncingCatalog")
    assert message(step.status) == f"Error syncing catalog from ClusterServiceBroker.{text}"
    assert "operationStartTime" not in step.status


def test_collision_is_told_and_the_rest_is_done():
    """§1.7: ids are unique in a scope; §2.2: conflict if owned by another broker."""
    other = cluster.service_class(name=names.escaped("C1"), clusterServiceBrokerName="other")
    sync = heard_catalog(thing(), http(200, BODY), broker_world(classes={names.escaped("C1"): other}))
    assert message(sync.step.status) == (
        'Error syncing catalog from ClusterServiceBroker.ClusterServiceClass (K8S: "z43z1" ExternalName: "redis") already exists for '
        'Broker "other"'
    )
    assert [change.kind for change in sync.changes] == ["ClusterServicePlan"]


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
def test_deletion_takes_plans_then_classes_then_the_finalizer(scope):
    """§2.2 DELETE, and its texts."""
    made = thing(SYNCED, scope, DELETED)
    full = broker_world(scope, classes={"c1": cluster.service_class(scope)}, plans={"p1": cluster.plan(scope)})
    assert brokers.next_step(made, full).deletions == (Deletion(scope.plan, "p1"), Deletion(scope.service_class, "c1"))
    found = brokers.next_step(made, broker_world(scope))
    reason, text = (
        ("DeletedClusterServiceBrokerSuccessfully", "The broker b was deleted successfully.")
        if scope.is_cluster
        else ("DeletedSuccessfully", "The servicebroker b was deleted successfully.")
    )
    assert (condition(found.status, "Ready"), message(found.status)) == (("False", reason), text)
    assert found.metadata == {"finalizers": []}


def test_deletion_leaves_what_is_another_brokers():
    """By the broker's name in the spec."""
    world = broker_world(classes={"c1": cluster.service_class(clusterServiceBrokerName="other")})
    assert brokers.next_step(thing(SYNCED, metadata=DELETED), world).deletions == ()


def test_deletion_waits_for_instances():
    """§2.2 and §2.9 bug 13: upstream lets a broker go whose instances can never be deleted afterwards."""
    found = brokers.next_step(thing(SYNCED, metadata=DELETED), broker_world(instances=[f"ns/i{number}" for number in range(7)]))
    assert condition(found.status, "Ready") == ("False", "DeletionBlockedByExistingInstances")
    assert message(found.status).endswith("before it can be deleted: ns/i0, ns/i1, ns/i2, ns/i3, ns/i4 and 2 more")
    assert found.deletions == ()


def test_deletion_needs_no_login():
    """Upstream's #2466: a broker cannot be deleted when its Secret went first."""
    assert brokers.next_step(thing(SYNCED, metadata=DELETED), broker_world(login_error="gone")).metadata == {"finalizers": []}


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
def test_trouble_of_the_cluster_is_told(scope):
    """§2.2: ErrorDeleting…, and a change of a class or plan that is refused."""
    made, world = thing(SYNCED, scope), broker_world(scope)
    for kind in (scope.service_class, scope.plan):
        found = brokers.not_deleted(made, kind, "x", "no", world)
        assert condition(found.status, "Ready") == ("Unknown", f"ErrorDeleting{kind}")
        assert reasons(found) == [f"ErrorDeleting{kind}"]
    found = brokers.not_synced(made, "no", world)
    assert condition(found.status, "Ready") == ("False", "ErrorSyncingCatalog")
    assert message(found.status) == f"Error syncing catalog from {scope.broker}.no"
    assert reasons(found) == ["ErrorSyncingCatalog"]
