"""A control plane and its node: a cluster whose pods run, in namespaces of this machine's kernel that are its own.

One process is the node's first, in namespaces of processes, mounts and network; what it starts, mounts and sets up there ends with it.
Outside of it are one network device, the control groups of its containers and one directory, which its end takes away.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from kubernetes import client, config

from tests import certificates
from tests.cluster import control_plane
from tests.cluster.control_plane import ControlPlane, Failed, Setting
from tests.cluster.node import archive, configuration, network, programs

ROOT = Path(__file__).parents[3]
START_SECONDS, STOP_SECONDS = 90, 30
PAUSE_SECONDS = 0.05
NAMESPACES = ("--mount", "--propagation", "private", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
GROUPS, GROUP = Path("/sys/fs/cgroup"), "k8s.io"  # containerd's word for those of any kubelet
CONTAINERS = "containerd/state/io.containerd.runtime.v2.task/k8s.io"
COVERED = Path("/var/lib")
FIRST = "first.pid"


class Cluster:
    """One that runs, or will. `kubeconfig` is its administrator's; `machine` is this machine's address, as pods know it."""

    machine = network.MACHINE

    def __init__(self, directory: Path) -> None:
        self.directory, self._node = directory, directory / "node"
        self.plane = ControlPlane(directory / "plane", self._setting())
        self.kubeconfig = self.plane.kubeconfig
        self._outer: subprocess.Popen[str] | None = None

    def _setting(self) -> Setting:
        return Setting(
            address=network.MACHINE,
            authorization="Node,RBAC",
            users=configuration.USERS,
            of_api=(
                "--enable-admission-plugins=NodeRestriction",
                "--kubelet-preferred-address-types=InternalIP",
                f"--kubelet-client-certificate={self._node / configuration.CLIENT}.crt",
                f"--kubelet-client-key={self._node / configuration.CLIENT}.key",
            ),
            # Pods know the API server by it.
            of_controllers=(f"--root-ca-file={self.directory / 'plane' / 'certificates' / 'apiserver.crt'}",),
        )

    def start(self, found: Mapping[str, Path]) -> None:
        """With these programs, until the node is ready for pods. Raises Failed; leaves nothing then."""
        if network.is_there():
            raise Failed(f"this machine has a node already ({network.DEVICE}): `make cluster-down` ends that of `make cluster-up`")
        if self.directory.resolve().is_relative_to(COVERED):
            raise Failed(f"{self.directory}: a node cannot live below {COVERED}, of which it sees a copy of its own")
        try:
            self._start(found)
        except BaseException:
            self.stop()
            raise

    def _start(self, found: Mapping[str, Path]) -> None:
        self._node.mkdir(mode=0o700, parents=True)
        certificates.write(self._node, configuration.CLIENT)
        network.connect(self._separate())
        self.plane.start(found)
        for user, _ in configuration.USERS:
            self.plane.write_kubeconfig(self._node / configuration.kubeconfig(user), user)
        configuration.write(self._node, found)
        assert self._outer is not None and self._outer.stdin is not None
        with self._outer.stdin as line:
            line.write("begin\n")
        self._wait(self._socket().exists, "containerd")
        self.load(archive.write(self._node / "pause.tar", configuration.PAUSE, programs.of_image("pause")))
        core = client.CoreV1Api(config.new_client_from_config(str(self.kubeconfig)))
        self._wait(lambda: _is_ready(core), "the node")

    def _separate(self) -> int:
        """The first process of the node, in namespaces of its own; its number."""
        command = ["unshare", *NAMESPACES, "--", sys.executable, "-m", "tests.cluster.node.inside", str(self._node)]
        with (self._node / "node.log").open("ab") as log:
            self._outer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT, text=True)
        self._wait(lambda: _children(self._outer.pid), "the node's first process")
        [pid] = _children(self._outer.pid)
        (self.directory / FIRST).write_text(str(pid))
        return pid

    def load(self, image: Path) -> None:
        """An image, from an archive as `docker save` or an OCI layout has it. Its name is in there."""
        command = ["ctr", "--address", str(self._socket()), "--namespace", "k8s.io", "images", "import", str(image)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{image} cannot be imported: {done.stdout}{done.stderr}")

    def _socket(self) -> Path:
        """Containerd's, as it is seen from here."""
        return Path(f"/proc/{_first(self.directory)}/root{configuration.SOCKET}")

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not condition():
            assert self._outer is not None
            if self._outer.poll() is not None:
                raise Failed(f"the node ended: {self._last_words()}")
            if time.monotonic() > end:
                raise Failed(f"{what} was not there within {START_SECONDS} s: {self._last_words()}")
            time.sleep(PAUSE_SECONDS)

    def _last_words(self) -> str:
        """Of the node's parts, each."""
        logs = sorted(self._node.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1000:]}" for log in logs)

    def stop(self) -> None:
        """Ends everything, and leaves nothing."""
        self.plane.stop(patience_seconds=0)
        _end_node(self.directory)
        if self._outer is not None:
            self._outer.wait(STOP_SECONDS)
        _clear(self.directory)


def stop_kept(directory: Path) -> bool:
    """Ends what another process has started there; whether there was anything."""
    if not directory.exists():
        return False
    control_plane.stop_kept(directory / "plane", patience_seconds=0)
    _end_node(directory)
    _clear(directory)
    return True


def _children(pid: int) -> list[int]:
    """What `unshare` has started once its namespaces are there."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _is_ready(core: client.CoreV1Api) -> bool:
    conditions = [each for node in core.list_node().items for each in node.status.conditions or []]
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


def _end_node(directory: Path) -> None:
    """SIGKILL to its first process; the kernel ends the others, and the number is not free before they have gone."""
    pid = _first(directory)
    end = time.monotonic() + STOP_SECONDS
    while pid is not None and _is_ours(pid, directory) and time.monotonic() < end:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)


def _first(directory: Path) -> int | None:
    """The number of the node's first process, if there was one."""
    with contextlib.suppress(FileNotFoundError):
        return int((directory / FIRST).read_text())
    return None


def _is_ours(pid: int, directory: Path) -> bool:
    try:
        return str(directory / "node").encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _clear(directory: Path) -> None:
    """What is left when no process is: the device goes by itself, groups and files do not."""
    end = time.monotonic() + STOP_SECONDS
    while (network.is_there() or _groups(directory)) and time.monotonic() < end:
        for group in _groups(directory):
            with contextlib.suppress(OSError):
                group.rmdir()
        time.sleep(PAUSE_SECONDS)
    for shared in (GROUPS / GROUP, *GROUPS.glob(f"*/{GROUP}")):
        with contextlib.suppress(OSError):  # of others too, then
            shared.rmdir()
    shutil.rmtree(directory, ignore_errors=True)


def _groups(directory: Path) -> list[Path]:
    """The control groups of its containers, inner ones first; each is one, or one for each kind of limit."""
    names = [f"{GROUP}/{container.name}" for container in (directory / "node" / CONTAINERS).glob("*")]
    trees = [tree for name in names for tree in (GROUPS / name, *GROUPS.glob(f"*/{name}")) if tree.is_dir()]
    return [Path(place) for tree in trees for place, _, _ in os.walk(tree, topdown=False)]
