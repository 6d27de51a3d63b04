"""A whole apb on this machine for tests: `apb up` in a directory of its own, the command line, power loss, and the cleaning up."""

import contextlib
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
import yaml

from apb_broker.execution.warm.keeper import STARTING
from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from tests import ports

APB = [sys.executable, "-m", "apb_cli.main"]


def wait(condition: Callable[[], object], seconds: float = 60, what: str = "it") -> Any:
    """Until the condition holds; its value. Fails when it does not in time."""
    give_up = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < give_up, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)
    return value


def free_ports(wanted: int = 20) -> str:
    """A range of ports nobody listens on now; suites that run side by side get different ones."""
    for _ in range(100):
        first = random.randrange(20000, 32000, wanted)
        if not any(is_open(port) for port in range(first, first + wanted)):
            return f"{first}-{first + wanted - 1}"
    raise AssertionError("no free ports")


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Machine:
    """One state directory and what runs on it."""

    def __init__(self, state: Path, port_range: str) -> None:
        self.state = state
        self.environment = {**os.environ, "APB_STATE_DIR": str(state), "NO_COLOR": "1"}
        self.environment.pop("DATABASE_URL", None)
        self.listen = f"127.0.0.1:{ports.free()}"
        self.up: subprocess.Popen[bytes] | None = None
        self.ports = port_range
        self.cwd: Path | None = None  # of every command
        self.executor = os.environ.get("APB_TEST_EXECUTOR", "warm")

    @property
    def instances(self) -> Path:
        """Where instances have their directories."""
        return self.state / "host" / "instances"

    def start(self) -> None:
        """`apb up`, until it answers."""
        self._choose_executor()
        with (self.state / "up.log").open("ab") as log:
            self.up = subprocess.Popen([*APB, "up", *self._first], env=self.environment, stdout=log, stderr=log, cwd=self.cwd)
        wait(lambda: self._answers() or self._died(), 120, "the start of apb up")

    def _choose_executor(self) -> None:
        """How actions run, where it is not as by default."""
        if self.executor == "warm":
            return
        state = StateDirectory(self.state)
        if not state.config_file.exists():
            configuration.first_configuration(state, self.listen, self.ports)
        config = yaml.safe_load(state.config_file.read_text())
        config.setdefault("settings", {}).setdefault("executor", self.executor)
        state.config_file.write_text(yaml.safe_dump(config))

    def cold_runs(self) -> set[str]:
        """Why runs that were to be warm were not, but for those before there was a warm process."""
        told = [json.loads(line) for line in (self.state / "logs" / "worker.log").read_text().splitlines() if line.startswith("{")]
        return {line["reason"] for line in told if line["event"].startswith("this run is a cold one")} - {STARTING}

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            url = json.loads((self.state / "admin.json").read_text())["url"]
            return httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK
        return False

    @property
    def _first(self) -> list[str]:
        """What only the first start takes."""
        return [] if (self.state / "apb.yml").exists() else ["--listen", self.listen, "--ports", self.ports]

    def _died(self) -> bool:
        assert self.up is not None
        assert self.up.poll() is None, (self.state / "up.log").read_text()
        return False

    def stop(self) -> None:
        """SIGTERM to `apb up`; instances keep running."""
        if self.up is not None and self.up.poll() is None:
            self.up.send_signal(signal.SIGTERM)
            assert self.up.wait(90) == 0

    def call(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Any apb command."""
        return subprocess.run([*APB, *words], env=self.environment, capture_output=True, text=True, input=stdin, timeout=300, cwd=self.cwd)

    def apb(self, *words: str, stdin: str | None = None) -> Any:
        """An apb command that has to succeed; what it prints, as JSON."""
        done = self.call(*words, "-o", "json", stdin=stdin)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def slug(self, name: str) -> str:
        """The name of an instance on this machine."""
        from ansible_collections.apb.catalog.plugins.module_utils import service

        found = self.apb("instances", name)
        return service.slug(found["service"], found["id"])

    @contextlib.contextmanager
    def next_run_held(self) -> Iterator[None]:
        """The next run's ansible-playbook stands still as soon as there is one, until this ends: a run may take less than a command."""
        held: list[psutil.Process] = []
        is_over = threading.Event()

        def watch() -> None:
            while not held and not is_over.is_set():
                held.extend(self._playbooks())
            for playbook in held:
                playbook.suspend()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
            wait(lambda: held, what="a run")
        finally:
            is_over.set()
            thread.join()
            for playbook in held:
                playbook.resume()

    def _playbooks(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            (worker,) = json.loads((self.state / "children.json").read_text())["worker"][:1]
            runners = [runner for supervisor in psutil.Process(worker).children() for runner in supervisor.children()]
            return [each for runner in runners for each in runner.children() if "ansible-playbook" in " ".join(each.cmdline())]
        return []

    def supervisor(self) -> psutil.Process | None:
        """The supervisord of this directory."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            return psutil.Process(int((self.state / "host/supervisor/supervisord.pid").read_text()))
        return None

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on this directory: broker, worker, PostgreSQL, supervisord, instances."""
        roots = [psutil.Process(self.up.pid)] if self.up is not None and self.up.poll() is None else []
        supervisor = self.supervisor()
        if supervisor is not None:
            roots.append(supervisor)
        found = {process.pid: process for root in roots for process in [root, *root.children(recursive=True)]}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.state) in " ".join(process.cmdline()) or process.cwd().startswith(str(self.state)):
                    found[process.pid] = process
        return list(found.values())

    def power_loss(self) -> None:
        """SIGKILL to all of it at once."""
        found = self.processes()
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.up is not None:
            self.up.wait()
        wait(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in found), 20, "the end of all processes")

    def remove(self) -> None:
        """Nothing of it stays: processes, system users, files."""
        self.power_loss()
        if os.geteuid() == 0 and self.instances.is_dir():
            for path in self.instances.iterdir():
                with contextlib.suppress(KeyError):
                    subprocess.run(["userdel", pwd.getpwuid(path.stat().st_uid).pw_name], capture_output=True, check=False)
        shutil.rmtree(self.state, ignore_errors=True)


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A machine that nothing is left of."""
    state = Path(tempfile.mkdtemp(prefix="apb-e2e-", dir="/tmp")) / "s"
    state.parent.chmod(0o711)
    state.mkdir(mode=0o711)
    (state / "lock").touch(mode=0o600)  # marks the directory as ours, since the log of `apb up` lies in it first
    made = Machine(state, free_ports())
    try:
        yield made
    finally:
        made.remove()
        shutil.rmtree(state.parent, ignore_errors=True)


def login(credentials: dict[str, Any]) -> redis.Redis:
    """A real client with exactly what a binding returned."""
    return redis.Redis.from_url(credentials["uri"], socket_timeout=5)


def servers_in(directory: Path) -> list[psutil.Process]:
    """The processes that work in a directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(directory):
                found.append(process)
    return found
