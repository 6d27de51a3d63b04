"""This machine as a host of the operator's, prepared in the scenario's directory."""

import pwd
import signal
import subprocess
from pathlib import Path

import place

INSTANCES = 10


def start(directory: Path) -> dict:
    ports, below = place.free_ports(INSTANCES), directory / "host"
    subprocess.run(["ansible-playbook", "apb.catalog.prepare_host", "-e", f"apb_directory={below}"], check=True, stdout=subprocess.DEVNULL)
    return {"apb_directory": str(below), "apb_address": "127.0.0.1", "apb_port_range": f"{ports[0]}-{ports[-1]}"}


def content(directory: Path) -> list[str]:
    """The fence remembers every instance that ever was: of these there may be no file, no system user and no process."""
    below = directory / "host"
    files = [*below.glob("instances/*"), *below.glob("supervisor/conf.d/*")]
    users = {user.pw_name for user in pwd.getpwall()}
    left = [f"user apb-{path.name}" for path in below.glob("fence/*") if f"apb-{path.name}" in users]
    return [f"file {path}" for path in files] + left + [f"process {pid}" for pid in processes_in(below / "instances")]


def processes_in(directory: Path) -> list[int]:
    """Those that work below the directory, also when it is removed."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.readlink().is_relative_to(directory):
                found.append(int(path.parent.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def stop(directory: Path) -> None:
    place.end_process(directory / "host/supervisor/supervisord.pid", signal.SIGTERM)


if __name__ == "__main__":
    place.run(start, content, stop)
