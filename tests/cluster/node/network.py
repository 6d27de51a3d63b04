"""The network between this machine and its node: one pair of devices, of which the other end is in the node's network namespace.

Pods and services are behind it. All of it goes with that namespace: the machine's own rules and settings are not touched.
"""

import subprocess
from pathlib import Path

from tests.cluster.control_plane import ADVERTISED, SERVICES

DEVICE, INSIDE = "apbnode0", "eth0"
MACHINE, NODE = ADVERTISED, "10.200.0.2"
PODS = "10.202.0.0/16"


def is_there() -> bool:
    """Whether this machine has a node, or something that calls itself so."""
    return Path(f"/sys/class/net/{DEVICE}").exists()


def connect(pid: int) -> None:
    """The machine's end; the other one belongs to the network namespace of that process."""
    _ip(f"link add {DEVICE} type veth peer name {INSIDE} netns {pid}")
    _ip(f"address add {MACHINE}/24 dev {DEVICE}")
    _ip(f"link set {DEVICE} up")
    for addresses in (SERVICES, PODS):
        _ip(f"route add {addresses} via {NODE}")


def connect_inside() -> None:
    """The node's end, said by a process in its namespaces."""
    _ip("link set lo up")
    _ip(f"address add {NODE}/24 dev {INSIDE}")
    _ip(f"link set {INSIDE} up")
    _ip(f"route add default via {MACHINE}")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True)
