"""What is left of a cluster with a node when it has ended: nothing, on a machine where much of it is the whole machine's."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from kubernetes import client, config

from tests.cluster.node import archive, cluster, inside, programs
from tests.cluster.node.conftest import ECHO
from tests.e2e.machine import wait

pytestmark = pytest.mark.node
COMMAND = [sys.executable, "-m", "tests.cluster"]
# Where parts of a node write by themselves, or would.
PLACES = ("/run", "/run/netns", "/run/containerd", "/var/lib", "/var/lib/cni", "/var/lib/kubelet", "/var/log", "/opt", "/etc", "/etc/cni")


def listing() -> dict[str, object]:
    """What a node could leave on this machine."""
    tell: Callable[..., str] = lambda *words: subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: E731
    rules = [line for line in tell("iptables-save").splitlines() if not line.startswith("#")]
    return {
        "devices": sorted(os.listdir("/sys/class/net")),
        "routes": tell("ip", "route"),
        "rules": [line.split(" [")[0] for line in rules],  # without counters
        "mounts": sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()),
        "groups": sorted(str(path) for each in ("*", "*/*") for path in cluster.GROUPS.glob(each) if path.is_dir()),
        "kernel": {name: Path("/proc/sys", name).read_text() for name in (*inside.KERNEL, "net/ipv4/ip_forward")},
        "places": {place: sorted(os.listdir(place)) for place in PLACES if os.path.isdir(place)},
    }


def processes_of(directory: Path) -> list[psutil.Process]:
    """Those of the control plane, and the node's first one with all that come from it, containers included."""
    first = psutil.Process(int(next(directory.rglob(cluster.FIRST)).read_text()))
    found = [first, *first.children(recursive=True)]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if f"{directory}/" in " ".join(process.cmdline()):
                found.append(process)
    return found


def is_alive(process: psutil.Process) -> bool:
    """What has ended and is not yet taken note of by the machine's first process is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_cluster_down_leaves_nothing_of_cluster_up(of_node: dict[str, Path], tmp_path: Path) -> None:
    """Pods that run when it ends included; and what it did while it was there was not done to the whole machine."""
    before = listing()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    run = lambda *words: subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True)  # noqa: E731
    try:
        begun = run("up", "--node")
        assert begun.returncode == 0, begun.stderr
        kubeconfig = begun.stdout.splitlines()[0].removeprefix("export KUBECONFIG=")
        assert f"export PATH={of_node['kubectl'].parent}:$PATH" in begun.stdout
        again = run("up", "--node")
        assert (again.returncode, again.stderr.split(",")[0]) == (1, f"there is one already: export KUBECONFIG={kubeconfig}")
        assert run("load", str(archive.write(tmp_path / "echo.tar", ECHO, programs.of_image("echo")))).returncode == 0
        run_a_pod(client.CoreV1Api(config.new_client_from_config(kubeconfig)))
        during = listing()
        processes = processes_of(tmp_path)
        assert {"kube-apiserver", "containerd", "kubelet", "echo", "pause"} <= {each.name() for each in processes}
        assert {name for name in before if during[name] != before[name]} == {"devices", "routes", "groups"}
    finally:
        ended = run("down", "--node")
    assert ended.stdout == "ended\n", ended.stderr
    assert not [each for each in processes if is_alive(each)]
    assert listing() == before
    assert os.listdir(tmp_path) == ["echo.tar"]
    assert run("down", "--node").stdout == "there is none\n"


def run_a_pod(core: client.CoreV1Api) -> None:
    """One that goes on, with a port of the machine it runs on: a rule more."""
    wait(lambda: core.list_namespaced_service_account("default").items, 30, "the account of the namespace")
    container = {"name": "echo", "image": ECHO, "ports": [{"containerPort": 8080, "hostPort": 8080}]}
    name = f"echo-{time.time_ns()}"
    core.create_namespaced_pod("default", {"metadata": {"name": name}, "spec": {"containers": [container]}})
    wait(lambda: core.read_namespaced_pod(name, "default").status.phase == "Running", 60, "a pod that runs")
