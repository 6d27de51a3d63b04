"""The control plane of these tests is a real one, and can be broken and ended."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kubernetes import client, config

from tests.cluster import control_plane, programs
from tests.e2e.machine import wait

pytestmark = pytest.mark.cluster


def api_of(kubeconfig: Path) -> client.CoreV1Api:
    """A client."""
    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


def test_namespaces_come_and_go(kubeconfig: Path) -> None:
    """The API keeps what it is given, and controllers work: they give a namespace its account, and empty it at its end."""
    api = api_of(kubeconfig)
    name = f"apb-{time.time_ns()}"
    api.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    wait(lambda: [each.metadata.name for each in api.list_namespaced_service_account(name).items] == ["default"], 30, "the account")
    api.create_namespaced_config_map(name, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="kept"), data={"a": "b"}))
    api.delete_namespace(name)
    wait(lambda: name not in {each.metadata.name for each in api.list_namespace().items}, 30, "the end of the namespace")


def test_api_server_is_killed_and_comes_back_with_everything(own_plane: control_plane.ControlPlane) -> None:
    """What was written is there again, and it says which version it is."""
    api = api_of(own_plane.kubeconfig)
    api.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="kept"), data={"a": "b"}))
    before = own_plane.pids["kube-apiserver"]
    own_plane.restart_api()
    assert own_plane.pids["kube-apiserver"] != before
    assert api.read_namespaced_config_map("kept", "default").data == {"a": "b"}
    assert client.VersionApi(api.api_client).get_code().git_version == programs.version()


def test_end_leaves_nothing(kubernetes: dict[str, Path], tmp_path: Path) -> None:
    """No process and no file, also when another process ends it."""
    directory = tmp_path / "plane"
    plane = control_plane.ControlPlane(directory)
    plane.start(kubernetes)
    pids = plane.pids
    assert set(pids) >= set(programs.NEEDED)
    assert all(
        os.stat(path).st_mode & 0o077 == 0 for path in (plane.kubeconfig, directory / "tokens.csv", directory / "service-accounts.key")
    )
    script = f"from pathlib import Path; from tests.cluster import control_plane; print(control_plane.stop_kept(Path({str(directory)!r})))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "True\n"
    for process in plane._processes.values():
        process.wait(5)
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    assert not directory.exists()


def test_part_that_does_not_start_is_told_with_its_last_words(kubernetes: dict[str, Path], tmp_path: Path) -> None:
    """And the parts that did start end."""
    plane = control_plane.ControlPlane(tmp_path / "plane")
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho no such flag >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(control_plane.Failed, match=r"(?s)kube-apiserver ended: .*no such flag"):
        plane.start({**kubernetes, "kube-apiserver": broken})
    assert plane.pids == {}
    assert not plane.directory.exists()


def test_kubeconfig_is_the_administrators(kubeconfig: Path) -> None:
    """It says so of itself."""
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(verb="*", group="*", resource="*"))
    )
    api = client.AuthorizationV1Api(config.new_client_from_config(str(kubeconfig)))
    assert api.create_self_subject_access_review(review).status.allowed
