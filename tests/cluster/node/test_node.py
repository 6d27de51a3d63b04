"""The node of these tests is a real one: its pods run, are reached, logged and entered, and know the API server."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from kubernetes import client, config

from tests.cluster import programs as of_plane
from tests.cluster.node import cluster, configuration, programs
from tests.e2e.machine import wait

pytestmark = pytest.mark.node
SECONDS = 60
NAME = "echo"


@pytest.fixture
def api(kubeconfig: Path) -> client.ApiClient:
    """An administrator's client."""
    return config.new_client_from_config(str(kubeconfig))


@pytest.fixture
def space(api: client.ApiClient) -> Iterator[str]:
    """A namespace whose pods may be made, which ends with the test."""
    core, name = client.CoreV1Api(api), f"test-{time.time_ns()}"
    core.create_namespace({"metadata": {"name": name}})
    wait(lambda: core.list_namespaced_service_account(name).items, SECONDS, "the account of the namespace")
    yield name
    core.delete_namespace(name)
    wait(lambda: name not in {each.metadata.name for each in core.list_namespace().items}, SECONDS, "the end of the namespace")


def test_pods_of_a_deployment_answer_by_their_service(
    node: cluster.Cluster, of_node: dict[str, Path], api: client.ApiClient, space: str, echo: str
) -> None:
    """Scheduled, run, found by the service's one address from outside the node; each of both answers at some time."""
    container = {"name": NAME, "image": echo, "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1}}
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    apps.create_namespaced_deployment(space, {"metadata": {"name": NAME}, "spec": spec})
    service = {"metadata": {"name": NAME}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}}
    address = core.create_namespaced_service(space, service).spec.cluster_ip
    wait(lambda: apps.read_namespaced_deployment(NAME, space).status.ready_replicas == 2, SECONDS, "two pods")
    pods = {pod.metadata.name for pod in core.list_namespaced_pod(space).items}
    answered: set[str] = set()

    def asked() -> bool:
        try:
            answered.add(httpx.get(f"http://{address}/", trust_env=False, timeout=5).text.strip())
        except httpx.TransportError:  # the rules of a service come some time after its pods
            return False
        return answered == pods

    wait(asked, SECONDS, "an answer of each pod")
    log = core.read_namespaced_pod_log(sorted(pods)[0], space)
    assert log.splitlines()[0] == "serving" and "asked for /" in log
    enter = [of_node["kubectl"], "--kubeconfig", node.kubeconfig, "-n", space, "exec", sorted(pods)[0], "--", "/echo", "hello"]
    assert subprocess.run(enter, capture_output=True, text=True).stdout == "hello\n"


def test_node_says_its_version(api: client.ApiClient) -> None:
    """The one that the API server has."""
    [node] = client.CoreV1Api(api).list_node().items
    assert (node.metadata.name, node.status.node_info.kubelet_version) == (configuration.NAME, of_plane.version())


def test_second_node_is_refused(node: cluster.Cluster, of_node: dict[str, Path], tmp_path: Path) -> None:
    """A machine has one; nothing of the first is touched."""
    with pytest.raises(cluster.Failed, match=r"has a node already .*make cluster-down"):
        cluster.Cluster(tmp_path / "other").start(of_node)
    assert node.plane.pids and not (tmp_path / "other").exists()


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the line that installs them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(programs.Missing, match=r"apt-get install .*containerd iproute2 iptables mount runc util-linux$"):
        programs.find()
