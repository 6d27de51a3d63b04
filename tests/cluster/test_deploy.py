"""What `deploy/` holds is taken by a real API server as it stands there."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client.rest import ApiException

from tests.cluster.catalog import Catalog
from tests.e2e.machine import wait

pytestmark = pytest.mark.cluster
DEPLOY = Path(__file__).parents[2] / "deploy"
ACCOUNT = "apb-controller"
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


def test_everything_is_taken_as_one_piece(kubernetes: dict[str, Path], kubeconfig: Path, rights: Path) -> None:
    """`kubectl apply -k`, as a dry run of the server's, which knows every field and warns of nothing."""
    kubectl = kubernetes.get("kubectl") or shutil.which("kubectl") or pytest.skip("KUBEBUILDER_ASSETS has no kubectl")
    command = [kubectl, "--kubeconfig", str(kubeconfig), "apply", "-k", str(DEPLOY), "--server-side", "--force-conflicts"]
    done = subprocess.run([*command, "--dry-run=server", "--validate=strict"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "deployment.apps/apb-controller serverside-applied (server dry run)" in done.stdout.splitlines()


def test_pods_of_the_controller_are_taken_where_restricted_ones_are(space: Catalog) -> None:
    """The strictest of the pod security standards; without its securityContext such a pod is refused."""
    space.core.patch_namespace(space.namespace, RESTRICTED)
    space.core.create_namespaced_service_account(space.namespace, {"metadata": {"name": ACCOUNT}})
    wait(lambda: len(space.core.list_namespaced_service_account(space.namespace).items) == 2, 30, "both accounts")
    deployment = next(yaml.safe_load_all((DEPLOY / "controller.yaml").read_text()))
    pod = deployment["spec"]["template"]["spec"]
    assert made(space, pod).spec.service_account_name == ACCOUNT
    with pytest.raises(ApiException, match="violates PodSecurity"):
        made(space, {**pod, "securityContext": {}})


def made(space: Catalog, spec: dict[str, Any]) -> Any:
    """The pod, which is not kept."""
    return space.core.create_namespaced_pod(space.namespace, {"metadata": {"name": "controller"}, "spec": spec}, dry_run="All")
