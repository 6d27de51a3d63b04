"""The first process of the node's namespaces: it mounts, starts the parts that `parts.json` lists, and lasts as long as all of them do.

When it ends, whatever way, the kernel ends all others of its namespace; mounts, devices and rules go with them.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.node import network
from tests.cluster.node.configuration import PLACE

START_SECONDS = 60
PAUSE_SECONDS = 0.05
# What parts write to places of their own choice, which is kept in the node's directory instead.
COVERED = ("/var/lib", "/var/log")
# A kubelet wants these as they are here, and sets them otherwise: for the whole machine, whose they are.
KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}


def main() -> None:
    """Waits for a line, which says that the network is there and the list is written."""
    directory = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not sys.stdin.readline():
        sys.exit("nobody wants a node any more")
    mount(directory)
    network.connect_inside()
    parts = [Part(**each) for each in json.loads((PLACE / "parts.json").read_text())]
    for part in parts:
        part.start()
    while True:
        pid, status = os.wait()
        for part in parts:
            if part.process.pid == pid:
                sys.exit(f"{part.name} ended: {os.waitstatus_to_exitcode(status)}")


def mount(directory: Path) -> None:
    """Everything that is to be seen in the node only. Kubernetes wants a tree whose mounts are shared with its containers."""
    _mount("--make-rshared", "/")
    _mount("-t", "tmpfs", "tmpfs", "/run")
    PLACE.mkdir()
    _mount("--bind", str(directory), str(PLACE))
    for place in COVERED:
        above, work = (PLACE / "covers" / place.strip("/").replace("/", "-") / part for part in ("above", "work"))
        above.mkdir(parents=True)
        work.mkdir()
        _mount("-t", "overlay", "overlay", "-o", f"lowerdir={place},upperdir={above},workdir={work}", place)
    for name, value in KERNEL.items():
        shown = PLACE / "kernel" / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(f"{value}\n")
        _mount("--bind", str(shown), f"/proc/sys/{name}")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


class Part:
    """One program of the node. `until`: the file whose appearance says that others may begin."""

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, program: str, arguments: list[str], until: str | None = None) -> None:
        self.name, self._command, self._program = name, [name, *arguments], program
        self._log, self._until = PLACE / f"{name}.log", until and Path(until)

    def start(self) -> None:
        """Until it can be used by others; they are told nothing when it cannot, and end."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, executable=self._program, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while self._until is not None and not self._until.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{self.name} does not start: {self._log}")
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
