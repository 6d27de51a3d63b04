"""The programs of a node: Kubernetes' and those of its images, built once and kept for all checkouts (`go/`); the others are Debian's.

They are apart from the control plane's, so that who needs no node does not build one.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cluster import programs
from tests.cluster.programs import Missing

SOURCE = Path(__file__).parent / "go"
PARTS = ("kubelet", "kube-proxy", "kube-scheduler")
OF_IMAGES = ("pause", "echo")  # static ones
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


def find(say: Callable[[str], None] = print) -> dict[str, Path]:
    """The built ones by name. Takes minutes the first time. Raises Missing, also when the machine lacks what a node needs."""
    if os.geteuid() != 0:
        raise Missing("a node needs root: it makes namespaces, mounts and a network device")
    need(PACKAGES, "a node")
    place = programs._cache() / f"node-{_digest()}"
    if not place.is_dir():
        _build(place, say)
    return {name: place / name for name in (*PARTS, *OF_IMAGES)}


def need(packages: dict[str, str], who: str) -> None:
    """Raises Missing, naming the Debian packages of programs that are not there."""
    lacking = sorted({package for program, package in packages.items() if shutil.which(program) is None})
    if lacking:
        raise Missing(f"{who} needs programs of Debian that are not here: apt-get install --no-install-recommends {' '.join(lacking)}")


def _digest() -> str:
    """Of all that they are made from."""
    made = hashlib.sha256()
    for path in sorted(path for path in SOURCE.rglob("*") if path.suffix in (".go", ".mod", ".sum")):
        made.update(f"{path.relative_to(SOURCE)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return made.hexdigest()[:16]


def _build(place: Path, say: Callable[[str], None]) -> None:
    if shutil.which("go") is None:
        raise Missing("there is no `go` to build a node with")
    say(f"building the node's part of Kubernetes {programs.version()} once, which takes some minutes: {place}")
    partial = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _compile(partial)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(partial)
        raise Missing(f"the node's programs cannot be built: {error.stderr.strip()[-2000:]}") from error
    try:
        partial.rename(place)
    except OSError:  # another has built it meanwhile
        shutil.rmtree(partial)


def _compile(place: Path) -> None:
    # Without these it calls itself v0.0.0-master, and the API server takes it for a very old node.
    flags = " ".join(f"-X k8s.io/{package}/version.gitVersion={programs.version()}" for package in ("component-base", "client-go/pkg"))
    _go(["-ldflags", f"-s -w {flags}", "-o", str(place / "kubernetes"), "."])
    for name in PARTS:
        (place / name).symlink_to("kubernetes")
    _go(["-ldflags", "-s -w", "-o", f"{place}/", *(f"./{name}" for name in OF_IMAGES)], CGO_ENABLED="0")


def _go(arguments: list[str], **environment: str) -> None:
    command = [*programs.BUILD, *arguments]
    subprocess.run(command, cwd=SOURCE, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
