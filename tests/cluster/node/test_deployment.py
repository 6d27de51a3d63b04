"""apb's controller as pods, by the files of `deploy/` and the image of `make image`: installed, at work, killed, drained."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config

from apb_controller.rules.answers import Call
from tests.brokers import ledger, scripted
from tests.cluster import offers
from tests.cluster.catalog import Catalog
from tests.cluster.node import apb_image, cluster, programs
from tests.e2e.machine import wait

pytestmark = pytest.mark.node
ROOT = Path(__file__).parents[3]
NAMESPACE = "apb"
LEASE = "apb-controller"
SECONDS = 120
LEASE_SECONDS = 15
BINDING, INSTANCE = "ServiceBinding", "ServiceInstance"

BROKER = f"""
apiVersion: v1
kind: Pod
metadata: {{name: broker}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {{fsGroup: 10001}}
  volumes: [{{name: state, emptyDir: {{}}}}, {{name: tmp, emptyDir: {{}}}}]
  containers:
    - name: apb
      image: {apb_image.NAME}
      command: [sh, -ec]
      args:
        - |
          umask 077; mkdir $APB_STATE_DIR; cd $APB_STATE_DIR; echo of-the-administrator > admin.password; echo other > redis.password
          cat > apb.yml <<END
          apb: 1
          users: [{{name: admin, password_file: admin.password, roles: [platform, operator]}}]
          roles: [{{name: apb.catalog.redis}}]
          targets: {{there: {{mode: shared, address: redis.example, port: 6379, username: apb, password_file: redis.password}}}}
          offers: [{{plan: redis/redis-tenant, mode: shared, targets: [there]}}]
          END
          exec apb up
      volumeMounts: [{{name: state, mountPath: /var/lib/apb}}, {{name: tmp, mountPath: /tmp}}]
      securityContext: {{readOnlyRootFilesystem: true, runAsNonRoot: true, allowPrivilegeEscalation: false}}
"""


class Installed:
    """The controller in a cluster."""

    def __init__(self, kubeconfig: Path, kubectl: Path, folder: Path) -> None:
        api = config.new_client_from_config(str(kubeconfig))
        self.core, self._leases = client.CoreV1Api(api), client.CoordinationV1Api(api)
        self.folder = folder
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": f"{kubectl.parent}:{os.environ['PATH']}"}

    def type(self, lines: str) -> str:
        """What a shell prints that is given these lines beside `deploy`; each has to end well."""
        command = ["bash", "-e", "-o", "pipefail", "-c", lines]
        done = subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=2 * SECONDS)
        assert done.returncode == 0, f"{lines}: {done.stdout}{done.stderr}\n{self.told()}"
        return done.stdout + done.stderr

    def try_to_type(self, line: str) -> str:
        """What it prints, or nothing where it does not end well."""
        with contextlib.suppress(AssertionError):
            return self.type(line)
        return ""

    def pods(self) -> set[str]:
        """Names of those that are ready."""
        return {pod.metadata.name for pod in self._all() if any(each.ready for each in pod.status.container_statuses or [])}

    def _all(self) -> list[client.V1Pod]:
        return self.core.list_namespaced_pod(NAMESPACE).items

    def leader(self) -> str:
        """The name of the pod that holds the Lease, or an empty one."""
        with contextlib.suppress(client.ApiException):
            return (self._leases.read_namespaced_lease(LEASE, NAMESPACE).spec.holder_identity or "").rpartition("_")[0]
        return ""

    def process_of(self, pod: str) -> int:
        """The number of its program, as this machine counts."""
        [uid] = [each.metadata.uid for each in self._all() if each.metadata.name == pod]
        return next(
            int(place.name)
            for place in Path("/proc").iterdir()
            if place.name.isdigit() and is_of(place, uid) and b"controller" in (place / "cmdline").read_bytes().split(b"\0")
        )

    def told(self) -> str:
        """What the cluster says of its pods."""
        return str([(pod.metadata.name, pod.status.to_dict().get("container_statuses")) for pod in self._all()])


def page(word: str) -> str:
    """The block of docs/controller.md, "Installing it", that has this word."""
    section = (ROOT / "docs/controller.md").read_text().partition("\n## Installing it\n")[2].partition("\n## ")[0]
    [found] = [block for block in re.findall(r"```bash\n(.*?)```", section, re.DOTALL) if word in block]
    return found


def is_of(place: Path, uid: str) -> bool:
    """Whether a process sees the volumes of that pod."""
    try:
        return f"/pods/{uid}/" in (place / "mountinfo").read_text()
    except OSError:
        return False


@pytest.fixture(scope="module")
def installed(node: cluster.Cluster, of_node: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """As the page says it."""
    try:
        node.load(apb_image.found_or_made())
    except programs.Missing as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    made = Installed(node.kubeconfig, of_node["kubectl"], folder)
    said = made.type(page("apply -k"))
    assert "Warning" not in said, said
    wait(lambda: len(made.pods()) == 2 and made.leader(), SECONDS, "two controllers, of which one leads")
    return made


@pytest.fixture
def space(installed: Installed, kubeconfig: Path) -> Iterator[Catalog]:
    """A namespace of the test's own."""
    made = Catalog(kubeconfig, f"test-{time.time_ns()}")
    made.core.create_namespace({"metadata": {"name": made.namespace}})
    yield made
    made.core.delete_namespace(made.namespace)


@pytest.fixture
def broker(node: cluster.Cluster) -> Iterator[scripted.Broker]:
    """On this machine, where pods reach it."""
    with contextlib.closing(scripted.Broker(address=node.machine)) as made:
        yield made
        made.assert_clean()


@pytest.fixture
def cordoned(installed: Installed) -> Iterator[Callable[[], None]]:
    """Lets no new pod run until the test ends, and then until there are two again."""
    [node] = [each.metadata.name for each in installed.core.list_node().items]
    yield lambda: installed.core.patch_node(node, {"spec": {"unschedulable": True}})
    installed.core.patch_node(node, {"spec": {"unschedulable": None}})
    wait(lambda: len(installed.pods()) == 2, SECONDS, "two controllers")


def test_controller_in_a_pod_makes_an_instance_and_a_secret(installed: Installed, space: Catalog, broker: scripted.Broker) -> None:
    """By the rights of its own account; one provision, one bind, and everything back at the end."""
    with offers.registered(space, broker):
        offers.instance(space)
        space.wait_ready(INSTANCE, "one")
        offers.binding(space)
        space.wait_ready(BINDING, "one")
        assert space.credentials("one")
        assert broker.ledger.creations == 1


def test_killed_pod_is_followed_by_the_other(
    installed: Installed, cordoned: Callable[[], None], space: Catalog, broker: scripted.Broker
) -> None:
    """After the lease, in the midst of a call, which is repeated: the broker has one instance."""
    first = installed.leader()
    [second] = installed.pods() - {first}
    cordoned()
    with offers.registered(space, broker):
        call = scripted.Held()
        broker.script(Call.PROVISION, call)
        offers.instance(space)
        assert call.arrived.wait(SECONDS)
        process = installed.process_of(first)
        installed.core.delete_namespaced_pod(first, NAMESPACE, grace_period_seconds=0)
        os.kill(process, signal.SIGKILL)
        wait(lambda: installed.leader() == second, 3 * LEASE_SECONDS, "the other leader")
        call.release()
        space.wait_ready(INSTANCE, "one")
        assert len(broker.ledger.instances) == 1 == broker.ledger.creations


def test_deleted_pod_hands_over(installed: Installed, cordoned: Callable[[], None], space: Catalog, broker: scripted.Broker) -> None:
    """As when a node is drained: well before the lease would have ended."""
    wait(installed.leader, SECONDS, "a leader")
    first = installed.leader()
    [second] = installed.pods() - {first}
    cordoned()
    began = time.monotonic()
    installed.core.delete_namespaced_pod(first, NAMESPACE)
    wait(lambda: installed.leader() == second, LEASE_SECONDS, "the other leader")
    assert time.monotonic() - began < LEASE_SECONDS * 2 / 3
    with offers.registered(space, broker):
        offers.instance(space)
        space.wait_ready(INSTANCE, "one")


def test_image_runs_a_broker_too(installed: Installed, space: Catalog) -> None:
    """`apb up`: database, web and worker as the image's user, with nothing writable but its state and /tmp."""
    wait(lambda: space.core.list_namespaced_service_account(space.namespace).items, SECONDS, "the account of the namespace")
    space.core.create_namespaced_pod(space.namespace, yaml.safe_load(BROKER))
    asked = f"kubectl -n {space.namespace} exec broker -- apb marketplace"
    wait(lambda: "redis-tenant" in installed.try_to_type(asked), SECONDS, "a broker that answers")


def test_page_leads_from_a_broker_to_a_secret_and_away(installed: Installed, node: cluster.Cluster) -> None:
    """Its lines as they stand there, with another address; at the end neither kinds nor pods are left."""
    plan = {"id": "of-redis", "name": "redis-standard", "description": "One."}
    offered = {"services": [{"id": "redis", "name": "redis", "description": "A cache.", "bindable": True, "plans": [plan]}]}
    (installed.folder / "password").write_text("of the broker")
    with scripted.running(ledger.Ledger(offered), address=node.machine, auth=("kubernetes", "of the broker")) as broker:
        wait(lambda: len(installed.pods()) == 2, SECONDS, "two controllers")
        said = installed.type(page("kind: ServiceBinding").replace("https://apb.example", broker.url))
        assert re.search(r"^shop +Opaque ", said, re.MULTILINE), said
        installed.type(page("delete -k"))
        broker.assert_clean()
    assert installed.type("kubectl get crds --ignore-not-found -o name") == ""
    assert NAMESPACE not in {each.metadata.name for each in installed.core.list_namespace().items}
