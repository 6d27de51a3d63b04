"""The real thing under load: `apb serve` and two `apb worker` on a state directory of their own, and what was done to them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from tests.load import history
from tests.load.clients import Client, Offered, Pace, Wire

WORKERS = 2
START_SECONDS = 120
STOP_SECONDS = 90


class Site:
    """One broker: a web server, two workers."""

    def __init__(self, state: StateDirectory, seed: int) -> None:
        self.state, self.seed = state, seed
        self.record = state.logs / "runs"  # where scripted runs say what they do
        self._processes: list[subprocess.Popen[bytes]] = []

    def configure(self, **changes: Any) -> None:
        """Changes the top level of its apb.yml."""
        document = yaml.safe_load(self.state.config_file.read_text())
        self.state.config_file.write_text(yaml.safe_dump({**document, **changes}))

    def start(self) -> None:
        """All three, until the broker answers."""
        for name in ("serve", *["worker"] * WORKERS):
            self.start_one(name)
        wait(self._answers, START_SECONDS, "the start of the broker")

    def start_one(self, name: str, place: int | None = None) -> None:
        """One process, in the place of one that has ended, or beside the others. Not until it answers."""
        number = len(self._processes) if place is None else place
        with (self.state.logs / f"{name}-{number}.log").open("ab") as log:
            environment = {**os.environ, "APB_STATE_DIR": str(self.state.root)}
            command = [sys.executable, "-m", "apb_cli.main", name]
            self._processes[number : number + 1] = [
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            ]

    def signal_one(self, place: int, number: int) -> None:
        """A signal to one process."""
        self._processes[place].send_signal(number)

    def stop_one(self, place: int) -> None:
        """SIGTERM to one process, and its end, which has to be a good one."""
        self.signal_one(place, signal.SIGTERM)
        assert self._processes[place].wait(STOP_SECONDS) == 0, self.logs()

    def runs_of(self, place: int, wire: Wire) -> int:
        """How many operations one worker has in hand."""
        pid = self._processes[place].pid
        return sum((line["worker"] or "").endswith(f"/{pid}") for line in wire.in_progress())

    def _answers(self) -> bool:
        assert not [each for each in self._processes if each.poll() is not None], self.logs()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.admin['url']}/livez", trust_env=False).status_code == httpx.codes.OK
        return False

    @property
    def admin(self) -> dict[str, str]:
        """Where it listens, and as whom to speak to it."""
        found: dict[str, str] = json.loads(self.state.admin_file.read_text())
        return found

    def logs(self) -> str:
        """The ends of its logs."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.state.logs.glob("*.log")))

    def stop(self) -> None:
        """Ends the processes as an operator would. They end by themselves then."""
        for process in self._processes:
            process.terminate()
        try:
            assert [process.wait(STOP_SECONDS) for process in self._processes] == [0] * len(self._processes), self.logs()
        finally:
            for process in self._processes:
                process.kill()

    def load(self, offered: Offered, instances: list[str], clients: int, pace: Pace) -> tuple[Wire, list[str]]:
        """That many clients; the exchanges, and which clients got no answer."""
        wire, working = self.begin(offered, instances, clients, pace)
        return wire, ended(working)

    def begin(self, offered: Offered, instances: list[str], clients: int, pace: Pace, **wire: Any) -> tuple[Wire, list[Client]]:
        """That many clients, at work; `ended` waits for them."""
        made = Wire(self.admin, **wire)
        working = [Client(number, self.seed, made, offered, instances, pace) for number in range(clients)]
        for client in working:
            client.start()
        return made, working

    def settle(self, wire: Wire, seconds: float) -> float:
        """Waits until nothing is in progress; when that was."""
        wait(lambda: not wire.in_progress(), seconds, "the end of all operations")
        return history.clock()

    def look(self, wire: Wire, instances: list[str], *, quiet_at: float, deadline_seconds: float, recorded: bool) -> history.History:
        """Asks once more for everything there is, and puts the history together."""
        told = {(each.instance, each.binding, each.operation) for each in wire.exchanges if each.operation is not None}
        for instance, binding, operation in told:
            verb, asked = "poll" if binding is None else "poll_binding", {"operation": operation}
            wire.exchange(verb, instance, binding, query=asked, asked=asked)
        for instance, binding in {(each.instance, each.binding) for each in wire.exchanges}:
            wire.exchange("fetch" if binding is None else "fetch_binding", instance, binding)
        listed = {each["id"]: each for each in wire.admin("instances").json()["instances"]}
        done = [wire.admin(f"operations?{httpx.QueryParams(instance=each, limit=1000)}").json()["operations"] for each in instances]
        return history.History(
            exchanges=wire.exchanges,
            runs=history.read_runs(self.record) if recorded else None,
            operations=[operation for lines in done for operation in history.read_operations(lines)],
            quiet_at=quiet_at,
            deadline_seconds=deadline_seconds,
            found={each: listed.get(each) for each in instances},
        )


def ended(working: list[Client]) -> list[str]:
    """Waits for the end of clients; which of them got no answer."""
    for client in working:
        client.join()
    return [f"{client.name}: {client.failure!r}" for client in working if client.failure is not None]


def wait(condition: Any, seconds: float, what: str) -> None:
    """Until it holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"{what} did not come within {seconds} s"
        time.sleep(0.2)


@contextlib.contextmanager
def site(root: Path, database_url: str, *, listen: str, ports: str, seed: int) -> Iterator[Site]:
    """A site that is configured as a first `apb up` does it, on a database that is there already; nothing runs yet."""
    state = StateDirectory(root)
    state.create()
    configuration.first_configuration(state, listen=listen, ports=ports)
    state.keep_database_url(database_url)
    made = Site(state, seed)
    try:
        yield made
    finally:
        made.stop()
