"""The modules of the Kubernetes catalog, the lookup and the inventory against a real API server. A hand plays the controller."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.apb.catalog.plugins.module_utils import catalog_objects

from tests import plays, ports
from tests.cluster import control_plane
from tests.cluster.catalog import PLURALS
from tests.cluster.hand import Hand
from tests.plays import Object, Player, meanwhile, until

pytestmark = pytest.mark.cluster
READY = ("Ready", "True", "ProvisionedSuccessfully", "The instance was provisioned successfully")
WORKING = ("Ready", "False", "Provisioning", "The instance is being provisioned asynchronously (Copy data)")
FAILED = ("Failed", "True", "ClusterServiceBrokerReturnedFailure", "Error provisioning: no room on any host")
FETCHED = ("Ready", "True", "FetchedCatalog", "Successfully fetched catalog entries from broker.")
INJECTED = ("Ready", "True", "InjectedBindResult", "Injected bind result")


@pytest.fixture
def hand(kubeconfig: Path, rights: Path) -> Iterator[Hand]:
    """The controller of a namespace of the test's own, which ends with it."""
    made = Hand(kubeconfig, f"shop-{time.time_ns()}")
    yield made
    made.leave()


@pytest.fixture
def player(kubeconfig: Path, tmp_path: Path) -> Player:
    """Plays at that cluster: which one it is, is said once for the group of modules."""
    return Player(tmp_path, of_cluster(kubeconfig))


def of_cluster(kubeconfig: Path) -> Object:
    """Module defaults."""
    return {"group/apb.catalog.k8s": {"kubeconfig": str(kubeconfig)}}


def task(name: str, module: str, namespace: str | None = None, /, *, keywords: Object | None = None, **arguments: object) -> Object:
    """A task on an object of that namespace, or of the cluster's."""
    return plays.task(name, module, keywords=keywords, **({} if namespace is None else {"namespace": namespace}), **arguments)


CHECK = {"check_mode": True}


def test_instance_is_made_changed_and_given_back(player: Player, hand: Hand) -> None:
    """Check mode asks the server and changes nothing, a second run finds nothing to do, and differences are those of the spec."""
    small = {"name": "cache", "class": "redis", "plan": "small", "parameters": {"memory": 0.5, "mode": "a"}, "wait": False}
    large = {**small, "plan": "large", "parameters": {"memory": 1}, "parameters_from": [{"secret": "s", "key": "k"}]}
    gone = {"name": "cache", "state": "absent"}

    def instance(name: str, given: Object, **keywords: object) -> Object:
        return task(name, "service_instance", hand.namespace, keywords=keywords, **given)

    def look(name: str) -> Object:
        return task(name, "service_instance_info", hand.namespace, name="cache")

    told = player.play(
        instance("would make", small, **CHECK),
        look("after check"),
        instance("makes", small),
        instance("finds", small),
        instance("would change", large, **CHECK),
        look("after check of change"),
        instance("changes", large),
        instance("finds changed", large),
        instance("empties", {**small, "plan": None, "parameters": {}, "parameters_from": []}),
        instance("would remove", gone, **CHECK),
        look("after check of removal"),
        instance("removes", gone),
        instance("finds removed", gone),
    )
    assert not [name for name in told if told[name].get("failed")], told
    changes = {name: result["changed"] for name, result in told.items() if "after" not in name}
    assert changes == {
        "would make": True,
        "makes": True,
        "finds": False,
        "would change": True,
        "changes": True,
        "finds changed": False,
        "empties": True,
        "would remove": True,
        "removes": True,
        "finds removed": False,
    }
    assert told["after check"]["resources"] == []
    assert told["would make"]["diff"]["before"] == {}
    made = {
        "clusterServiceClassExternalName": "redis",
        "clusterServicePlanExternalName": "small",
        "parameters": {"memory": 0.5, "mode": "a"},
    }
    assert told["would make"]["diff"]["after"] == {"spec": made}
    assert told["makes"]["result"]["spec"] == made
    changed = {**made, "clusterServicePlanExternalName": "large", "parameters": {"memory": 1}}
    changed["parametersFrom"] = [{"secretKeyRef": {"name": "s", "key": "k"}}]
    assert told["would change"]["diff"] == {"before": {"spec": made}, "after": {"spec": changed}}
    assert told["after check of change"]["resources"][0]["spec"] == made
    assert told["changes"]["result"]["spec"] == changed
    assert set(told["empties"]["result"]["spec"]) == {"clusterServiceClassExternalName", "clusterServicePlanExternalName"}
    assert "managedFields" not in told["makes"]["result"]["metadata"]
    assert len(told["after check of removal"]["resources"]) == 1
    assert set(told["would remove"]["diff"]["before"]["spec"]) == set(told["empties"]["result"]["spec"])
    assert told["removes"]["diff"] == told["would remove"]["diff"] and told["removes"]["diff"]["after"] == {}
    assert hand.get("ServiceInstance", "cache") is None


def test_modules_work_where_they_are_sent(player: Player, hand: Hand) -> None:
    """Packed, as to another host."""
    sent = {"vars": {"apb_in_process": False}}
    place = {"namespace": hand.namespace, "wait": False}
    told = player.play(
        plays.task("makes", "service_instance", keywords=sent, name="cache", **place, **{"class": "redis"}),
        plays.task("binds", "service_binding", keywords=sent, name="shop", instance="cache", **place),
        plays.task("registers", "service_broker", keywords=sent, name="apb", url="https://apb", **place),
        plays.task("lists", "service_instance_info", keywords=sent, namespace=hand.namespace),
    )
    assert {name: result.get("msg", result["changed"]) for name, result in told.items()} == {
        "makes": True,
        "binds": True,
        "registers": True,
        "lists": False,
    }


def test_refusals_are_the_servers_own_words(player: Player, hand: Hand) -> None:
    """In check mode too: it is asked what it would do."""
    given = {"name": "cache", "class": "redis", "wait": False}
    told = player.play(
        task("makes", "service_instance", hand.namespace, **given),
        task("moves", "service_instance", hand.namespace, **{**given, "class": "postgresql"}, keywords=CHECK),
        task("spells anew", "service_instance", hand.namespace, **given, by="kubernetes_name"),
        task("has no namespace", "service_instance", "nowhere", **given),
        task("is too long", "service_instance", hand.namespace, **{**given, "name": "a" * 64}, keywords=CHECK),
        task("is impatient", "cluster_service_broker", name="b", url="http://b", relist_duration="0s", keywords=CHECK),
        task("lacks", "service_instance", hand.namespace, name="cache"),
    )
    messages = {name: result.get("msg", "") for name, result in told.items()}
    assert "changing ServiceInstance" in messages["moves"] and "field is immutable" in messages["moves"]
    assert "field is immutable" in messages["spells anew"]
    assert 'namespaces "nowhere" not found' in messages["has no namespace"]
    assert "metadata.name must be no more than 63 characters" in messages["is too long"]
    assert "relistDuration must be greater than zero" in messages["is impatient"]
    assert messages["lacks"] == "state is present but all of the following are missing: class"


def test_instance_is_waited_for_until_it_is_ready(player: Player, hand: Hand) -> None:
    """And then it is told where it is. A change is waited for as well: a status that speaks of the spec before is none."""

    def control() -> None:
        hand.tell("ServiceInstance", "cache", WORKING)
        hand.tell("ServiceInstance", "cache", READY, connection={"host": "127.0.0.1", "port": 31000}, dashboardURL="https://d")
        until(lambda: hand.get("ServiceInstance", "cache")["metadata"]["generation"] == 2)
        hand.tell("ServiceInstance", "cache", READY, connection={"host": "127.0.0.2", "port": 31000})

    given = {"name": "cache", "class": "redis", "wait_sleep": 1}
    with meanwhile(control):
        told = player.play(
            task("makes", "service_instance", hand.namespace, **given),
            task("changes", "service_instance", hand.namespace, **given, parameters={"memory": 2}),
        )
    assert told["makes"]["connection"] == {"host": "127.0.0.1", "port": 31000}
    assert told["makes"]["dashboard_url"] == "https://d"
    assert told["makes"]["result"]["status"]["conditions"][0]["reason"] == "ProvisionedSuccessfully"
    assert told["changes"]["connection"]["host"] == "127.0.0.2"


def test_instance_that_does_not_become_ready_is_told_with_the_reason(player: Player, hand: Hand) -> None:
    """At once when it has failed, after the time otherwise; it is there then, and the next run goes on with it."""

    def control() -> None:
        hand.tell("ServiceInstance", "slow", WORKING)
        hand.tell("ServiceInstance", "failing", ("Ready", "False", "ProvisionCallFailed", FAILED[3]), FAILED)

    def instance(name: str, seconds: int) -> Object:
        return task(name, "service_instance", hand.namespace, name=name, wait_timeout=seconds, wait_sleep=1, **{"class": "redis"})

    with meanwhile(control):
        told = player.play(instance("slow", 3), instance("failing", 60), instance("unseen", 1))
    called = f"ServiceInstance {hand.namespace}"
    assert told["slow"]["msg"] == f"{called}/slow is not ready after 3 s: {WORKING[2]}: {WORKING[3]}"
    assert told["failing"]["msg"] == f"{called}/failing has failed: {FAILED[2]}: {FAILED[3]}"
    assert told["failing"]["result"]["metadata"]["name"] == "failing"
    assert "nothing has looked at it yet: does a service catalog controller run" in told["unseen"]["msg"]


def test_end_is_waited_for_and_a_new_beginning_after_it(player: Player, hand: Hand) -> None:
    """As long as a finalizer keeps the object."""
    redis = {"clusterServiceClassExternalName": "redis"}
    hand.make("ServiceInstance", "cache", redis, finalizers=["kubernetes-incubator/service-catalog"])
    first = hand.get("ServiceInstance", "cache")["metadata"]["uid"]

    def control() -> None:
        until(lambda: hand.get("ServiceInstance", "cache")["metadata"].get("deletionTimestamp"))
        hand.tell("ServiceInstance", "cache", ("Ready", "False", "Deprovisioning", "The instance is being deprovisioned asynchronously"))
        until(lambda: (player.directory / "told").exists())
        hand.release("ServiceInstance", "cache")

    told_of_it = {"name": "tells", "ansible.builtin.file": {"path": str(player.directory / "told"), "state": "touch"}}
    with meanwhile(control):
        told = player.play(
            task("is impatient", "service_instance", hand.namespace, name="cache", state="absent", wait_timeout=3, wait_sleep=1),
            task("does not wait", "service_instance", hand.namespace, name="cache", wait=False, **{"class": "redis"}),
            told_of_it,
            task("begins anew", "service_instance", hand.namespace, name="cache", wait_timeout=2, wait_sleep=1, **{"class": "redis"}),
        )
    assert told["is impatient"]["msg"].endswith("is not gone after 3 s: Deprovisioning: The instance is being deprovisioned asynchronously")
    assert told["does not wait"]["msg"].endswith("is being deleted: run this again when it is gone")
    assert "is not ready after 2 s" in told["begins anew"]["msg"]
    assert hand.get("ServiceInstance", "cache")["metadata"]["uid"] != first


def test_binding_is_made_once_and_its_secret_is_never_told(player: Player, hand: Hand) -> None:
    """Neither that of the broker nor what is added to it; what cannot change is refused by its name."""
    added = [
        {"rename_key": {"from": "username", "to": "user"}},
        {"add_key": {"key": "pin", "string_value": "canary-of-the-playbook"}},
        {"remove_key": "type"},
    ]
    given = {"name": "shop", "instance": "cache", "secret_name": "shop-cache", "parameters": {"access": "read"}, "secret_transforms": added}

    def binding(name: str, keywords: Object | None = None, **changes: object) -> Object:
        return task(name, "service_binding", hand.namespace, keywords=keywords, **{**given, "wait_sleep": 1, **changes})

    def control() -> None:
        until(lambda: hand.get("ServiceBinding", "shop"))
        hand.put_secret("shop-cache", password="canary-of-the-broker")
        hand.tell("ServiceBinding", "shop", INJECTED)

    with meanwhile(control):
        told = player.play(
            binding("would make", CHECK),
            task("after check", "service_binding_info", hand.namespace),
            binding("makes"),
            binding("finds"),
            binding("finds in check mode", CHECK),
            binding("changes parameters", parameters={"access": "write"}),
            binding("changes its Secret", CHECK, secret_name="other"),
            task("lists", "service_binding_info", hand.namespace, instance="cache"),
            task("lists others", "service_binding_info", hand.namespace, instance="other"),
            binding("would remove", CHECK, state="absent"),
            task("after check of removal", "service_binding_info", hand.namespace),
            binding("removes", state="absent"),
            binding("finds removed", state="absent"),
            task("lacks", "service_binding", hand.namespace, name="shop"),
        )
    changes = {name: told[name]["changed"] for name in told if not told[name].get("failed") and "resources" not in told[name]}
    assert changes == {
        "would make": True,
        "makes": True,
        "finds": False,
        "finds in check mode": False,
        "would remove": True,
        "removes": True,
        "finds removed": False,
    }
    assert [len(told[name]["resources"]) for name in ("after check", "after check of removal")] == [0, 1]
    assert told["makes"]["secret_name"] == "shop-cache"
    spec = told["would make"]["diff"]["after"]["spec"]
    assert told["would make"]["diff"]["before"] == {} and spec == told["makes"]["diff"]["after"]["spec"]
    assert (spec["instanceRef"], spec["secretTransforms"][1]["addKey"]) == ({"name": "cache"}, {"key": "pin", "stringValue": "<not shown>"})
    assert told["removes"]["diff"] == {"before": {"spec": spec}, "after": {}}
    assert told["lacks"]["msg"] == "state is present but all of the following are missing: instance"
    called = f"ServiceBinding {hand.namespace}/shop"
    assert told["changes parameters"]["msg"].startswith(f"{called} is there with another parameters, which cannot be changed: choose")
    assert told["changes its Secret"]["msg"].startswith(f"{called} is there with another secretName, which cannot be changed")
    assert [each["metadata"]["name"] for each in told["lists"]["resources"]] == ["shop"]
    assert told["lists others"]["resources"] == []
    assert "canary" not in json.dumps(told)


@pytest.mark.parametrize("is_cluster", [True, False], ids=["cluster", "namespace"])
def test_broker_is_registered_changed_and_removed(player: Player, hand: Hand, is_cluster: bool) -> None:
    """In both scopes, with its login as a reference."""
    kind, module = ("ClusterServiceBroker", "cluster_service_broker") if is_cluster else ("ServiceBroker", "service_broker")
    place = None if is_cluster else hand.namespace
    name = f"apb-{time.time_ns()}"
    given = {"name": name, "url": "https://me:canary@apb", "auth_secret": "login", "ca_bundle": "PEM", "wait_sleep": 1}
    if is_cluster:
        given["auth_secret_namespace"] = hand.namespace
    changed = {**given, "relist_behavior": "Manual", "class_restrictions": ["spec.externalName=redis"]}
    with meanwhile(lambda: hand.tell(kind, name, FETCHED)):
        told = player.play(
            task("would register", module, place, **given, keywords=CHECK),
            task("lists none", "service_broker_info", place, name=name),
            task("registers", module, place, **given),
            task("finds", module, place, **given),
            task("would change", module, place, **changed, keywords=CHECK),
            task("changes", module, place, **{**changed, "wait": False}),
            task("finds changed", module, place, **{**changed, "wait": False}),
            task("lists", "service_broker_info", place, name=name),
            task("would remove", module, place, name=name, state="absent", keywords=CHECK),
            task("removes", module, place, name=name, state="absent"),
            task("finds removed", module, place, name=name, state="absent"),
            task("lacks", module, place, name=name),
        )
    changes = [told[name]["changed"] for name in told if not name.startswith(("lists", "lacks"))]
    assert changes == [True, True, False, True, True, False, True, True, False], told
    assert told["lists none"]["resources"] == []
    assert told["lacks"]["msg"] == "state is present but all of the following are missing: url"
    assert told["removes"]["diff"] == {"before": {"spec": told["lists"]["resources"][0]["spec"]}, "after": {}}
    assert "canary" not in json.dumps(told)
    reference = {"name": "login", **({"namespace": hand.namespace} if is_cluster else {})}
    spec = told["lists"]["resources"][0]["spec"]
    assert spec["url"] == "https://me:<not shown>@apb"
    assert spec["authInfo"] == {"basic": {"secretRef": reference}}
    assert (spec["caBundle"], spec["relistBehavior"], spec["catalogRestrictions"]) == (
        "UEVN",
        "Manual",
        {"serviceClass": ["spec.externalName=redis"]},
    )
    assert told["would change"]["diff"]["before"]["spec"]["relistBehavior"] == "Duration"
    assert hand.get(kind, name) is None


@pytest.mark.parametrize(
    ("kind", "module", "given", "spec"),
    [
        ("ClusterServiceBroker", "cluster_service_broker", {"url": "https://apb"}, {"url": "https://apb"}),
        ("ServiceBroker", "service_broker", {"url": "https://apb"}, {"url": "https://apb"}),
        ("ServiceBinding", "service_binding", {"instance": "cache"}, {"instanceRef": {"name": "cache"}}),
    ],
)
def test_object_that_does_not_become_ready_is_told_with_the_reason(
    player: Player, hand: Hand, kind: str, module: str, given: Object, spec: Object
) -> None:
    """After the time that is given, or at once when it has failed; its end is waited for, and told when it takes too long."""
    place = None if kind.startswith("Cluster") else hand.namespace
    slow, failing = (f"{name}-{time.time_ns()}" for name in ("slow", "failing"))
    for name in (slow, failing):
        hand.make(kind, name, spec, finalizers=["test/kept"])
    hand.tell(kind, slow, ("Ready", "False", "Trouble", "it is away"))
    hand.tell(kind, failing, ("Ready", "False", "Trouble", "it is away"), ("Failed", "True", "Gone", "for ever"))
    waited = {"wait_timeout": 1, "wait_sleep": 1}
    told = player.play(
        task("slow", module, place, name=slow, **given, **waited),
        task("failing", module, place, name=failing, **given, wait_timeout=60),
        task("does not end", module, place, name=slow, state="absent", **waited),
        task("is not waited for", module, place, name=failing, state="absent", wait=False),
    )
    for name in (slow, failing):
        hand.release(kind, name)
    called = f"{kind} {place}/" if place else f"{kind} "
    assert told["slow"]["msg"] == f"{called}{slow} is not ready after 1 s: Trouble: it is away"
    assert told["failing"]["msg"] == f"{called}{failing} has failed: Gone: for ever; Trouble: it is away"
    assert told["does not end"]["msg"] == f"{called}{slow} is not gone after 1 s: Trouble: it is away"
    assert told["is not waited for"]["changed"] is True


@pytest.mark.parametrize(
    ("kind", "module", "spec"),
    [
        ("ClusterServiceBroker", "service_broker_info", {"url": "https://apb"}),
        ("ServiceBroker", "service_broker_info", {"url": "https://apb"}),
        ("ServiceInstance", "service_instance_info", {"clusterServiceClassExternalName": "redis"}),
        ("ServiceBinding", "service_binding_info", {"instanceRef": {"name": "cache"}}),
    ],
)
def test_objects_are_listed_by_name_and_by_labels(player: Player, hand: Hand, kind: str, module: str, spec: Object) -> None:
    """In check mode too; those of other namespaces only where none is given, and nothing is an empty list."""
    mark = str(time.time_ns())
    place = None if kind.startswith("Cluster") else hand.namespace
    for name in ("b", "a"):
        hand.make(kind, f"{name}-{mark}", spec, labels={"mark": mark, "name": name})
    marked = {"label_selectors": [f"mark={mark}"]}
    told = player.play(
        task("all", module, place, **marked),
        task("in check mode", module, place, **marked, keywords=CHECK),
        task("by label", module, place, label_selectors=[f"mark={mark}", "name in (b, c)"]),
        task("by name", module, place, name=f"a-{mark}"),
        task("unknown", module, place, name="c", **marked),
        task("in no namespace", module, "nowhere", **marked),
        task("by what is none", module, place, label_selectors=["=="]),
    )
    listed = {name: [each["metadata"]["name"][0] for each in result.get("resources", [])] for name, result in told.items()}
    assert [listed.pop(name) for name in ("all", "in check mode", "by label", "by name")] == [["a", "b"], ["a", "b"], ["b"], ["a"]]
    assert {each["kind"] for each in told["all"]["resources"]} == {kind}
    assert not any(listed.values()) and not any(result["changed"] for result in told.values())
    assert "found '==', expected: !, identifier" in told["by what is none"]["msg"]


def test_lists_are_read_in_pages(hand: Hand, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are, of one namespace and of all."""
    monkeypatch.setattr(catalog_objects, "PAGE", 2)
    for name in "edcba":
        hand.make("ServiceInstance", name, {"clusterServiceClassExternalName": "redis"}, labels={"odd": str(name in "ace").lower()})
    instances = catalog_objects.Objects(catalog_objects.connect(kubeconfig=str(kubeconfig)), "ServiceInstance")
    assert [each["metadata"]["name"] for each in instances.list(hand.namespace)] == list("abcde")
    assert [each["metadata"]["name"] for each in instances.list(hand.namespace, ["odd=true"])] == list("ace")
    assert [each["metadata"]["name"] for each in instances.list() if each["metadata"]["namespace"] == hand.namespace] == list("abcde")


def test_catalog_is_listed_by_the_names_people_use(player: Player, hand: Hand) -> None:
    """Of the cluster, or of a namespace; classes and plans by their names at the broker, or in Kubernetes."""
    mark = str(time.time_ns())
    for scope, prefix in (("Cluster", "clusterService"), ("", "service")):
        for class_name in ("redis", "postgresql"):
            name, broker = f"{class_name}-{mark}", {f"{prefix}BrokerName": f"of-{class_name}", "description": "d"}
            spec = {"externalName": class_name, "externalID": name, **broker}
            hand.make(f"{scope}ServiceClass", name, spec, labels={"mark": mark})
            for plan in ("small", "large"):
                spec = {"externalName": plan, "externalID": f"{name}-{plan}", f"{prefix}ClassRef": {"name": name}, **broker}
                hand.make(f"{scope}ServicePlan", f"{name}-{plan}", spec, labels={"mark": mark})
    marked = {"label_selectors": [f"mark={mark}"]}
    asked = {
        "classes": ("service_class_info", {}),
        "a class": ("service_class_info", {"name": "redis"}),
        "a class in Kubernetes": ("service_class_info", {"name": f"redis-{mark}"}),
        "classes of a broker": ("service_class_info", {"broker": "of-postgresql"}),
        "plans": ("service_plan_info", {}),
        "plans of a class": ("service_plan_info", {"class": "redis"}),
        "a plan": ("service_plan_info", {"class": "redis", "name": "small"}),
        "plans of no class": ("service_plan_info", {"class": "kafka"}),
    }
    expected = {
        "classes": ["postgresql", "redis"],
        "a class": ["redis"],
        "a class in Kubernetes": ["redis"],
        "classes of a broker": ["postgresql"],
        "plans": ["large", "small", "large", "small"],
        "plans of a class": ["large", "small"],
        "a plan": ["small"],
        "plans of no class": [],
    }
    for place, kind in ((None, "ClusterService"), (hand.namespace, "Service")):
        told = player.play(*(task(name, module, place, **{**marked, **given}) for name, (module, given) in asked.items()))
        assert {name: [each["spec"]["externalName"] for each in result["resources"]] for name, result in told.items()} == expected
        assert {each["kind"] for result in told.values() for each in result["resources"]} == {f"{kind}Class", f"{kind}Plan"}


def test_cluster_that_cannot_be_used_is_told_with_the_cure(player: Player, hand: Hand, kubeconfig: Path, tmp_path: Path) -> None:
    """No server, no kubeconfig, a token of nobody."""
    asked = {"name": "x", "namespace": hand.namespace}
    server = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    told = player.play(
        task(
            "is away",
            "service_instance_info",
            **asked,
            host=f"https://127.0.0.1:{ports.free()}",
            api_key="a-token-of-nobody",
            validate_certs=False,
        ),
        task("has no file", "service_instance_info", **asked, kubeconfig=str(tmp_path / "gone")),
        task("has a wrong token", "service_instance_info", **asked, host=server, api_key="canary", validate_certs=False, kubeconfig=None),
    )
    assert "the API server cannot be reached" in told["is away"]["msg"]
    assert "check kubeconfig, context or host" in told["is away"]["msg"]
    assert "Could not create API client: Invalid kube-config file" in told["has no file"]["msg"]
    assert "Unauthorized" in told["has a wrong token"]["msg"]
    assert "canary" not in told["has a wrong token"]["msg"]


EACH = {
    "ClusterServiceBroker": ("cluster_service_broker", {"name": "x", "url": "https://apb"}),
    "ServiceBroker": ("service_broker", {"name": "x", "namespace": "default", "url": "https://apb"}),
    "ServiceInstance": ("service_instance", {"name": "x", "namespace": "default", "class": "redis"}),
    "ServiceBinding": ("service_binding", {"name": "x", "namespace": "default", "instance": "cache"}),
}
LISTS = {
    "ClusterServiceBroker": ("service_broker_info", {}),
    "ServiceBroker": ("service_broker_info", {"namespace": "default"}),
    "ClusterServiceClass": ("service_class_info", {}),
    "ServiceClass": ("service_class_info", {"namespace": "default"}),
    "ClusterServicePlan": ("service_plan_info", {}),
    "ServicePlan": ("service_plan_info", {"namespace": "default"}),
    "ServiceInstance": ("service_instance_info", {}),
    "ServiceBinding": ("service_binding_info", {}),
}


def of_each(**more: object) -> list[Object]:
    """A task with each module, named by its verb and kind."""
    named = {"get": EACH, "list": LISTS}
    return [task(f"{verb} {kind}", module, **given, **more) for verb in named for kind, (module, given) in named[verb].items()]


def test_cluster_without_our_kinds_is_told(own_plane: control_plane.ControlPlane, tmp_path: Path) -> None:
    """By each module, with what installs them."""
    told = Player(tmp_path, of_cluster(own_plane.kubeconfig)).play(*of_each())
    for name, result in told.items():
        kind = name.split()[1]
        assert result["msg"].startswith(
            f"the cluster knows no {kind} of servicecatalog.k8s.io/v1beta1: install the service catalog first"
        ), name


def test_account_without_rights_is_told(player: Player, rights: Path) -> None:
    """By each module, in the API server's words: who may not do what. What is offered may be read by everybody."""
    told = player.play(*of_each(impersonate_user="nobody"))
    for name, result in told.items():
        verb, kind = name.split()
        if kind in ("ClusterServiceClass", "ClusterServicePlan"):
            assert "resources" in result, name
            continue
        assert f'User "nobody" cannot {verb} resource "{PLURALS[kind][0]}"' in result.get("msg", ""), name


def test_credentials_are_looked_up_when_they_are_there(player: Player, hand: Hand, kubeconfig: Path) -> None:
    """All of them or one; before, the error says why not, and never what."""
    spec = {"instanceRef": {"name": "cache"}, "secretName": "shop-cache"}
    hand.create("ServiceBinding", "shop", spec)
    hand.create("ServiceBinding", "early", spec)
    hand.create("ServiceBinding", "lost", {**spec, "secretName": "gone"})
    hand.put_secret("shop-cache", password="canary {{ 1 + 1 }}", port="31000")
    hand.tell("ServiceBinding", "shop", INJECTED)
    hand.tell("ServiceBinding", "lost", INJECTED)
    hand.tell("ServiceBinding", "early", ("Ready", "False", "BindingRequestInFlight", "Binding request in-flight to Broker"))

    def looked_up(name: str, binding: str, **options: str) -> Object:
        given = ", ".join(f"{option}='{value}'" for option, value in options.items())
        expression = f"{{{{ lookup('apb.catalog.credentials', '{binding}', {given}) | to_json }}}}"
        copied = {"content": expression, "dest": str(player.directory / name), "mode": "0600"}
        return {"name": name, "ansible.builtin.copy": copied, "ignore_errors": True}

    place = {"namespace": hand.namespace}
    told = player.play(
        looked_up("all", "shop", **place),
        looked_up("one", "shop", **place, key="port"),
        looked_up("none", "shop", **place, key="uri"),
        looked_up("early", "early", **place),
        looked_up("lost", "lost", **place),
        looked_up("unknown", "other", **place),
        looked_up("nowhere", "shop", key="port"),
        apb_kubeconfig=str(kubeconfig),
    )
    # What a broker wrote is no template.
    assert json.loads((player.directory / "all").read_text()) == {"password": "canary {{ 1 + 1 }}", "port": "31000"}
    assert json.loads((player.directory / "one").read_text()) == "31000"
    messages = {name: told[name]["msg"] for name in ("none", "early", "lost", "unknown", "nowhere")}
    assert "the credentials of shop have no key 'uri'; there is: password, port" in messages["none"]
    assert "early is not ready: BindingRequestInFlight: Binding request in-flight to Broker" in messages["early"]
    assert "is ready, but its Secret gone is gone: delete the binding and make it again" in messages["lost"]
    assert f"there is no ServiceBinding {hand.namespace}/other: make it first (service_binding)" in messages["unknown"]
    assert "give namespace for a ServiceBinding in Kubernetes, or instance for a binding at a broker" in messages["nowhere"]
    assert "canary" not in json.dumps(told)


def test_instances_are_hosts(player: Player, hand: Hand, kubeconfig: Path) -> None:
    """With their connection, in groups by class, plan and namespace, and in those of constructed inventories."""
    redis = {"clusterServiceClassExternalName": "redis", "clusterServicePlanExternalName": "redis-small"}
    hand.make("ServiceInstance", "cache", redis, labels={"team": "web"})
    hand.make("ServiceInstance", "new", redis)
    hand.tell("ServiceInstance", "cache", READY, connection={"host": "127.0.0.1", "port": 31000}, lastConditionState="Ready")
    asked = {
        "plugin": "apb.catalog.instances",
        "kubeconfig": str(kubeconfig),
        "namespaces": [hand.namespace],
        "compose": {"address": "apb_connection.host ~ ':' ~ apb_connection.port"},
        "keyed_groups": [{"key": "apb_instance.labels.team", "prefix": "team"}],
        "groups": {"in_trouble": "not apb_instance.ready"},
    }
    hosts, groups = listed(player, asked)
    name = f"cache.{hand.namespace}"
    assert set(hosts) == {name, f"new.{hand.namespace}"}
    assert hosts[name]["address"] == "127.0.0.1:31000"
    assert hosts[name]["apb_instance"]["class"] == "redis"
    assert hosts[name]["ansible_connection"] == "local"
    assert groups["team_web"] == [name]
    assert groups["in_trouble"] == [f"new.{hand.namespace}"]
    of_both = (groups["class_redis"], groups["plan_redis_small"], groups[f"namespace_{hand.namespace.replace('-', '_')}"])
    assert all(sorted(group) == sorted(hosts) for group in of_both)
    hosts, _ = listed(player, {**asked, "ready_only": True})
    assert list(hosts) == [name]
    broken = player.run(
        "inventory", "-i", write(player, {**asked, "kubeconfig": "/gone"}), "--list", ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="true"
    )
    assert broken.returncode != 0
    assert "Could not create API client" in broken.stderr


def listed(player: Player, asked: Object) -> tuple[Object, dict[str, list[str]]]:
    """The variables of hosts, and the hosts of groups."""
    done = player.run("inventory", "-i", write(player, asked), "--list")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout, object_hook=plays.plain)
    return found["_meta"]["hostvars"], {name: group.get("hosts", []) for name, group in found.items() if name != "_meta"}


def write(player: Player, asked: Object) -> str:
    (player.directory / "shop.instances.yml").write_text(json.dumps(asked))
    return "shop.instances.yml"
