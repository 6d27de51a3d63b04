"""`make cluster-up` and `make cluster-down`: a control plane to try things on, which goes on until it is told to end.

And what it takes: `build` makes its programs, `go` says whether there is something to make them with.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.cluster import control_plane, programs

DIRECTORY = Path(__file__).parents[2] / "build" / "cluster"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = {"up": up, "down": down, "build": build, "go": go}
    parser.add_argument("what", choices=list(commands))
    commands[parser.parse_args().what]()


def build() -> None:
    """Only the programs, for tests that begin later. Where there can be none this is told, and an error where they are required."""
    began = time.monotonic()
    try:
        found = programs.find()
    except programs.Missing as error:
        sys.exit(str(error)) if programs.are_required() else print(f"tests/cluster is skipped: {error}")
    else:
        print(f"{found['kube-apiserver'].parent} in {time.monotonic() - began:.0f} s")


def go() -> None:
    """Whether there is a Go to build them with."""
    try:
        programs.go()
    except programs.Missing:
        sys.exit(1)


def up() -> None:
    """Starts it, unless it is there already."""
    made = control_plane.ControlPlane(DIRECTORY)
    if made.pids_file.exists():
        sys.exit(f"there is one already: export KUBECONFIG={made.kubeconfig}, or `make cluster-down` first")
    try:
        found = programs.find()
        made.start(found)
    except (programs.Missing, control_plane.Failed) as error:
        sys.exit(str(error))
    print(f"export KUBECONFIG={made.kubeconfig}")
    if kubectl := found.get("kubectl"):
        print(f"export PATH={kubectl.parent}:$PATH  # kubectl")


def down() -> None:
    """Ends it."""
    print("ended" if control_plane.stop_kept(DIRECTORY) else "there is none")


if __name__ == "__main__":
    main()
