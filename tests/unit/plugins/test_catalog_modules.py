"""What the modules of the Kubernetes catalog make of options and of what a status says. With an API server: tests/cluster."""

import base64
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible_collections.apb.catalog.plugins.inventory import instances
from ansible_collections.apb.catalog.plugins.lookup import credentials
from ansible_collections.apb.catalog.plugins.module_utils import catalog_brokers, catalog_conditions, catalog_objects
from ansible_collections.apb.catalog.plugins.modules import service_binding, service_instance

REMOVE = catalog_objects.REMOVE


def found(*conditions, kind="ServiceInstance", spec=None, labels=None, **status):
    """An object of the second generation."""
    told = [dict(zip(("type", "status", "reason", "message"), condition, strict=True)) for condition in conditions]
    metadata = {"name": "cache", "namespace": "shop", "generation": 2, "labels": labels or {}}
    return {"kind": kind, "metadata": metadata, "spec": spec or {}, "status": {"conditions": told, **status}}


READY = ("Ready", "True", "ProvisionedSuccessfully", "The instance was provisioned successfully")
WORKING = ("Ready", "False", "Provisioning", "The instance is being made")
REFUSED = ("Ready", "False", "ProvisionCallFailed", "Error provisioning: no room")
FAILED = ("Failed", "True", "ClusterServiceBrokerReturnedFailure", "Error provisioning: no room")
INSTANCE = {
    "scope": "cluster",
    "by": "external_name",
    "class": None,
    "plan": None,
    "parameters": None,
    "parameters_from": None,
    "external_id": None,
    "update_requests": None,
}


@pytest.mark.parametrize(
    ("condition", "status", "is_ready"),
    [
        (READY, {"observedGeneration": 2}, True),
        (READY, {"observedGeneration": 1, "reconciledGeneration": 1}, False),
        (READY, {"reconciledGeneration": 2}, True),
        (READY, {}, True),
        (WORKING, {"observedGeneration": 2}, False),
    ],
)
def test_ready_is_what_the_status_says_of_this_spec(condition, status, is_ready):
    """Right after a change the status still speaks of the spec before. Some kinds do not say of which they speak."""
    assert catalog_conditions.is_ready(found(condition, **status)) is is_ready


def test_failure_counts_only_for_this_spec():
    """A change of the spec begins anew."""
    assert catalog_conditions.has_failed(found(REFUSED, FAILED, observedGeneration=2))
    assert not catalog_conditions.has_failed(found(REFUSED, FAILED, observedGeneration=1))
    assert not catalog_conditions.has_failed(found(REFUSED, observedGeneration=2))


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ([WORKING], "Provisioning: The instance is being made"),
        ([REFUSED, FAILED], "ClusterServiceBrokerReturnedFailure: Error provisioning: no room"),
        (
            [WORKING, FAILED],
            "ClusterServiceBrokerReturnedFailure: Error provisioning: no room; Provisioning: The instance is being made",
        ),
        ([], catalog_conditions.NOBODY),
    ],
)
def test_reason_is_told_as_the_controller_gives_it(conditions, told):
    """Once, and where there is none, that nobody seems to be at work."""
    assert catalog_conditions.why(found(*conditions)) == told
    assert catalog_conditions.called(found()) == "ServiceInstance shop/cache"


@pytest.mark.parametrize(
    ("by", "spelling"), [("external_name", "ExternalName"), ("external_id", "ExternalID"), ("kubernetes_name", "Name")]
)
def test_class_and_plan_are_spelled_as_they_are_meant(by, spelling):
    """The other spellings go: the API server takes one only, and the same for both."""
    fields = service_instance.fields({**INSTANCE, "class": "redis", "plan": "small", "by": by})
    given = {name: value for name, value in fields.items() if value not in (None, REMOVE)}
    assert given == {f"clusterServiceClass{spelling}": "redis", f"clusterServicePlan{spelling}": "small"}
    assert sum(value is REMOVE for value in fields.values()) == 4
    namespaced = service_instance.fields({**INSTANCE, "class": "redis", "by": by, "scope": "namespace"})
    assert [name for name, value in namespaced.items() if value == "redis"] == [f"serviceClass{spelling}"]


def test_what_is_not_given_stays_and_what_is_empty_goes():
    """As parameters: all of them are meant when they are given."""
    spec = {"parameters": {"a": 1, "b": 2}, "parametersFrom": [1], "externalID": "x", "updateRequests": 3}
    kept = catalog_objects.with_fields(spec, service_instance.fields(INSTANCE))
    assert kept == spec
    emptied = service_instance.fields({**INSTANCE, "parameters": {}, "parameters_from": [], "update_requests": 4})
    assert catalog_objects.with_fields(spec, emptied) == {"externalID": "x", "updateRequests": 4}
    given = service_instance.fields({**INSTANCE, "parameters": {"a": None}, "parameters_from": [{"secret": "s", "key": "k"}]})
    changed = catalog_objects.with_fields(spec, given)
    assert (changed["parameters"], changed["parametersFrom"]) == ({"a": None}, [{"secretKeyRef": {"name": "s", "key": "k"}}])


def test_transforms_are_written_as_the_kind_has_them():
    """One of each."""
    nothing = dict.fromkeys(service_binding.STEPS)
    steps = [
        {**nothing, "rename_key": {"from": "a", "to": "b"}},
        {**nothing, "add_key": {"key": "c", "value": None, "string_value": "", "json_path_expression": None}},
        {**nothing, "add_keys_from": "other"},
        {**nothing, "remove_key": "d"},
    ]
    assert service_binding.transforms(steps) == [
        {"renameKey": {"from": "a", "to": "b"}},
        {"addKey": {"key": "c", "stringValue": ""}},
        {"addKeysFrom": {"secretRef": {"name": "other"}}},
        {"removeKey": {"key": "d"}},
    ]
    assert service_binding.transforms(None) is None
    assert service_binding.transforms([]) is REMOVE


def test_object_is_shown_without_what_transforms_add():
    """It becomes a part of a Secret. The object itself is left as it is."""
    annotations = {catalog_objects.LAST_APPLIED: "canary", "kept": "yes"}
    spec = {"secretTransforms": [{"addKey": {"key": "k", "stringValue": "canary"}}, {"removeKey": {"key": "x"}}]}
    binding = {"metadata": {"name": "b", "managedFields": [1], "annotations": annotations}, "spec": spec}
    shown = catalog_objects.shown(binding)
    assert "canary" not in str(shown)
    assert shown["metadata"] == {"name": "b", "annotations": {"kept": "yes"}}
    assert spec["secretTransforms"][0]["addKey"]["stringValue"] == "canary"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:canary@apb:8780/x", "https://me:<not shown>@apb:8780/x"),
        ("https://me@apb", "https://me@apb"),
        ("https://apb", "https://apb"),
        ("https://[apb", "https://[apb"),
        (None, None),
    ],
)
def test_object_is_shown_without_the_password_in_its_address(url, told):
    """Controllers take one from there."""
    broker = {"metadata": {"name": "b"}, "spec": {"url": url}}
    assert catalog_objects.shown(broker)["spec"]["url"] == told
    assert broker["spec"]["url"] == url


def test_login_of_a_broker_is_a_reference():
    """Of the kind of login; an empty name takes it away."""
    params = dict.fromkeys(catalog_brokers.SPEC) | {"auth_type": "bearer", "auth_secret": "s", "auth_secret_namespace": "n"}
    assert catalog_brokers.fields(params)["authInfo"] == {"bearer": {"secretRef": {"name": "s", "namespace": "n"}}}
    assert catalog_brokers.fields({**params, "auth_secret": ""})["authInfo"] is REMOVE
    assert catalog_brokers.fields({**params, "auth_secret": None})["authInfo"] is None


def test_bundle_and_restrictions_of_a_broker():
    """PEM as base64, and restrictions one field for both."""
    params = dict.fromkeys(catalog_brokers.SPEC) | {"ca_bundle": "PEM", "plan_restrictions": ["spec.free=true"]}
    fields = catalog_brokers.fields(params)
    assert base64.b64decode(fields["caBundle"]) == b"PEM"
    assert fields["catalogRestrictions"] == {"servicePlan": ["spec.free=true"]}
    cleared = catalog_brokers.fields({**params, "ca_bundle": "", "plan_restrictions": []})
    assert cleared["caBundle"] is cleared["catalogRestrictions"] is REMOVE


def test_secret_of_a_binding_that_is_not_ready_is_not_read():
    """What is left of an earlier one may be in it."""
    ready = found(READY, kind="ServiceBinding", spec={"secretName": "s"})
    assert credentials.secret_of(ready, "x") == "s"
    assert credentials.secret_of(found(READY), "x") == "cache"
    with pytest.raises(AnsibleLookupError, match=r"^ServiceBinding shop/b is not ready: Provisioning: The instance is being made"):
        credentials.secret_of(found(WORKING), "ServiceBinding shop/b")
    with pytest.raises(AnsibleLookupError, match="there is no ServiceBinding shop/b: make it first"):
        credentials.secret_of(None, "ServiceBinding shop/b")


@pytest.mark.parametrize(("value", "expected"), [(b"31000", "31000"), ("ü".encode(), "ü"), (b"\xff\x00", "/wA=")])
def test_values_of_a_secret_are_texts(value, expected):
    """What is none stays as it is in the Secret."""
    assert credentials.text(base64.b64encode(value).decode()) == expected


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"clusterServiceClassExternalName": "redis", "clusterServicePlanExternalName": "small"}, {}, ("redis", "small")),
        ({"serviceClassExternalName": "redis"}, {}, ("redis", None)),
        ({"clusterServiceClassName": "u-1", "clusterServicePlanName": "u-2"}, {}, ("u-1", "u-2")),
        (
            {"clusterServiceClassName": "u-7", "clusterServiceClassRef": {"name": "u-7"}, "clusterServicePlanName": "u-2"},
            {"externalProperties": {"clusterServicePlanExternalName": "small"}},
            ("known", "small"),
        ),
        ({"serviceClassExternalID": "x", "serviceClassRef": {"name": "u-8"}}, {}, ("own", None)),
    ],
)
def test_host_knows_its_class_and_plan_by_their_names_in_the_catalog(spec, status, expected):
    """However the instance names them, as far as it can be known."""
    names = {("ClusterServiceClass", None, "u-7"): "known", ("ServiceClass", "shop", "u-8"): "own", ("ServiceClass", "other", "u-8"): "no"}
    told = instances.variables_of(found(READY, spec=spec, **status), names)["apb_instance"]
    assert (told["class"], told["plan"]) == expected


def test_host_is_on_the_controller_and_tells_where_the_instance_is():
    """Its name is that of a service in the cluster: nobody shall try to log in there."""
    told = instances.variables_of(found(WORKING, labels={"team": "a"}, connection={"port": 1}, lastConditionState="Provisioning"), {})
    assert (told["ansible_connection"], told["apb_connection"]) == ("local", {"port": 1})
    assert (told["apb_instance"]["ready"], told["apb_instance"]["state"], told["apb_instance"]["labels"]) == (
        False,
        "Provisioning",
        {"team": "a"},
    )


@pytest.mark.parametrize(("group", "shared"), [("k8s", "catalog_objects"), ("osb", "osb")])
def test_defaults_of_a_group_count_for_all_its_modules(group, shared):
    """Those that are at a cluster, and those that are at a broker."""
    root = Path(__file__).parents[3]
    modules = {path.stem for path in (root / "plugins/modules").glob("*.py") if shared in path.read_text().rpartition(" import ")[2]}
    listed = yaml.safe_load((root / "meta/runtime.yml").read_text())["action_groups"][group]
    assert {each for each in listed if isinstance(each, str)} == modules
