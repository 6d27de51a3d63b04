"""What every place has: a directory, three verbs, and place.json, which the playbooks get as variables.

start: make the place, note what is in it. left: tell what is in it now and was not then, and fail for it. stop: end what runs.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path


def run(start: Callable[[Path], dict], content: Callable[[Path], list[str]], stop: Callable[[Path], None]) -> None:
    """Does what the command line says: VERB DIRECTORY. `start` returns the variables for the playbooks."""
    verb, directory = sys.argv[1], Path(sys.argv[2])
    if verb == "start":
        write_private(directory / "place.json", json.dumps(start(directory)))
        (directory / "content.json").write_text(json.dumps(content(directory)))
    elif verb == "left" and (directory / "content.json").exists():  # else its start failed, and nothing came into it
        before = json.loads((directory / "content.json").read_text())
        if left := [line for line in content(directory) if line not in before]:
            sys.exit("left behind: " + "; ".join(left))
    elif verb == "stop":
        stop(directory)


def server_of(directory: Path) -> dict:
    """The operator's server as the playbooks know it."""
    return json.loads((directory / "place.json").read_text())["apb_server"]


def write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def free_ports(number: int) -> list[int]:
    """So many in a row."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        first = found.getsockname()[1]
    ports = list(range(first, first + number))
    return ports if ports[-1] < 65536 and not any(answers(port) for port in ports) else free_ports(number)


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def end_process(pid_file: Path, how: signal.Signals) -> None:
    """Ends the process and waits for it. The first line of the file is its pid; without the file there is none."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split()[0])
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    wait_for(lambda: not Path(f"/proc/{pid}/exe").exists(), f"the end of process {pid}", 60)
