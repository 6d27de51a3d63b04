"""The programs of a Kubernetes control plane: given ones, or those that are built here once and kept for all checkouts.

`KUBEBUILDER_ASSETS` names a directory with them, as for envtest. What is built is one program (`server/`), which is called by many names.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCE = Path(__file__).parent / "server"
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
OF_A_NODE = ("kube-scheduler", "kubelet", "kube-proxy")
NEEDED = NAMES[:2]  # for an API
BUILD = ("build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
# Without a C compiler it is the same program; memory is cheaper here than what compilers spend on saving it.
SETTINGS = {"CGO_ENABLED": "0", "GOGC": "400"}


class Missing(Exception):
    """There are none, and none can be made. The message says why."""


def find(say: Callable[[str], None] = print, *, has_node: bool = False) -> dict[str, Path]:
    """The programs by name: at least NEEDED; with `has_node` those of a node too.

    Builds them where none are given, or waits for who is building them, which takes minutes the first time. Raises Missing.
    """
    wanted = (*NAMES, *OF_A_NODE) if has_node else NAMES
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given:
        found = {name: Path(given) / name for name in wanted if (Path(given) / name).is_file()}
        if lacking := set(NEEDED) - found.keys():
            raise Missing(f"KUBEBUILDER_ASSETS={given} has no {' and no '.join(sorted(lacking))}")
        return found
    place = _cache() / f"{_digest()}{'-node' if has_node else ''}"
    if not place.is_dir():
        with _one_at_a_time(place):
            if not place.is_dir():  # another has built it meanwhile
                _build(place, wanted, ["-tags=node"] if has_node else [], say)
    return {name: place / name for name in wanted}


def are_required() -> bool:
    """Whether tests that need them fail where there are none, instead of being skipped: `make test cluster=required`."""
    return os.environ.get("APB_TEST_CLUSTER") == "required"


def go() -> str:
    """A Go that understands `server/go.mod`: the machine's, or that of this environment. Raises Missing."""
    reason = "there is no `go`"
    for command in filter(None, (shutil.which("go"), shutil.which("go", path=Path(sys.executable).parent))):
        done = subprocess.run([command, "list", "-m"], cwd=SOURCE, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return command
        reason = f"{command} cannot: {' '.join(done.stderr.split())[-200:]}"
    raise Missing(f"no Kubernetes is given (KUBECONFIG, KUBEBUILDER_ASSETS), and none can be built: {reason}; `make go` gets one")


def version() -> str:
    """Of Kubernetes, as it is built here: v1.34.4."""
    return re.findall(r"^\s*k8s\.io/kubernetes (\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)[0]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "apb-tests" / "cluster"


def _digest() -> str:
    """Of all that the program is made from."""
    made = hashlib.sha256(repr(BUILD).encode())
    for path in sorted(path for path in SOURCE.iterdir() if path.suffix in (".go", ".mod", ".sum")):
        made.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return made.hexdigest()[:16]


@contextlib.contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Who comes second waits for the first."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(place: Path, names: tuple[str, ...], options: list[str], say: Callable[[str], None]) -> None:
    command = go()
    say(f"building Kubernetes {version()} once, which takes some minutes: {place}")
    partial = place.with_name(f"{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    # Without these it calls itself v0.0.0-master, and clients that look at versions refuse it.
    versions = " ".join(f"-X k8s.io/{package}/version.gitVersion={version()}" for package in ("component-base", "client-go/pkg"))
    done = subprocess.run(
        [command, *BUILD, *options, "-ldflags", f"-s -w {versions}", "-o", partial / "kubernetes", "."],
        cwd=SOURCE,
        env={**SETTINGS, **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(partial)
        raise Missing(f"Kubernetes cannot be built: {done.stderr.strip()[-2000:]}")
    for name in names:
        (partial / name).symlink_to("kubernetes")
    partial.rename(place)
