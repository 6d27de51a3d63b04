"""What older runs left working: real processes with the variables of a run in their environment."""

import os
import subprocess
import sys
import time
import uuid

import psutil
import pytest
from ansible_collections.apb.catalog.plugins.module_utils import host_runs, instance_home
from ansible_collections.apb.catalog.plugins.module_utils.host_errors import HostError

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
# Its child has a session and an environment of its own, and tells its number.
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], env={{}}, start_new_session=True, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def slug():
    return f"redis-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def started():
    """Start processes as a module of a run; they end with the test."""
    made = []

    def start(slug, epoch, script=STUBBORN):
        environment = {**os.environ, "APB_INSTANCE": slug, "APB_EPOCH": str(epoch)}
        process = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
        made.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in made:
        process.kill()
        process.wait()
        process.stdout.close()


def lives(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_older_runs_of_the_instance_end_and_no_others(slug, started):
    """A lower epoch of the same instance; the same epoch, higher ones and other instances go on."""
    old, _ = started(slug, 4)
    others = [started(slug, 5)[0], started(slug, 6)[0], started(f"{slug}0", 4)[0], started(slug, "x")[0]]
    host_runs.end_older(slug, 5)
    assert not lives(old.pid)
    assert all(lives(other.pid) for other in others)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a namespace of processes")
def test_older_run_in_a_container_is_another_hosts(slug):
    """A host may be a container on a machine that is a host too: what the container's own runs do is none of the machine's business."""
    marks = ["env", f"APB_INSTANCE={slug}", "APB_EPOCH=4"]
    command = ["unshare", "--pid", "--fork", "--kill-child=KILL", *marks, sys.executable, "-c", STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as container:
        assert container.stdout.readline() == "up\n"
        (inside,) = psutil.Process(container.pid).children()
        host_runs.end_older(slug, 5)
        assert lives(inside.pid)
        container.kill()


def test_older_run_ends_with_all_that_it_started(slug, started):
    """A child with a session and environment of its own is found by its parent."""
    parent, child = started(slug, 1, PARENT)
    assert lives(int(child))
    host_runs.end_older(slug, 2)
    assert not lives(parent.pid)
    assert not lives(int(child))


def test_run_does_not_end_itself_nor_who_started_it(slug):
    """Called by a module of a lower epoch (somebody set the variables by hand), it comes back."""
    script = (
        "from ansible_collections.apb.catalog.plugins.module_utils import host_runs;"
        f"import os; host_runs.end_older({slug!r}, 9); os.write(1, b'back')"
    )
    environment = {**os.environ, "APB_INSTANCE": slug, "APB_EPOCH": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["sh", "-c", '"$@"; exit', "sh", sys.executable, "-c", script], env=environment, capture_output=True, timeout=30)
    assert done.stdout == b"back", done.stderr


def test_older_run_that_does_not_end_is_told(slug, started, monkeypatch):
    """In the kernel's hands a process may ignore even SIGKILL; then nobody may go on beside it."""
    old, _ = started(slug, 1)
    monkeypatch.setattr(host_runs, "_send", lambda pid, signal_number: None)
    monkeypatch.setattr(host_runs, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(HostError, match=rf"processes \[{old.pid}\] of an earlier run of {slug} do not end"):
        host_runs.end_older(slug, 2)


@pytest.mark.parametrize("state", ["present", "claimed", "absent"])
def test_fence_ends_older_runs_first(slug, started, tmp_path, monkeypatch, state):
    """Also one that holds the fence's lock and hangs: it is not waited for."""
    monkeypatch.setattr("ansible_collections.apb.catalog.plugins.module_utils.host_layout.is_root", lambda: False)
    for name in ("fence", "instances"):
        (tmp_path / name).mkdir()
    lock = tmp_path / "fence/.lock"
    old, _ = started(
        slug, 1, f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, 2); print('up', flush=True); time.sleep(600)"
    )
    began = time.monotonic()
    given = {"directory": str(tmp_path), "slug": slug, "epoch": 2, "ports": [], "state": state}
    instance_home.work(given, False)
    assert not lives(old.pid)
    assert time.monotonic() - began < 10
