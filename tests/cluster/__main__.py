"""`make cluster-up` and `make cluster-down`: a cluster to try things on, which goes on until it is told to end.

And what it takes: `build` makes its programs, `go` says whether there is something to make them with, `load` brings images to its node.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.cluster import control_plane, programs
from tests.cluster.node import cluster
from tests.cluster.node import programs as node

DIRECTORY = Path(__file__).parents[2] / "build" / "cluster"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = {"up": up, "down": down, "build": build, "go": go, "load": load}
    parser.add_argument("what", choices=list(commands))
    parser.add_argument("images", nargs="*", type=Path, metavar="ARCHIVE", help="for `load`: what `docker save` writes, or an OCI layout")
    parser.add_argument("--node", action="store_true", help="the cluster with a node, whose pods run")
    given = parser.parse_args()
    try:
        commands[given.what](given)
    except control_plane.Failed as error:
        sys.exit(str(error))


def build(_given: argparse.Namespace) -> None:
    """Only the programs, for tests that begin later. Where there can be none this is told, and an error where they are required."""
    began = time.monotonic()
    try:
        found = programs.find()
    except programs.Missing as error:
        sys.exit(str(error)) if programs.are_required() else print(f"tests/cluster is skipped: {error}")
    else:
        print(f"{found['kube-apiserver'].parent} in {time.monotonic() - began:.0f} s")


def go(_given: argparse.Namespace) -> None:
    """Whether there is a Go to build them with."""
    try:
        programs.go()
    except programs.Missing:
        sys.exit(1)


def up(given: argparse.Namespace) -> None:
    """Starts it, unless it is there already."""
    made = cluster.Cluster(with_node()) if given.node else control_plane.ControlPlane(DIRECTORY)
    if made.kubeconfig.exists():
        sys.exit(f"there is one already: export KUBECONFIG={made.kubeconfig}, or `make cluster-down` first")
    try:
        found = node.find() if given.node else programs.find()
    except programs.Missing as error:
        sys.exit(str(error))
    made.start(found)
    print(f"export KUBECONFIG={made.kubeconfig}")
    if kubectl := found.get("kubectl"):
        print(f"export PATH={kubectl.parent}:$PATH  # kubectl")


def load(given: argparse.Namespace) -> None:
    """Images, to its node."""
    for image in given.images:
        cluster.Cluster(with_node()).load(image)


def down(given: argparse.Namespace) -> None:
    """Ends what there is, or only the one with a node."""
    ended = [cluster.stop_kept(with_node()), not given.node and control_plane.stop_kept(DIRECTORY)]
    print("ended" if any(ended) else "there is none")


def with_node() -> Path:
    """Where the one with a node lives: a machine has only one, whatever checkout it is of."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "apb-test-cluster"


if __name__ == "__main__":
    main()
