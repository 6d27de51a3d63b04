"""`make cluster-up` and `make cluster-down`: a cluster to try things on, which goes on until it is told to end."""

import argparse
import os
import sys
from pathlib import Path

from tests.cluster import control_plane, programs
from tests.cluster.node import cluster

DIRECTORY = Path(__file__).parents[2] / "build" / "cluster"
THERE = "there is one already: export KUBECONFIG={}, or `make cluster-down` first"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "load"])
    parser.add_argument("images", nargs="*", type=Path, metavar="ARCHIVE", help="for `load`: what `docker save` writes, or an OCI layout")
    parser.add_argument("--node", action="store_true", help="the one with a node, so that pods run (needs root and some Debian packages)")
    given = parser.parse_args()
    try:
        _do(given)
    except (programs.Missing, control_plane.Failed) as error:
        sys.exit(str(error))


def _do(given: argparse.Namespace) -> None:
    if given.what == "down":
        down(is_noded_only=given.node)
    elif given.what == "load":
        for image in given.images:
            cluster.Cluster(with_node()).load(image)
    else:
        up(cluster.Cluster(with_node()) if given.node else control_plane.ControlPlane(DIRECTORY))


def with_node() -> Path:
    """Where one with a node lives: a machine has only one, whatever checkout it is of."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "apb-tests" / "cluster"


def up(made: control_plane.ControlPlane | cluster.Cluster) -> None:
    """Starts it, unless it is there already."""
    if made.kubeconfig.exists():
        sys.exit(THERE.format(made.kubeconfig))
    if isinstance(made, cluster.Cluster):
        made.start()
    else:
        made.start(programs.find())
    print(f"export KUBECONFIG={made.kubeconfig}")


def down(*, is_noded_only: bool) -> None:
    """Ends what there is, or the one with a node."""
    ended = [cluster.stop_kept(with_node()), not is_noded_only and control_plane.stop_kept(DIRECTORY)]
    print("ended" if any(ended) else "there is none")


if __name__ == "__main__":
    main()
