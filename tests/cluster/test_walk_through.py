"""Upstream's walk-through on a real API server: from a broker's address to a Secret, and back until nothing is left."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apb_controller.rules import names
from apb_controller.scopes import BOTH, CLUSTER, NAMESPACED, Scope
from tests.brokers import scripted, user_provided
from tests.cluster.catalog import GONE, Catalog, allowed, condition
from tests.e2e.machine import Machine, login, machine, servers_in, wait

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("controller")]
SERVICE, PLANS = "user-provided-service", ("default", "premium")
SERVICE_ID, PLAN_ID = "4f6e6cf6-ffdd-425f-a2c7-3c9258ad2468", "86064792-7ea2-467b-af93-ac9694d96d52"


@pytest.fixture
def catalog(kubeconfig: Path) -> Iterator[Catalog]:
    """Seen from a namespace of the test's own, which ends with it."""
    made = Catalog(kubeconfig, f"walk-{time.time_ns()}")
    made.core.create_namespace({"metadata": {"name": made.namespace}})
    yield made
    with allowed(GONE):
        made.core.delete_namespace(made.namespace)


@pytest.fixture
def ups() -> Iterator[scripted.Broker]:
    """The user-provided-service broker; at its end nothing is left of anybody, and nothing was done wrong."""
    with contextlib.closing(user_provided.broker(auth=("me", "secret of the test"))) as broker:
        yield broker
        broker.assert_clean()


@contextlib.contextmanager
def registered(catalog: Catalog, scope: Scope, url: str, username: str, password: str, name: str = "") -> Iterator[str]:
    """A broker with a login, until it is ready; then its removal, until its classes and plans have gone."""
    name = name or catalog.namespace
    catalog.put_secret(f"{name}-login", username=username, password=password)
    reference = {"name": f"{name}-login", **({"namespace": catalog.namespace} if scope.is_cluster else {})}
    catalog.create(scope.broker, name, {"url": url, "authInfo": {"basic": {"secretRef": reference}}})
    assert catalog.wait_reason(scope.broker, name, "FetchedCatalog")["status"] == "True"
    yield name
    catalog.remove(scope.broker, name)
    for kind in (scope.service_class, scope.plan):
        assert [each for each in catalog.list(kind) if each["spec"][scope.broker_field] == name] == []
    catalog.core.delete_namespaced_secret(f"{name}-login", catalog.namespace)


@pytest.mark.parametrize("scope", BOTH, ids=["cluster", "namespaced"])
def test_from_a_broker_to_a_secret_and_back(catalog: Catalog, ups: scripted.Broker, scope: Scope) -> None:
    """Broker, classes, plans, instance, binding, Secret; unbind, deprovision, deregister: with upstream's reasons all the way."""
    with registered(catalog, scope, ups.url, *ups.auth) as broker:
        classes = {each["spec"]["externalName"]: each for each in catalog.list(scope.service_class)}
        assert classes[SERVICE]["metadata"]["name"] == SERVICE_ID
        assert {each["spec"]["externalName"] for each in catalog.list(scope.plan)} == set(PLANS)
        assert classes[SERVICE]["spec"][scope.broker_field] == broker

        words = {f"{scope.class_field}ExternalName": SERVICE, f"{scope.plan_field}ExternalName": "default"}
        catalog.create("ServiceInstance", "ups-instance", {**words, "parameters": {"credentials": {"name": "root", "port": 3306}}})
        instance = catalog.wait_ready("ServiceInstance", "ups-instance")
        assert condition(instance)["reason"] == "ProvisionedSuccessfully"
        assert condition(instance)["message"] == "The instance was provisioned successfully"
        assert instance["spec"][scope.class_ref] == {"name": SERVICE_ID} and instance["spec"][scope.plan_ref] == {"name": PLAN_ID}
        assert instance["status"]["externalProperties"][f"{scope.plan_field}ExternalName"] == "default"
        assert (instance["status"]["lastConditionState"], instance["status"]["provisionStatus"]) == ("Ready", "Provisioned")

        catalog.create("ServiceBinding", "ups-binding", {"instanceRef": {"name": "ups-instance"}, "secretName": "ups-secret"})
        binding = catalog.wait_ready("ServiceBinding", "ups-binding")
        assert condition(binding)["reason"] == "InjectedBindResult"
        secret = catalog.secret("ups-secret")
        assert (secret.type, secret.metadata.owner_references[0].uid) == ("Opaque", binding["metadata"]["uid"])
        assert catalog.credentials("ups-secret") == {"name": "root", "port": "3306"}

        catalog.delete("ServiceInstance", "ups-instance")
        catalog.wait_reason("ServiceInstance", "ups-instance", "DeprovisionBlockedByExistingCredentials")
        catalog.remove("ServiceBinding", "ups-binding")
        assert catalog.secret("ups-secret") is None
        catalog.wait_gone("ServiceInstance", "ups-instance")
        assert ("Normal", "ProvisionedSuccessfully") in catalog.events("ups-instance")
        assert {("Normal", "InjectedBindResult"), ("Normal", "UnboundSuccessfully")} <= catalog.events("ups-binding")
    (provision,) = ups.calls(scripted.Call.PROVISION)
    assert provision.body["context"]["namespace"] == catalog.namespace


@pytest.mark.parametrize("spelling", ["ExternalID", "Name"])
def test_class_and_plan_by_their_other_names(catalog: Catalog, ups: scripted.Broker, spelling: str) -> None:
    """By the ids of the catalog, and by the Kubernetes names."""
    with registered(catalog, CLUSTER, ups.url, *ups.auth):
        named = {f"{CLUSTER.class_field}{spelling}": SERVICE_ID, f"{CLUSTER.plan_field}{spelling}": PLAN_ID}
        catalog.create("ServiceInstance", "ups-instance", named)
        instance = catalog.wait_ready("ServiceInstance", "ups-instance")
        assert instance["status"]["userSpecifiedClassName"] == f"ClusterServiceClass/{SERVICE_ID}"
        catalog.create("ServiceBinding", "ups-instance", {"instanceRef": {"name": "ups-instance"}})
        catalog.wait_ready("ServiceBinding", "ups-instance")
        assert catalog.credentials("ups-instance") == user_provided.UNTOLD
        catalog.remove("ServiceBinding", "ups-instance")
        catalog.remove("ServiceInstance", "ups-instance")


def test_plan_that_nobody_names_is_the_only_one(catalog: Catalog, ups: scripted.Broker) -> None:
    """It is written into the spec; with two of them upstream's sentence asks for a name, and giving it is enough."""
    with registered(catalog, CLUSTER, ups.url, *ups.auth):
        catalog.create("ServiceInstance", "single", {"clusterServiceClassExternalName": f"{SERVICE}-single-plan"})
        assert catalog.wait_ready("ServiceInstance", "single")["spec"]["clusterServicePlanExternalName"] == "default"
        catalog.create("ServiceInstance", "several", {"clusterServiceClassExternalName": SERVICE})
        told = catalog.wait_reason("ServiceInstance", "several", "ReferencesNonexistentServicePlan")
        assert told["message"] == (
            f"ClusterServiceClass (K8S: {SERVICE_ID} ExternalName: {SERVICE}) has more than one plan, PlanName must be specified"
        )
        catalog.patch("ServiceInstance", "several", {"clusterServicePlanExternalName": "premium"})
        catalog.wait_ready("ServiceInstance", "several")
        for name in ("single", "several"):
            catalog.remove("ServiceInstance", name)


def test_plan_and_parameters_change(catalog: Catalog, ups: scripted.Broker) -> None:
    """By an update of the instance, also with parameters from a Secret, which stay secret."""
    with registered(catalog, CLUSTER, ups.url, *ups.auth):
        catalog.put_secret("parameters", json='{"password": "of nobody\'s business"}')
        words = {"clusterServiceClassExternalName": SERVICE, "clusterServicePlanExternalName": "default"}
        catalog.create("ServiceInstance", "ups-instance", words)
        catalog.wait_ready("ServiceInstance", "ups-instance")
        source = {"secretKeyRef": {"name": "parameters", "key": "json"}}
        catalog.patch("ServiceInstance", "ups-instance", {"clusterServicePlanExternalName": "premium", "parametersFrom": [source]})
        instance = catalog.wait_for(
            "ServiceInstance", "ups-instance", lambda found: condition(found).get("reason") == "InstanceUpdatedSuccessfully"
        )
        assert instance["status"]["externalProperties"]["parameters"] == {"password": "<redacted>"}
        (update,) = ups.calls(scripted.Call.UPDATE)
        assert update.body["parameters"] == {"password": "of nobody's business"}
        assert update.body["previous_values"]["plan_id"] == PLAN_ID
        catalog.remove("ServiceInstance", "ups-instance")


def test_end_of_a_namespace_is_the_end_of_what_was_in_it(catalog: Catalog, ups: scripted.Broker) -> None:
    """Instances, bindings and Secrets go, the namespace goes, and the broker has nothing any more. The cluster's broker stays."""
    outside = catalog.of("default")
    with registered(outside, CLUSTER, ups.url, *ups.auth, name=catalog.namespace) as broker:
        for name in ("one", "two"):
            words = {"clusterServiceClassExternalName": SERVICE, "clusterServicePlanExternalName": "default"}
            catalog.create("ServiceInstance", name, words)
            catalog.create("ServiceBinding", name, {"instanceRef": {"name": name}})
        for name in ("one", "two"):
            catalog.wait_ready("ServiceBinding", name)
        catalog.core.delete_namespace(catalog.namespace)
        wait(lambda: not catalog.is_namespace_there(), 60, "the end of the namespace")
        ups.assert_clean()
        outside.wait_ready("ClusterServiceBroker", broker)


def test_catalog_changes_and_is_read_again(catalog: Catalog, ups: scripted.Broker) -> None:
    """At once when it is asked for (svcat sync); a plan that has gone stays while there is an instance of it."""
    with registered(catalog, CLUSTER, ups.url, *ups.auth) as broker:
        words = {"clusterServiceClassExternalName": SERVICE, "clusterServicePlanExternalName": "premium"}
        catalog.create("ServiceInstance", "ups-instance", words)
        catalog.wait_ready("ServiceInstance", "ups-instance")
        gone = ups.ledger.catalog["services"][0]["plans"].pop()
        ups.ledger.catalog["services"][0]["description"] = "Another"
        catalog.patch("ClusterServiceBroker", broker, {"relistRequests": 1})
        catalog.wait_for("ClusterServicePlan", gone["id"], lambda found: found.get("status", {}).get("removedFromBrokerCatalog"))
        assert catalog.get("ClusterServiceClass", SERVICE_ID)["spec"]["description"] == "Another"
        catalog.remove("ServiceInstance", "ups-instance")
        catalog.wait_gone("ClusterServicePlan", gone["id"])


@pytest.fixture(scope="module")
def up() -> Iterator[Machine]:
    """`apb up` with its own services."""
    with machine() as made:
        made.start()
        yield made
        made.stop()


def test_redis_of_apb_itself(catalog: Catalog, up: Machine) -> None:
    """A real server: by its name and default plan, a login from the Secret that works, and that does not when it is unbound."""
    password = (up.state / "admin.password").read_text().strip()
    with registered(catalog, NAMESPACED, f"http://{up.listen}", "admin", password):
        assert names.escaped("e613f7f5-a211-4a59-b5ac-c67788a997b8") in {each["metadata"]["name"] for each in catalog.list("ServiceClass")}
        words = {"serviceClassExternalName": "redis", "servicePlanExternalName": "redis-standard"}
        catalog.create("ServiceInstance", "cache", {**words, "parameters": {"memory": 0.2}})
        catalog.create("ServiceBinding", "cache", {"instanceRef": {"name": "cache"}})
        instance = catalog.wait_ready("ServiceInstance", "cache")
        catalog.wait_ready("ServiceBinding", "cache")
        credentials = catalog.credentials("cache")
        with login(credentials) as client:
            assert client.set("a", "1")
            assert client.info("memory")["maxmemory"] == round(0.2 * 2**30)
            catalog.patch("ServiceInstance", "cache", {"parameters": {"memory": 0.5}})
            wait(lambda: client.info("memory")["maxmemory"] == 2**29, 60, "the update")
        assert instance["status"]["connection"]["port"] == int(credentials["port"])
        catalog.wait_ready("ServiceInstance", "cache")
        directory = up.instances / up.slug(instance["spec"]["externalID"])
        assert servers_in(directory)
        catalog.delete("ServiceInstance", "cache")
        catalog.remove("ServiceBinding", "cache")
        catalog.wait_gone("ServiceInstance", "cache")
        assert servers_in(directory) == [] and not directory.exists()
        assert up.apb("instances") in ([], {"instances": []})
