"""`apb controller` as a process of its own, on a cluster of these tests: started, looked at, ended and killed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from prometheus_client import parser

from tests import ports
from tests.cluster import account
from tests.e2e.machine import wait

START_SECONDS, STOP_SECONDS = 60, 40


class Controller:
    """One process. `options` are the command's."""

    def __init__(self, kubeconfig: Path, log: Path, *options: str) -> None:
        self.log, self._options = log, options
        self._kubeconfig = kubeconfig
        self._port = ports.free()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, until_ready: bool = True, **environment: str) -> "Controller":
        """Starts it, and waits until it knows all objects; who waits for a Lease is ready too."""
        command = [sys.executable, "-m", "apb_cli.main", "controller", "--kubeconfig", str(self._kubeconfig)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--metrics", f"127.0.0.1:{self._port}", *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )
        if until_ready:
            wait(self._is_ready, START_SECONDS, "a controller that is ready")
        return self

    def stop(self) -> None:
        """SIGTERM, and a good end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(STOP_SECONDS) == 0, self.last_words()
            self.process = None

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def end(self) -> None:
        """However it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that have those labels."""
        text = httpx.get(f"http://127.0.0.1:{self._port}/metrics", trust_env=False).text
        return sum(
            sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def health(self, path: str) -> int:
        """The status of a probe."""
        return httpx.get(f"http://127.0.0.1:{self._port}{path}", trust_env=False).status_code

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the controller ended: {self.last_words()}"
        try:
            return self.health("/readyz") == 200
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def started(kubeconfig: Path, place: Path, *always: str) -> Iterator[Callable[..., Controller]]:
    """Starts controllers with those options and more, which all end with it."""
    made: list[Controller] = []

    def start(*options: str) -> Controller:
        one = Controller(kubeconfig, place / f"controller-{len(made)}.log", "--namespace", account.NAMESPACE, *always, *options)
        made.append(one)
        return one.start()

    try:
        yield start
    finally:
        for one in made:
            one.end()
