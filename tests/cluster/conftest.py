"""The cluster that tests of the catalog's controller and modules speak to."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.brokers import scripted
from tests.cluster import account, control_plane, programs
from tests.cluster.catalog import GONE, Catalog, allowed
from tests.cluster.controllers import Controller
from tests.e2e import own_services
from tests.e2e.machine import Machine, machine
from tests.integration.collection import postgresql_server


@pytest.fixture(scope="session")
def kubernetes() -> dict[str, Path]:
    """The programs of a control plane. Who needs them is skipped where there are none, or fails where they are required."""
    try:
        return programs.find()
    except programs.Missing as error:
        if programs.are_required():
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The administrator's, of a real API: the given cluster's (KUBECONFIG), or that of a control plane for these tests alone."""
    given = os.environ.get("KUBECONFIG")
    if given:
        yield Path(given)
        return
    plane = control_plane.ControlPlane(tmp_path_factory.mktemp("cluster") / "plane")
    with control_plane.running(plane, request.getfixturevalue("kubernetes")):
        yield plane.kubeconfig


@pytest.fixture
def own_plane(kubernetes: dict[str, Path], tmp_path: Path) -> Iterator[control_plane.ControlPlane]:
    """A control plane that a test may break."""
    with control_plane.running(control_plane.ControlPlane(tmp_path / "plane"), kubernetes) as plane:
        yield plane


@pytest.fixture(scope="session")
def rights(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of the controller's own account, in a cluster that has the catalog's kinds."""
    Catalog(kubeconfig).define()
    return account.kubeconfig(kubeconfig, tmp_path_factory.mktemp("account") / "kubeconfig")


@pytest.fixture(scope="module")
def controller(request: pytest.FixtureRequest, rights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """`apb controller` at work for the tests of one file, with that file's OPTIONS."""
    options = ("--no-lease", "--namespace", account.NAMESPACE, *getattr(request.module, "OPTIONS", ()))
    made = Controller(rights, tmp_path_factory.mktemp("controller") / "log", *options)
    try:
        yield made.start()
        made.stop()
    finally:
        made.end()


@pytest.fixture
def space(kubeconfig: Path, rights: Path) -> Iterator[Catalog]:
    """The cluster, seen from a namespace of the test's own, which ends with it."""
    made = Catalog(kubeconfig, f"test-{time.time_ns()}")
    made.core.create_namespace({"metadata": {"name": made.namespace}})
    yield made
    with allowed(GONE):
        made.core.delete_namespace(made.namespace)


@pytest.fixture
def broker() -> Iterator[scripted.Broker]:
    """A broker that does what the test says; at its end nothing is left of anybody, and nothing was done wrong."""
    with contextlib.closing(scripted.Broker()) as made:
        yield made
        made.assert_clean()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_server.Server]:
    """A server of the operator's."""
    with postgresql_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def up(postgresql: postgresql_server.Server) -> Iterator[Machine]:
    """`apb up` with its own services: a Redis on this machine, a database of that server."""
    with machine() as made:
        own_services.offer(made, {"name": "apb.catalog.postgresql"}, [])
        file = made.state / "apb.yml"
        offered = yaml.safe_load(file.read_text())
        offered["targets"]["pg"] = own_services.shared_target(made.state, "pg", postgresql, postgresql_server)
        offered["offers"].append({"plan": "postgresql/postgresql-tenant", "mode": "shared", "targets": ["pg"]})
        file.write_text(yaml.safe_dump(offered))
        made.start()
        yield made
        made.stop()
