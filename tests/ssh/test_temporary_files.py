"""What Ansible puts on a host for a task, and what becomes of it when the task is killed: the next run of its instance removes it."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from apb_broker.execution import processes
from apb_broker.lifecycle import interventions
from apb_broker.lifecycle.broker import Broker
from tests import scenarios
from tests.e2e.machine import wait
from tests.secrets.looking import Search
from tests.ssh.hosts import Host
from tests.ssh.site import SUCCEEDED, Site, ended, slug_of

INSTANCE = f"tmp-{uuid.uuid4()}"
LISTED = ("root", "run", "home", "etc", "opt", "srv", "tmp", "var", "dev/shm", "mnt")


@pytest.fixture(autouse=True)
def nothing_left(site: Site, far: Broker) -> Iterator[None]:
    """Whatever a test does: at its end the hosts are as they were before it."""
    before = site.states()
    yield
    site.require(before)


@pytest.fixture(params=["True", pytest.param("False", marks=pytest.mark.long)], ids=["pipelining", "no-pipelining"])
def pipelining(request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    """The worker's ANSIBLE_PIPELINING."""
    monkeypatch.setitem(site.environment, "ANSIBLE_PIPELINING", request.param)
    return str(request.param)


def left(host: Host) -> set[Path]:
    """Files that wait for their task."""
    return {path for path in host.temporary.rglob("*") if path.is_file()}


def configurations(host: Host) -> list[Path]:
    """Those of the instance's files that are on their way. They come and go."""
    found = []
    for path in left(host):
        try:
            if b"Written by apb" in path.read_bytes() or b"user default on #" in path.read_bytes():
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def kill_with_all(pid: int) -> None:
    """SIGKILL to a worker and all that it runs, without a pause in which these could tidy up."""
    for each in [pid, *processes.descendants(pid)]:
        processes.send(each, signal.SIGSTOP)
    for each in [*processes.descendants(pid), pid]:
        processes.send(each, signal.SIGKILL)


def secrets_of(far: Broker) -> dict[str, str]:
    """All that the broker keeps for the instance alone."""
    with far.database.unit() as unit:
        row = unit.instance(INSTANCE)
        assert row is not None
        assert row.secrets
        return dict(row.secrets)


def holders(host: Host, secrets: dict[str, str], since: float) -> set[str]:
    """The files on the host, outside of its instances' directories, that were written since then and hold one of these."""
    search, homes = Search(secrets), host.directory / "instances"
    found = set()
    for place in LISTED:
        for folder, folders, names in os.walk(host.root / place):
            folders[:] = [name for name in folders if Path(folder, name) != homes]
            for path in (Path(folder, name) for name in names):
                if path.is_file() and not path.is_symlink() and path.stat().st_ctime >= since and search.names_in(path.read_bytes()):
                    found.add(str(path.relative_to(host.root)))
    return found


def test_files_of_a_task_that_was_killed_go_with_the_next_run(site: Site, far: Broker, pipelining: str) -> None:
    """SIGKILL while a configuration is on its way: it lies there until another worker's run begins, and no secret is left after that."""
    since = time.time() - 1
    made = scenarios.provision(far, INSTANCE, parameters={"memory": 0.1}).operation_id
    host, slug = site.host_of(far, INSTANCE), slug_of(far, INSTANCE)
    worker = site.start_worker()
    try:
        wait(lambda: configurations(host), 120, "a configuration on its way")
    finally:
        kill_with_all(worker.pid)
        worker.wait()
    wait(lambda: not host.pids("sshd: ops"), 20, "the end of the connections")
    old = left(host)
    assert configurations(host)
    assert {path.relative_to(host.temporary).parts[0] for path in old} == {f"apb-{slug}"}
    planted = host.root / "tmp/planted"
    planted.write_text("".join(secrets_of(far).values()))
    assert holders(host, secrets_of(far), since) == {"tmp/planted"}
    planted.unlink()
    with site.worker():
        assert ended(far, made) == SUCCEEDED
        assert not left(host)
        assert holders(host, secrets_of(far), since) == set()
        assert ended(far, scenarios.deprovision(far, INSTANCE).operation_id) == SUCCEEDED
    assert not list(host.temporary.iterdir())


@pytest.mark.parametrize("by", ["cancel", pytest.param("removal", marks=pytest.mark.long)])
def test_files_of_a_task_that_was_halted_go_with_its_operation(site: Site, far: Broker, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """Without pipelining the module lies there, and hangs; after the cancel, or the removal, nothing is left."""
    monkeypatch.setitem(site.environment, "ANSIBLE_PIPELINING", "False")
    made = str(scenarios.provision(far, INSTANCE, parameters={"memory": 0.1}).operation_id)
    host = site.host_of(far, INSTANCE)
    host.stop_next()
    with site.worker():
        wait(host.hanging, 120, "the task")
        (module,) = left(host)
        assert module.name == "AnsiballZ_instance_home.py"
        if by == "cancel":
            interventions.cancel(far, scenarios.ANN, made)
            assert ended(far, made)["error"] == "canceled"
            assert not module.exists()
            assert not left(host)
        assert ended(far, scenarios.deprovision(far, INSTANCE).operation_id) == SUCCEEDED
    assert not list(host.temporary.iterdir())
