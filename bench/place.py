"""Where it is measured: a state directory with a broker's configuration, a database, and the processes on it."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import yaml

from apb_broker.machine import configuration, environment, preparation
from apb_broker.machine.state import StateDirectory
from apb_broker.storage.migrate import migrate
from bench import processes

START_SECONDS = 60
STOP_SECONDS = 90
REST_SECONDS = 10
LIVEZ = "/livez"


class Place:
    """One state directory with a PostgreSQL, and the processes that run on it."""

    def __init__(self, root: Path) -> None:
        self.state = StateDirectory(root)
        self._postgres = self.state.embedded()
        (root / "lock").touch(mode=0o600)  # marks the directory as ours
        self._log = (root / "processes.log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []

    def fill(self, ports: str, **changes: Any) -> None:
        """Configuration and tables. `changes` are of the top level of apb.yml."""
        self.state.create()
        configuration.first_configuration(self.state, listen=f"127.0.0.1:{free_port()}", ports=ports)
        self.configure(**changes)
        migrate(self._postgres.start())

    def configure(self, **changes: Any) -> None:
        """Changes the top level of apb.yml; `settings` are added to those that there are."""
        document = yaml.safe_load(self.state.config_file.read_text())
        added = {**document.get("settings", {}), **changes.pop("settings", {})}
        self.state.config_file.write_text(yaml.safe_dump({**document, **changes, "settings": added}))

    def prepare_host(self) -> None:
        """This machine, for instances in this state directory."""
        log = self.state.logs / "prepare.log"
        preparation.prepare_host(self.state.host, log, environment.of_children(), time.sleep, roles=["apb.catalog.redis"])

    @property
    def url(self) -> str:
        """Of its database."""
        return self._postgres.url

    def sql(self, statements: str, *values: Any) -> list[tuple[Any, ...]]:
        """Statements of ours on the broker's database; the rows of the last one."""
        with psycopg.connect(self.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            done = connection.execute(statements.encode(), values or None)
            return done.fetchall() if done.description else []

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """A process: a module and its arguments."""
        ours = {**os.environ, "APB_STATE_DIR": str(self.state.root)}
        process = subprocess.Popen([sys.executable, "-m", *command], env=ours, stdout=self._log, stderr=self._log)
        self._processes.append(process)
        return process

    def serve(self, port: int, *command: str) -> "subprocess.Popen[bytes]":
        """A server, until it answers on that port. Raises RuntimeError when it does not."""
        process = self.start(*command)

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}{LIVEZ}", trust_env=False)
                return True
            return False

        self.wait(lambda: process.poll() is not None or answers(), START_SECONDS, f"an answer of {' '.join(command)}")
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} has ended: {self.last_words()}")
        return process

    def work(self, count: int = 1) -> "list[subprocess.Popen[bytes]]":
        """That many workers, until they are heard of and have loaded what they load."""
        self.sql("TRUNCATE workers")
        started = [self.start("apb_cli.main", "worker") for _ in range(count)]
        self.wait(lambda: self.sql("SELECT count(*) FROM workers") == [(count,)], START_SECONDS, f"the start of {count} workers")
        processes.await_rest([process.pid for process in started], REST_SECONDS)
        return started

    def wait(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Until it holds. Raises RuntimeError, with the last words of the processes, when it does not in time."""
        wait(condition, seconds, what, self.last_words)

    def last_words(self) -> str:
        """The end of what its processes said."""
        return Path(self._log.name).read_text(errors="replace")[-2000:]

    def roots(self) -> list[int]:
        """The processes that were started here and live, and the PostgreSQL."""
        return [pid for pids in self._by_name().values() for pid in pids]

    def _by_name(self) -> dict[str, list[int]]:
        """{the last word of a command, as serve or worker: processes}."""
        database = self._postgres.pid()
        found = {"postgresql": [database] if database else []}
        for process in self._processes:
            if process.poll() is None:
                found.setdefault(process.args[3], []).append(process.pid)  # type: ignore[index]
        return found

    def cpu_seconds(self) -> float:
        """What all of its processes and the PostgreSQL have used of the processors. Those that are not asked anything use nothing."""
        return sum(self.cpu_by_name().values())

    def cpu_by_name(self) -> dict[str, float]:
        """The same by what they are: serve, worker (with its runs), postgresql."""
        return {name: processes.cpu_seconds(pids) for name, pids in self._by_name().items()}

    def end(self, ended: "list[subprocess.Popen[bytes]]") -> None:
        """SIGTERM to processes that were started here, and their end."""
        for process in ended:
            process.terminate()
        for process in ended:
            process.wait(STOP_SECONDS)
            self._processes.remove(process)

    def stop(self) -> None:
        """Ends the processes, the instances and the PostgreSQL."""
        self.end(list(self._processes))
        self._log.close()
        self._end_instances()
        self._postgres.stop()

    def _end_instances(self) -> None:
        """What a measurement that was interrupted has left: supervisord with its servers, and their users."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            supervisor = psutil.Process(int((self.state.host / "supervisor/supervisord.pid").read_text()))
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait(STOP_SECONDS)
        directory = self.state.host / "instances"
        for path in directory.iterdir() if os.geteuid() == 0 and directory.is_dir() else ():
            with contextlib.suppress(KeyError):
                subprocess.run(["userdel", pwd.getpwuid(path.stat().st_uid).pw_name], capture_output=True, check=False)


def wait(condition: Callable[[], object], seconds: float, what: str, last_words: Callable[[], str] = str) -> None:
    """Until it holds. Raises RuntimeError when it does not in time."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise RuntimeError(f"{what} did not come within {seconds:g} s: {last_words()}")
        time.sleep(0.02)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_range(size: int, number: int = 0) -> str:
    """A range of ports on which nobody listens now, below those that the kernel gives to clients; each number has another one."""
    first = 20000 + 1000 * number
    while any(_is_open(port) for port in range(first, first + size)):
        first += size
    return f"{first}-{first + size - 1}"


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A directory that other users can pass, with a short name, that nothing is left of."""
    root = Path(tempfile.mkdtemp(prefix="apb-bench-"))
    root.chmod(0o711)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A place that nothing is left of."""
    with directory() as root:
        made = Place(root)
        try:
            yield made
        finally:
            made.stop()
