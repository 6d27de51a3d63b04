"""The cluster that tests of the catalog's controller and modules speak to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import control_plane, programs


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The administrator's, of a real API: the given cluster's (KUBECONFIG), or that of a control plane for these tests alone."""
    given = os.environ.get("KUBECONFIG")
    if given:
        yield Path(given)
        return
    try:
        with control_plane.running(tmp_path_factory.mktemp("cluster") / "plane") as plane:
            yield plane.kubeconfig
    except programs.Missing as error:
        pytest.skip(str(error))


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[control_plane.ControlPlane]:
    """A control plane that a test may break."""
    try:
        with control_plane.running(tmp_path / "plane") as plane:
            yield plane
    except programs.Missing as error:
        pytest.skip(str(error))
