"""Where it is measured: a state directory with a broker's configuration, a PostgreSQL with a history in it, and the servers on it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg

from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from apb_broker.storage.migrate import migrate

START_SECONDS = 60
HISTORY = 20_000  # operations in the table that is looked into

# A history of its own, the same rows without apb's indexes for the other side, and a table as empty as apb's for what is accepted.
FILL = f"""
INSERT INTO operations (id, kind, instance_id, requested_by, state, deadline_at, description)
SELECT 'op-' || n, 'provision', 'instance-' || n, 'bench', 'running', now() + interval '1 day', 'Start the server'
FROM generate_series(1, {HISTORY}) n;
CREATE TABLE bench_operations AS SELECT * FROM operations;
ALTER TABLE bench_operations ADD PRIMARY KEY (id);
CREATE TABLE bench_accepted (
  id text PRIMARY KEY, kind text NOT NULL, state text NOT NULL, request text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
ANALYZE;
"""
EMPTY = """
DELETE FROM operations WHERE requested_by <> 'bench';
TRUNCATE instances, health, bindings, allocations, reservations, bench_accepted;
"""


class Place:
    """One state directory and the servers that run on it."""

    def __init__(self, root: Path) -> None:
        self.state = StateDirectory(root)
        self._log = (root / "servers.log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []

    def fill(self, ports: str) -> None:
        """Configuration, tables, history."""
        self.state.create()
        configuration.first_configuration(self.state, listen=f"127.0.0.1:{free_port()}", ports=ports)
        migrate(self.state.embedded().start())
        self.sql(FILL)

    def sql(self, statements: str) -> None:
        """Statements of ours on the broker's database."""
        with psycopg.connect(self.state.embedded().url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute(statements.encode())

    def empty(self) -> None:
        """Takes out what was accepted."""
        self.sql(EMPTY)

    def serve(self, port: int, *command: str) -> None:
        """A server (a module and its arguments), until it answers on that port. Raises RuntimeError when it ends instead."""
        environment = {**os.environ, "APB_STATE_DIR": str(self.state.root)}
        process = subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=self._log, stderr=self._log)
        self._processes.append(process)
        give_up = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < give_up:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False)
                return
            time.sleep(0.05)
        raise RuntimeError(f"{' '.join(command)} does not answer: {Path(self._log.name).read_text()[-2000:]}")

    def cpu_seconds(self) -> float:
        """What all of its servers and the PostgreSQL have used of the processors. Those that are not asked anything use nothing."""
        roots = [process.pid for process in self._processes] + [self.state.embedded().pid() or os.getpid()]
        used = 0.0
        for process in [found for root in map(psutil.Process, roots) for found in [root, *root.children(recursive=True)]]:
            with contextlib.suppress(psutil.NoSuchProcess):
                used += sum(process.cpu_times()[:2])
        return used

    def stop(self) -> None:
        """Ends the servers and the PostgreSQL."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(90)
        self._log.close()
        self.state.embedded().stop()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A place that nothing is left of."""
    root = Path(tempfile.mkdtemp(prefix="apb-bench-"))
    root.chmod(0o711)
    (root / "lock").touch(mode=0o600)  # marks the directory as ours
    made = Place(root)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(root, ignore_errors=True)
