"""A cluster whose pods run, for the tests of one file at a time: there is one node on a machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import control_plane
from tests.cluster.node import archive, cluster, programs

ECHO = "localhost/apb-echo:1"


@pytest.fixture(scope="session")
def of_node() -> dict[str, Path]:
    """Its programs."""
    try:
        return programs.find()
    except programs.Missing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def node(of_node: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Cluster]:
    """The cluster."""
    with control_plane.running(cluster.Cluster(tmp_path_factory.mktemp("cluster") / "noded"), of_node) as made:
        yield made


@pytest.fixture(scope="module")
def kubeconfig(node: cluster.Cluster) -> Path:
    """Its administrator's."""
    return node.kubeconfig


@pytest.fixture(scope="module")
def echo(node: cluster.Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of an image whose program says its arguments, or serves the name of its pod on port 8080."""
    node.load(archive.write(tmp_path_factory.mktemp("echo") / "echo.tar", ECHO, programs.of_image("echo")))
    return ECHO
