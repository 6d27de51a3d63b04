"""What docs/controller.md and docs/modules.md have people type, as it stands there, by kubectl itself, on a cluster that knows nothing."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.brokers import scripted
from tests.cluster import control_plane, offers
from tests.cluster.controllers import Controller
from tests.conftest import ROOT

pytestmark = pytest.mark.cluster
SECONDS = 60
FIRST = "apb controller"


def typed() -> list[str]:
    """The commands of both pages in their order: lines of blocks, and what has a verb and an object in a sentence."""
    found = []
    for page in ("controller.md", "modules.md"):
        text = (ROOT / "docs" / page).read_text()
        lines = [
            line.partition(" # ")[0].strip() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
        ]
        found += [line for line in lines if line.startswith(("kubectl ", FIRST))]
        found += re.findall(r"`(kubectl [^`\s]+ [^`]+)`", text)
    return list(dict.fromkeys(found))


@pytest.fixture
def kubectl(kubernetes: dict[str, Path], own_plane: control_plane.ControlPlane, tmp_path: Path) -> Callable[..., str]:
    """Does a line of a shell, which has to end well, and gives what it printed."""
    program = kubernetes.get("kubectl") or Path(shutil.which("kubectl") or pytest.skip("KUBEBUILDER_ASSETS has no kubectl"))
    path = f"{program.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(own_plane.kubeconfig), "PATH": path}

    def do(line: str, given: str | None = None) -> str:
        done = subprocess.run(
            ["/bin/sh", "-ec", line], cwd=ROOT, env=environment, input=given, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    return do


def test_what_people_are_told_to_type_works(
    kubectl: Callable[..., str], own_plane: control_plane.ControlPlane, broker: scripted.Broker, tmp_path: Path
) -> None:
    """Kinds, rights, the controller; then a manifest and a Secret; then what the pages say of columns, categories, selectors and help."""
    commands = typed()
    before, after = commands[: commands.index(FIRST)], commands[commands.index(FIRST) + 1 :]
    for command in before:
        kubectl(command)
    controller = Controller(own_plane.kubeconfig, tmp_path / "log")
    try:
        controller.start()
        kubectl("kubectl apply -f -", manifest(broker.url))
        kubectl(f"kubectl wait --for=condition=Ready sbind/shop --timeout={SECONDS}s")
        assert kubectl("kubectl get secret shop -o jsonpath='{.data.password}'")
        printed = {command: kubectl(command) for command in after}
        assert re.search(r"^NAME +CLASS +PLAN +STATUS +AGE\ncache +ServiceClass/cache +small +Ready ", kubectl("kubectl get bsi"))
        assert "clusterServiceClassExternalName\t<string>" in printed["kubectl explain bsi.spec"]
        assert {"servicebroker.servicecatalog.k8s.io/broker", "serviceinstance.servicecatalog.k8s.io/cache"} <= names(
            printed["kubectl get svcat"]
        )
        assert names(printed["kubectl get sbind --field-selector spec.instanceRef.name=cache"]) == {"shop"}
        kubectl(f"kubectl delete sbind/shop bsi/cache sbroker/broker --timeout={SECONDS}s")
        assert kubectl("kubectl get svcat") == ""
        controller.stop()
    finally:
        controller.end()


def manifest(url: str) -> str:
    """A broker, an instance of what it offers, and a binding, as people write them."""

    def one(kind: str, name: str, spec: offers.Object) -> offers.Object:
        return {"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    made = [
        one("ServiceBroker", "broker", {"url": url}),
        one("ServiceInstance", "cache", offers.CACHE),
        one("ServiceBinding", "shop", {"instanceRef": {"name": "cache"}}),
    ]
    return yaml.safe_dump_all(made)


def names(table: str) -> set[str]:
    """The first column."""
    return {line.split()[0] for line in table.splitlines() if line and not line.startswith("NAME")}
