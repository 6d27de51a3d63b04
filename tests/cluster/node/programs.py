"""The programs of a node: Kubernetes' are built with the control plane's, those of its images here (`images/`), the others are Debian's."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster import programs
from tests.cluster.programs import Missing

SOURCE = Path(__file__).parent / "images"
PARTS = ("kubelet", "kube-proxy", "kube-scheduler")
PLUGINS = Path("/usr/lib/cni")  # where Debian has them
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    f"{PLUGINS}/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
}


def find() -> dict[str, Path]:
    """Kubernetes' by name. Builds them, which takes minutes the first time. Raises Missing, also when the machine lacks something else."""
    if os.geteuid() != 0:
        raise Missing("a node needs root: it makes namespaces, mounts and a network device")
    need(PACKAGES, "a node")
    found = programs.find(has_node=True)
    if lacking := {*PARTS, "kube-controller-manager"} - found.keys():
        raise Missing(f"a node needs {' and '.join(sorted(lacking))}, which KUBEBUILDER_ASSETS lacks")
    return found


def need(packages: dict[str, str], who: str) -> None:
    """Raises Missing, naming the Debian packages of programs that are not there."""
    lacking = sorted({package for program, package in packages.items() if shutil.which(program) is None})
    if lacking:
        raise Missing(f"{who} needs programs of Debian that are not here: apt-get install --no-install-recommends {' '.join(lacking)}")


def of_image(name: str) -> Path:
    """A static program: `pause` holds a pod's network, `echo` is for pods of tests. Raises Missing."""
    sources = [SOURCE / "go.mod", SOURCE / name / "main.go"]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    place = programs._cache() / f"image-{digest}" / name
    if not place.is_file():
        partial = place.with_name(f"{name}.{os.getpid()}")
        partial.parent.mkdir(parents=True, exist_ok=True)
        command = [programs.go(), *programs.BUILD, "-ldflags", "-s -w", "-o", str(partial), f"./{name}"]
        done = subprocess.run(command, cwd=SOURCE, env={**os.environ, **programs.SETTINGS}, capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(f"{name} cannot be built: {done.stderr.strip()[-2000:]}")
        partial.rename(place)
    return place
