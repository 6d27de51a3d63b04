"""The programs of a Kubernetes control plane: given ones, or those that are built here once and kept for all checkouts.

`KUBEBUILDER_ASSETS` names a directory with them, as for envtest. What is built is one program (`server/`), which is called by many names.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).parent / "server"
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
NEEDED = NAMES[:2]  # for an API; envtest has no others
BUILD = ("go", "build", "-trimpath", "-buildvcs=false")


class Missing(Exception):
    """There are none, and none can be made. The message says why."""


def find(say: Callable[[str], None] = print) -> dict[str, Path]:
    """The programs by name: at least NEEDED. Builds them where none are given; takes minutes the first time. Raises Missing."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given:
        found = {name: Path(given) / name for name in NAMES if (Path(given) / name).is_file()}
        if lacking := set(NEEDED) - found.keys():
            raise Missing(f"KUBEBUILDER_ASSETS={given} has no {' and no '.join(sorted(lacking))}")
        return found
    place = _cache() / _digest()
    if not place.is_dir():
        _build(place, say)
    return {name: place / name for name in NAMES}


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "apb-tests" / "cluster"


def _digest() -> str:
    """Of all that the program is made from."""
    made = hashlib.sha256()
    for path in sorted(path for path in SOURCE.iterdir() if path.suffix in (".go", ".mod", ".sum")):
        made.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return made.hexdigest()[:16]


def version() -> str:
    """Of Kubernetes, as it is built here: v1.34.4."""
    return re.findall(r"^\s*k8s\.io/kubernetes (\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)[0]


def _build(place: Path, say: Callable[[str], None]) -> None:
    if shutil.which("go") is None:
        raise Missing("no Kubernetes is given (KUBECONFIG, KUBEBUILDER_ASSETS), and there is no `go` to build one with")
    say(f"building Kubernetes {version()} once, which takes some minutes: {place}")
    partial = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # Without these it calls itself v0.0.0-master, and clients that look at versions refuse it.
    flags = " ".join(f"-X k8s.io/{package}/version.gitVersion={version()}" for package in ("component-base", "client-go/pkg"))
    done = subprocess.run(
        [*BUILD, "-ldflags", f"-s -w {flags}", "-o", partial / "kubernetes", "."], cwd=SOURCE, capture_output=True, text=True
    )
    if done.returncode != 0:
        shutil.rmtree(partial)
        raise Missing(f"Kubernetes cannot be built: {done.stderr.strip()[-2000:]}")
    for name in NAMES:
        (partial / name).symlink_to("kubernetes")
    try:
        partial.rename(place)
    except OSError:  # another has built it meanwhile
        shutil.rmtree(partial)
