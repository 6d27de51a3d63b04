"""`make cluster-up` and `make cluster-down`: a control plane to try things on, which goes on until it is told to end."""

import argparse
import sys
from pathlib import Path

from tests.cluster import control_plane, programs

DIRECTORY = Path(__file__).parents[2] / "build" / "cluster"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    {"up": up, "down": down}[parser.parse_args().what]()


def up() -> None:
    """Starts it, unless it is there already."""
    made = control_plane.ControlPlane(DIRECTORY)
    if made.pids_file.exists():
        sys.exit(f"there is one already: export KUBECONFIG={made.kubeconfig}, or `make cluster-down` first")
    try:
        made.start(programs.find())
    except (programs.Missing, control_plane.Failed) as error:
        sys.exit(str(error))
    print(f"export KUBECONFIG={made.kubeconfig}")


def down() -> None:
    """Ends it."""
    print("ended" if control_plane.stop_kept(DIRECTORY) else "there is none")


if __name__ == "__main__":
    main()
