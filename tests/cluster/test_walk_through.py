"""Upstream's walk-through on a real API server: from a broker's address to a Secret, and back until nothing is left."""

import contextlib
from collections.abc import Iterator

import pytest

from apb_controller.rules import names
from apb_controller.scopes import BOTH, CLUSTER, NAMESPACED, Scope
from tests.brokers import scripted, user_provided
from tests.cluster.catalog import Catalog, condition
from tests.conftest import ROOT
from tests.e2e import own_services
from tests.e2e.machine import Machine, login, servers_in, wait
from tests.integration.collection import postgresql_server

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("controller")]
SERVICE, PLANS = "user-provided-service", ("default", "premium")
SERVICE_ID, PLAN_ID = "4f6e6cf6-ffdd-425f-a2c7-3c9258ad2468", "86064792-7ea2-467b-af93-ac9694d96d52"


@pytest.fixture
def ups() -> Iterator[scripted.Broker]:
    """The user-provided-service broker; at its end nothing is left of anybody, and nothing was done wrong."""
    with contextlib.closing(user_provided.broker(auth=("me", "secret of the test"))) as broker:
        yield broker
        broker.assert_clean()


@contextlib.contextmanager
def registered(space: Catalog, scope: Scope, url: str, username: str, password: str, name: str = "") -> Iterator[str]:
    """A broker with a login, until it is ready; then its removal, until its classes and plans have gone."""
    name = name or space.namespace
    space.put_secret(f"{name}-login", username=username, password=password)
    reference = {"name": f"{name}-login", **({"namespace": space.namespace} if scope.is_cluster else {})}
    space.create(scope.broker, name, {"url": url, "authInfo": {"basic": {"secretRef": reference}}})
    assert space.wait_reason(scope.broker, name, "FetchedCatalog")["status"] == "True"
    yield name
    space.remove(scope.broker, name)
    for kind in (scope.service_class, scope.plan):
        assert [each for each in space.list(kind) if each["spec"][scope.broker_field] == name] == []
    space.core.delete_namespaced_secret(f"{name}-login", space.namespace)


@pytest.mark.parametrize("scope", BOTH, ids=["cluster", "namespaced"])
def test_from_a_broker_to_a_secret_and_back(space: Catalog, ups: scripted.Broker, scope: Scope) -> None:
    """Broker, classes, plans, instance, binding, Secret; unbind, deprovision, deregister: with upstream's reasons all the way."""
    with registered(space, scope, ups.url, *ups.auth) as broker:
        classes = {each["spec"]["externalName"]: each for each in space.list(scope.service_class)}
        assert classes[SERVICE]["metadata"]["name"] == SERVICE_ID
        assert {each["spec"]["externalName"] for each in space.list(scope.plan)} == set(PLANS)
        assert classes[SERVICE]["spec"][scope.broker_field] == broker

        words = {f"{scope.class_field}ExternalName": SERVICE, f"{scope.plan_field}ExternalName": "default"}
        space.create("ServiceInstance", "ups-instance", {**words, "parameters": {"credentials": {"name": "root", "port": 3306}}})
        instance = space.wait_ready("ServiceInstance", "ups-instance")
        assert condition(instance)["reason"] == "ProvisionedSuccessfully"
        assert condition(instance)["message"] == "The instance was provisioned successfully"
        assert instance["spec"][scope.class_ref] == {"name": SERVICE_ID} and instance["spec"][scope.plan_ref] == {"name": PLAN_ID}
        assert instance["status"]["externalProperties"][f"{scope.plan_field}ExternalName"] == "default"
        assert (instance["status"]["lastConditionState"], instance["status"]["provisionStatus"]) == ("Ready", "Provisioned")

        space.create("ServiceBinding", "ups-binding", {"instanceRef": {"name": "ups-instance"}, "secretName": "ups-secret"})
        binding = space.wait_ready("ServiceBinding", "ups-binding")
        assert condition(binding)["reason"] == "InjectedBindResult"
        secret = space.secret("ups-secret")
        assert (secret.type, secret.metadata.owner_references[0].uid) == ("Opaque", binding["metadata"]["uid"])
        assert space.credentials("ups-secret") == {"name": "root", "port": "3306"}

        space.delete("ServiceInstance", "ups-instance")
        space.wait_reason("ServiceInstance", "ups-instance", "DeprovisionBlockedByExistingCredentials")
        space.remove("ServiceBinding", "ups-binding")
        assert space.secret("ups-secret") is None
        space.wait_gone("ServiceInstance", "ups-instance")
        space.wait_events("ups-instance", ("Normal", "ProvisionedSuccessfully"))
        space.wait_events("ups-binding", ("Normal", "InjectedBindResult"), ("Normal", "UnboundSuccessfully"))
    (provision,) = ups.calls(scripted.Call.PROVISION)
    assert provision.body["context"]["namespace"] == space.namespace


@pytest.mark.parametrize("spelling", ["ExternalID", "Name"])
def test_class_and_plan_by_their_other_names(space: Catalog, ups: scripted.Broker, spelling: str) -> None:
    """By the ids of the catalog, and by the Kubernetes names."""
    with registered(space, CLUSTER, ups.url, *ups.auth):
        named = {f"{CLUSTER.class_field}{spelling}": SERVICE_ID, f"{CLUSTER.plan_field}{spelling}": PLAN_ID}
        space.create("ServiceInstance", "ups-instance", named)
        instance = space.wait_ready("ServiceInstance", "ups-instance")
        assert instance["status"]["userSpecifiedClassName"] == f"ClusterServiceClass/{SERVICE_ID}"
        space.create("ServiceBinding", "ups-instance", {"instanceRef": {"name": "ups-instance"}})
        space.wait_ready("ServiceBinding", "ups-instance")
        assert space.credentials("ups-instance") == user_provided.UNTOLD
        space.remove("ServiceBinding", "ups-instance")
        space.remove("ServiceInstance", "ups-instance")


def test_plan_that_nobody_names_is_the_only_one(space: Catalog, ups: scripted.Broker) -> None:
    """It is written into the spec; with two of them upstream's sentence asks for a name, and giving it is enough."""
    with registered(space, CLUSTER, ups.url, *ups.auth):
        space.create("ServiceInstance", "single", {"clusterServiceClassExternalName": f"{SERVICE}-single-plan"})
        assert space.wait_ready("ServiceInstance", "single")["spec"]["clusterServicePlanExternalName"] == "default"
        space.create("ServiceInstance", "several", {"clusterServiceClassExternalName": SERVICE})
        told = space.wait_reason("ServiceInstance", "several", "ReferencesNonexistentServicePlan")
        assert told["message"] == (
            f"ClusterServiceClass (K8S: {SERVICE_ID} ExternalName: {SERVICE}) has more than one plan, PlanName must be specified"
        )
        space.patch("ServiceInstance", "several", {"clusterServicePlanExternalName": "premium"})
        space.wait_ready("ServiceInstance", "several")
        for name in ("single", "several"):
            space.remove("ServiceInstance", name)


def test_plan_and_parameters_change(space: Catalog, ups: scripted.Broker) -> None:
    """By an update of the instance, also with parameters from a Secret, which stay secret."""
    with registered(space, CLUSTER, ups.url, *ups.auth):
        space.put_secret("parameters", json='{"password": "of nobody\'s business"}')
        words = {"clusterServiceClassExternalName": SERVICE, "clusterServicePlanExternalName": "default"}
        space.create("ServiceInstance", "ups-instance", words)
        space.wait_ready("ServiceInstance", "ups-instance")
        source = {"secretKeyRef": {"name": "parameters", "key": "json"}}
        space.patch("ServiceInstance", "ups-instance", {"clusterServicePlanExternalName": "premium", "parametersFrom": [source]})
        instance = space.wait_for(
            "ServiceInstance", "ups-instance", lambda found: condition(found).get("reason") == "InstanceUpdatedSuccessfully"
        )
        assert instance["status"]["externalProperties"]["parameters"] == {"password": "<redacted>"}
        (update,) = ups.calls(scripted.Call.UPDATE)
        assert update.body["parameters"] == {"password": "of nobody's business"}
        assert update.body["previous_values"]["plan_id"] == PLAN_ID
        space.remove("ServiceInstance", "ups-instance")


def test_end_of_a_namespace_is_the_end_of_what_was_in_it(space: Catalog, ups: scripted.Broker) -> None:
    """Instances, bindings and Secrets go, the namespace goes, and the broker has nothing any more. The cluster's broker stays."""
    outside = space.of("default")
    with registered(outside, CLUSTER, ups.url, *ups.auth, name=space.namespace) as broker:
        for name in ("one", "two"):
            words = {"clusterServiceClassExternalName": SERVICE, "clusterServicePlanExternalName": "default"}
            space.create("ServiceInstance", name, words)
            space.create("ServiceBinding", name, {"instanceRef": {"name": name}})
        for name in ("one", "two"):
            space.wait_ready("ServiceBinding", name)
        space.core.delete_namespace(space.namespace)
        wait(lambda: not space.is_namespace_there(), 60, "the end of the namespace")
        ups.assert_clean()
        outside.wait_ready("ClusterServiceBroker", broker)


def test_catalog_changes_and_is_read_again(space: Catalog, ups: scripted.Broker) -> None:
    """At once when it is asked for (svcat sync); a plan that has gone stays while there is an instance of it."""
    with registered(space, CLUSTER, ups.url, *ups.auth) as broker:
        words = {"clusterServiceClassExternalName": SERVICE, "clusterServicePlanExternalName": "premium"}
        space.create("ServiceInstance", "ups-instance", words)
        space.wait_ready("ServiceInstance", "ups-instance")
        gone = ups.ledger.catalog["services"][0]["plans"].pop()
        ups.ledger.catalog["services"][0]["description"] = "Another"
        space.patch("ClusterServiceBroker", broker, {"relistRequests": 1})
        space.wait_for("ClusterServicePlan", gone["id"], lambda found: found.get("status", {}).get("removedFromBrokerCatalog"))
        assert space.get("ClusterServiceClass", SERVICE_ID)["spec"]["description"] == "Another"
        space.remove("ServiceInstance", "ups-instance")
        space.wait_gone("ClusterServicePlan", gone["id"])


def test_redis_of_apb_itself(space: Catalog, up: Machine) -> None:
    """A real server: by its name and default plan, a login from the Secret that works, and that does not when it is unbound."""
    password = (up.state / "admin.password").read_text().strip()
    with registered(space, NAMESPACED, f"http://{up.listen}", "admin", password):
        assert names.escaped("e613f7f5-a211-4a59-b5ac-c67788a997b8") in {each["metadata"]["name"] for each in space.list("ServiceClass")}
        words = {"serviceClassExternalName": "redis", "servicePlanExternalName": "redis-standard"}
        space.create("ServiceInstance", "cache", {**words, "parameters": {"memory": 0.2}})
        space.create("ServiceBinding", "cache", {"instanceRef": {"name": "cache"}})
        instance = space.wait_ready("ServiceInstance", "cache")
        space.wait_ready("ServiceBinding", "cache")
        credentials = space.credentials("cache")
        with login(credentials) as client:
            assert client.set("a", "1")
            assert client.info("memory")["maxmemory"] == round(0.2 * 2**30)
            space.patch("ServiceInstance", "cache", {"parameters": {"memory": 0.5}})
            wait(lambda: client.info("memory")["maxmemory"] == 2**29, 60, "the update")
        assert instance["status"]["connection"]["port"] == int(credentials["port"])
        space.wait_ready("ServiceInstance", "cache")
        directory = up.instances / up.slug(instance["spec"]["externalID"])
        assert servers_in(directory)
        space.delete("ServiceInstance", "cache")
        space.remove("ServiceBinding", "cache")
        space.wait_gone("ServiceInstance", "cache")
        assert servers_in(directory) == [] and not directory.exists()
        assert up.apb("instances") in ([], {"instances": []})


def test_database_of_apb_itself(space: Catalog, up: Machine, postgresql: postgresql_server.Server) -> None:
    """A part of a real PostgreSQL: what one binding's login writes the other's may only read, and nothing of it is left."""
    password = (up.state / "admin.password").read_text().strip()
    role = ROOT / "roles" / "postgresql"
    with registered(space, NAMESPACED, f"http://{up.listen}", "admin", password):
        words = {"serviceClassExternalName": "postgresql", "servicePlanExternalName": "postgresql-tenant"}
        space.create("ServiceInstance", "orders", {**words, "parameters": {"connections": 5}})
        space.create("ServiceBinding", "shop", {"instanceRef": {"name": "orders"}})
        space.create("ServiceBinding", "reports", {"instanceRef": {"name": "orders"}, "parameters": {"access": "read"}})
        shop, reports = (space.wait_ready("ServiceBinding", name) and space.credentials(name) for name in ("shop", "reports"))
        connection = space.wait_ready("ServiceInstance", "orders")["status"]["connection"]
        assert {name: str(value) for name, value in connection.items()}.items() <= shop.items()
        assert own_services.use(role, shop) == (0, "readwrite: wrote and read row 1 of apb_client")
        assert own_services.use(role, reports) == (0, "read: read 1 rows of apb_client, and cannot write")
        space.remove("ServiceBinding", "shop")
        assert [own_services.use(role, each)[0] for each in (shop, reports)] == [own_services.REFUSED, 0]
        space.remove("ServiceBinding", "reports")
        space.remove("ServiceInstance", "orders")
        assert postgresql.sql("SELECT count(*) FROM pg_database WHERE datname = %s", shop["database"]) == [(0,)]
        assert up.apb("instances") in ([], {"instances": []})
