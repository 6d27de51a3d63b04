"""What operators are offered in `deploy`: it grants the times that apb asks for, and its lists are complete."""

import configparser
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from apb_broker.catalog.config import Settings
from apb_controller.process.options import Options

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
NEEDED = {
    "apb-serve.service": Settings().sync_wait_seconds + 10,
    "apb-worker.service": Settings().drain_seconds + Settings().cancel_grace_seconds + 5,
}


@pytest.mark.parametrize("name", NEEDED)
def test_unit_lets_its_process_stop_in_good_order(name: str) -> None:
    """SIGTERM to the main process alone, and SIGKILL not before it had its time."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / name)
    assert float(unit["Service"]["TimeoutStopSec"]) > NEEDED[name]
    assert unit["Service"]["KillMode"] == "mixed"
    assert unit["Service"]["ExecStart"].endswith(name.removeprefix("apb-").removesuffix(".service"))


def test_pod_of_the_controller_lets_it_stop_in_good_order() -> None:
    """SIGKILL not before its calls had their time and the Lease was given back."""
    assert pod()["terminationGracePeriodSeconds"] >= Options().stop_seconds + 10


def test_probes_ask_where_the_controller_answers() -> None:
    """On the port that it is told, at any address: a kubelet is not the pod's own machine."""
    [container] = pod()["containers"]
    [port] = container["ports"]
    assert container["args"][:2] == ["controller", "--metrics"]
    assert container["args"][2] == f"0.0.0.0:{port['containerPort']}"
    asked = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {each["port"] for each in asked.values()} == {port["name"]}
    assert [each["path"] for each in asked.values()] == ["/livez", "/livez", "/readyz"]


def test_kustomization_lists_everything_and_this_version() -> None:
    """Each definition, and the tag that `make image` gives."""
    told = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    there = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*.yaml")}
    assert set(told["resources"]) == there - {"kustomization.yaml"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told["images"] == [{"name": project["name"], "newTag": project["version"]}]


def pod() -> dict[str, Any]:
    """What the Deployment makes."""
    deployment = next(yaml.safe_load_all((DEPLOY / "controller.yaml").read_text()))
    return deployment["spec"]["template"]["spec"]
