"""The directory of the web processes' counters: there while one of them lives, removed by the next server when all were killed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apb_broker import metrics_directory

# The server and one web process of it, which inherits the lock.
SERVER = """
import os, time
from apb_broker import metrics_directory
path = metrics_directory.create()
web = os.fork()
if web:
    print(path, web, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, int, subprocess.Popen[str]]]:
    """A server's directory, its web process, and itself."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert process.stdout is not None
    path, web = process.stdout.readline().split()
    yield Path(path), int(web), process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_metrics_directory_stays_until_the_last_process_is_dead(server: tuple[Path, int, subprocess.Popen[str]], tmp_path: Path) -> None:
    """A web process may outlive its server for a moment; when both are dead the next server removes what they left."""
    path, web, process = server
    metrics_directory.sweep(tmp_path)
    assert path.is_dir()
    process.kill()
    process.wait()
    metrics_directory.sweep(tmp_path)
    assert path.is_dir()
    os.kill(web, signal.SIGKILL)
    while Path(f"/proc/{web}").exists() and Path(f"/proc/{web}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    metrics_directory.sweep(tmp_path)
    assert not path.exists()


def test_metrics_directory_that_is_being_made_is_not_removed(tmp_path: Path) -> None:
    """A fresh one without a lock is somebody's who is about to take it."""
    (tmp_path / "apb-metrics-new").mkdir()
    metrics_directory.sweep(tmp_path)
    assert (tmp_path / "apb-metrics-new").is_dir()
    os.utime(tmp_path / "apb-metrics-new", (0, 0))
    metrics_directory.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
