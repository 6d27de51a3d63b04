"""A catalog's body becomes objects, and objects become changes: §1.3, §1.4, §1.7 and §2.2 of the reference, in both scopes."""

import pytest

from apb_controller import kinds
from apb_controller.rules import catalog, catalog_changes, names
from apb_controller.scopes import CLUSTER
from tests.unit.controller import cluster

SCHEMA = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"}
PLAN = {
    "id": "P1",
    "name": "small",
    "description": "Small",
    "free": False,
    "bindable": True,
    "metadata": {"bullets": ["a"]},
    "maximum_polling_duration": 600,
    "maintenance_info": {"version": "1.0.0"},
    "plan_updateable": True,
    "schemas": {
        "service_instance": {"create": {"parameters": SCHEMA}, "update": {"parameters": SCHEMA}},
        "service_binding": {"create": {"parameters": SCHEMA}},
    },
}
SERVICE = {
    "id": "C1",
    "name": "redis",
    "description": "Redis",
    "bindable": True,
    "bindings_retrievable": True,
    "plan_updateable": True,
    "tags": ["cache"],
    "requires": [],
    "metadata": {"displayName": "Redis"},
    "plans": [PLAN, {"id": "P2", "name": "big", "description": "Big"}],
}
C1, P1, P2 = (names.escaped(one) for one in ("C1", "P1", "P2"))


def wanted(*services, scope=CLUSTER, **restrictions):
    return catalog.wanted({"services": list(services)}, cluster.broker(scope, catalogRestrictions=restrictions), scope)


def between(want, classes=(), plans=(), scope=CLUSTER):
    named = ({one["metadata"]["name"]: one for one in objects} for objects in (classes, plans))
    return catalog_changes.between(want, *named, cluster.broker(scope), scope)


def there(want):
    return list(want.classes.values()), list(want.plans.values())


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
def test_service_becomes_a_class_and_plans(scope):
    """§1.3, §1.4; both scopes have an owner (§2.9 bug 7), which does not block the broker's deletion."""
    found = wanted(SERVICE, scope=scope)
    made, plan = found.classes[C1], found.plans[P1]
    assert made["spec"] == {
        scope.broker_field: "b",
        "externalName": "redis",
        "externalID": "C1",
        "description": "Redis",
        "bindable": True,
        "bindingRetrievable": True,
        "planUpdatable": True,
        "externalMetadata": {"displayName": "Redis"},
        "tags": ["cache"],
    }
    assert plan["spec"] == {
        scope.broker_field: "b",
        "externalName": "small",
        "externalID": "P1",
        "description": "Small",
        scope.class_ref: {"name": C1},
        "free": False,
        "bindable": True,
        "planUpdatable": True,
        "externalMetadata": {"bullets": ["a"]},
        "maximumPollingDuration": 600,
        "maintenanceInfo": {"version": "1.0.0"},
        "instanceCreateParameterSchema": SCHEMA,
        "instanceUpdateParameterSchema": SCHEMA,
        "serviceBindingCreateParameterSchema": SCHEMA,
    }
    [owner] = plan["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == (scope.broker, True, False)
    assert plan["metadata"].get("namespace") == (None if scope.is_cluster else "ns")
    assert plan["metadata"]["labels"][f"servicecatalog.k8s.io/spec.{scope.class_ref}.name"] == names.hashed(C1)
    assert found.plans[P2]["spec"]["free"] is True


@pytest.mark.parametrize("scope", cluster.SCOPES, ids=["cluster", "namespaced"])
def test_objects_have_only_fields_of_their_kind(scope):
    """What a schema does not know an API server would take away."""
    schemas = {
        one["spec"]["names"]["kind"]: one["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for one in kinds.definitions().values()
    }
    found = wanted(SERVICE, scope=scope)
    for made in (*found.classes.values(), *found.plans.values()):
        assert set(made["spec"]) <= set(schemas[made["kind"]]["properties"]["spec"]["properties"])


@pytest.mark.parametrize(
    ("services", "text"),
    [
        ([{**SERVICE, "id": ""}], "services[0].id must be a text that is not empty"),
        ([{**SERVICE, "name": 7}], "services[0].name must be a text that is not empty"),
        ([SERVICE, {**SERVICE, "plans": [{"id": "P9", "name": "x"}]}], "services[1].plans[0].description must be a text that is not empty"),
        ([{**SERVICE, "plans": None}], "services[0]: plans must be a list of objects"),
        ([SERVICE, {**SERVICE, "plans": [{**PLAN, "id": "P3"}]}], 'services[1]: the catalog has the id "C1" twice'),
        ([{**SERVICE, "plans": [PLAN, PLAN]}], 'services[0]: the catalog has the id "P1" twice'),
        (["x"], "catalog: services must be a list of objects"),
    ],
)
def test_catalog_that_is_none_names_the_place(services, text):
    """Nothing of it is taken: half a catalog would remove the other half."""
    with pytest.raises(catalog.CatalogError) as error:
        wanted(*services)
    assert str(error.value) == text


def test_optional_fields_that_make_no_sense_are_left_out():
    """A broker's odd metadata stops nothing."""
    odd = {
        **SERVICE,
        "metadata": "x",
        "tags": "x",
        "plans": [{**PLAN, "maximum_polling_duration": True, "schemas": [1], "bindable": "yes"}],
    }
    spec = wanted(odd).plans[P1]["spec"]
    assert not {"maximumPollingDuration", "bindable", "instanceCreateParameterSchema"} & set(spec)


@pytest.mark.parametrize(
    ("restrictions", "classes", "plans"),
    [
        ({}, {C1}, {P1, P2}),
        ({"serviceClass": ["spec.externalName=kafka"]}, set(), set()),
        ({"servicePlan": ["spec.free=true"]}, {C1}, {P2}),
        ({"servicePlan": [f"spec.clusterServiceClass.name in ({C1})", "spec.externalName!=big"]}, {C1}, {P1}),
        ({"servicePlan": ["name=other"]}, set(), set()),
    ],
    ids=["none", "class", "plan", "plan by class", "all plans: no class"],
)
def test_restrictions_leave_out(restrictions, classes, plans):
    """§2.2: "A class all of whose plans are filtered out is not created"."""
    found = wanted(SERVICE, **restrictions)
    assert (set(found.classes), set(found.plans)) == (classes, plans)


def test_unchanged_catalog_changes_nothing():
    """No write when nothing changed."""
    want = wanted(SERVICE)
    assert between(want, *there(want)) == catalog_changes.Changes()


def test_changes_are_creations_updates_and_marks():
    """§2.2: create/update, clear removedFromBrokerCatalog; what is not in the payload is marked."""
    classes, plans = there(wanted({**SERVICE, "description": "Old"}))
    classes.append({**cluster.removed(classes[0]), "metadata": {**classes[0]["metadata"], "name": "gone-already"}})
    plans[1] = cluster.removed(plans[1])
    want = wanted({**SERVICE, "plans": [SERVICE["plans"][1], {**PLAN, "id": "P3"}]})
    found = between(want, classes, plans)
    assert [(one.verb, one.name) for one in found.changes] == [
        ("update", C1),
        ("unmark-removed", P2),
        ("create", names.escaped("P3")),
        ("mark-removed", P1),
    ]
    assert found.changes[0].object["spec"]["description"] == "Redis"


def test_operators_default_parameters_and_labels_survive():
    """§1.3: user-set, survives relist."""
    [made], plans = there(wanted(SERVICE))
    made["spec"] |= {"defaultProvisionParameters": {"a": 1}, "description": "Old"}
    made["metadata"] |= {"labels": {"mine": "x"}, "resourceVersion": "7"}
    [change] = between(wanted(SERVICE), [made], plans).changes
    assert change.object["spec"]["defaultProvisionParameters"] == {"a": 1}
    assert change.object["metadata"]["labels"].items() >= {"mine": "x", **wanted(SERVICE).classes[C1]["metadata"]["labels"]}.items()
    assert change.object["metadata"]["resourceVersion"] == "7"


def test_object_that_somebody_made_is_left_alone():
    """§1.7: without an owner it is user-defined."""
    mine = cluster.service_class(name="mine")
    assert between(wanted(), [mine]) == catalog_changes.Changes()


def test_object_from_before_there_were_owners_gets_one():
    """§2.9 bug 7: upstream's namespaced classes have none; the name says that they are the catalog's."""
    classes, plans = there(wanted(SERVICE))
    owners = classes[0]["metadata"].pop("ownerReferences")
    [change] = between(wanted(SERVICE), classes, plans).changes
    assert (change.verb, change.object["metadata"]["ownerReferences"]) == ("update", owners)


def test_other_brokers_objects_are_left_alone():
    """Collision: §1.7; what the other broker has beside is not marked."""
    classes, plans = there(wanted(SERVICE))
    for one in (*classes, *plans):
        one["spec"]["clusterServiceBrokerName"] = "other"
        one["metadata"]["ownerReferences"][0]["uid"] = "uid-other"
    found = between(wanted({**SERVICE, "plans": [{**PLAN, "id": "P3"}]}), classes, plans)
    assert found.collisions == ['ClusterServiceClass (K8S: "z43z1" ExternalName: "redis") already exists for Broker "other"']
    assert [(one.verb, one.name) for one in found.changes] == [("create", names.escaped("P3"))]


def test_removed_plan_goes_once_when_nothing_refers_to_it():
    """§2.2 "Class/plan reconcile": the deletion guard."""
    removed = cluster.removed(cluster.plan(name=P1))
    assert catalog_changes.is_to_go(removed, is_referred_to=False)
    assert not catalog_changes.is_to_go(removed, is_referred_to=True)
    assert not catalog_changes.is_to_go(cluster.plan(name=P2), is_referred_to=False)
    going = {**removed, "metadata": {**removed["metadata"], **cluster.DELETED}}
    assert not catalog_changes.is_to_go(going, is_referred_to=False)
