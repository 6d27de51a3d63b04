"""A Kubernetes control plane on this machine: etcd, API server, controllers. Without a node (`node/`) nothing that is scheduled ever runs.

All of it is in one directory; ports are the loopback interface's, unless a node needs them. It is up in some seconds, and its end leaves
nothing.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import ports

START_SECONDS, STOP_SECONDS = 60, 20
PAUSE_SECONDS = 0.05
SERVICES = "10.201.0.0/16"
ADVERTISED = "10.200.0.1"  # of a node's interface, once there is one; it must not be a loopback address
CONTROLLERS = "kube-controller-manager"
ADMINISTRATOR = "admin"


class Failed(Exception):
    """It did not come up. The message holds the last words of the part that did not."""


@dataclass(frozen=True)
class Setting:
    """What it is for: where its API listens, whom it knows besides its administrator (name, group), what its parts are told besides."""

    address: str = "127.0.0.1"
    authorization: str = "RBAC"
    users: tuple[tuple[str, str], ...] = ()
    of_api: tuple[str, ...] = ()
    of_controllers: tuple[str, ...] = ()


ALONE = Setting()


class Runs(Protocol):
    """What is started, and stopped in the end: a control plane, or one with a node."""

    def start(self, found: Mapping[str, Path]) -> None:
        """By these programs. Raises Failed."""

    def stop(self) -> None:
        """Nothing of it is left."""


Startable = TypeVar("Startable", bound=Runs)


class ControlPlane:
    """One that runs, or will. `kubeconfig` is its administrator's."""

    def __init__(self, directory: Path, setting: Setting = ALONE) -> None:
        self.directory, self._setting = directory, setting
        self.kubeconfig = directory / "kubeconfig"
        self.pids_file = directory / "pids.json"
        self._tokens, self._key, self._certificates = (
            directory / "tokens.csv",
            directory / "service-accounts.key",
            directory / "certificates",
        )
        self.certificate = self._certificates / "apiserver.crt"
        self._port = 0
        self._tokens_of: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://{self._setting.address}:{self._port}"

    @property
    def pids(self) -> dict[str, int]:
        """Its processes by the parts' names."""
        return {name: process.pid for name, process in self._processes.items()}

    def start(self, found: Mapping[str, Path]) -> None:
        """Starts all parts there are programs for, and waits until they are ready. Raises Failed, and leaves nothing then."""
        try:
            self._start(found)
        except BaseException:
            self.stop()
            raise

    def _start(self, found: Mapping[str, Path]) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._port = ports.free()
        self._make_credentials()
        etcd = self._start_etcd(found["etcd"])
        self.start_api(found["kube-apiserver"], etcd)
        if CONTROLLERS in found:
            self._run(CONTROLLERS, found[CONTROLLERS], *self._of_controllers())
        self.pids_file.write_text(json.dumps(self.pids))

    def _make_credentials(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encoding, form, sealing = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        _write(self._key, key.private_bytes(encoding, form, sealing).decode())
        users = ((ADMINISTRATOR, "system:masters"), *self._setting.users)
        self._tokens_of = {name: secrets.token_urlsafe(24) for name, _ in users}
        _write(self._tokens, "".join(f"{self._tokens_of[name]},{name},{name},{group}\n" for name, group in users))

    def _start_etcd(self, program: Path) -> str:
        client, peer = (f"http://127.0.0.1:{ports.free()}" for _ in range(2))
        options = ("--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer)
        peers = ("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")
        self._run("etcd", program, "--data-dir", str(self.directory / "etcd"), "--unsafe-no-fsync", "--log-level", "warn", *options, *peers)
        return client

    def start_api(self, program: Path, etcd: str, *options: str) -> None:
        """The API server, until it is ready; also once more, after it was killed."""
        self._of_api = (program, etcd)
        self._run(
            "kube-apiserver",
            program,
            f"--etcd-servers={etcd}",
            f"--bind-address={self._setting.address}",
            f"--secure-port={self._port}",
            f"--advertise-address={ADVERTISED}",
            f"--cert-dir={self._certificates}",
            f"--token-auth-file={self._tokens}",
            f"--authorization-mode={self._setting.authorization}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._key}",
            f"--service-account-signing-key-file={self._key}",
            f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged",
            *self._setting.of_api,
            *options,
        )
        self._wait("kube-apiserver", self._is_ready)
        self.write_kubeconfig(self.kubeconfig)

    def restart_api(self) -> None:
        """SIGKILL to the API server, and another in its place."""
        self.kill_api()
        self.start_api_again()

    def kill_api(self) -> None:
        """SIGKILL to the API server."""
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait()

    def start_api_again(self, *options: str) -> None:
        """Another in its place."""
        self.start_api(*self._of_api, *options)

    @contextlib.contextmanager
    def api_standing_still(self) -> Iterator[None]:
        """The API server answers nothing, and keeps all connections."""
        pid = self.pids["kube-apiserver"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def compact(self) -> int:
        """etcd forgets all that was before now; the revision that it is at."""
        # Any key, by the gateway that etcd has for JSON: the answer's header has the revision.
        revision = int(self._ask_etcd("range", {"key": "AA=="})["header"]["revision"])
        self._ask_etcd("compaction", {"revision": str(revision), "physical": True})
        return revision

    def _ask_etcd(self, verb: str, body: Mapping[str, object]) -> dict[str, dict[str, str]]:
        request = urllib.request.Request(f"{self._of_api[1]}/v3/kv/{verb}", json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=START_SECONDS) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
        return found

    def _of_controllers(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={ports.free()}",
            f"--cert-dir={self._certificates}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self._key}",
            *self._setting.of_controllers,
        ]

    def _is_ready(self) -> bool:
        if not self.certificate.exists():
            return False
        login = {"Authorization": f"Bearer {self._tokens_of[ADMINISTRATOR]}"}
        request = urllib.request.Request(f"{self.url}/readyz", headers=login)
        trusting = urllib.request.HTTPSHandler(context=_trusting(self.certificate))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting)
        with contextlib.suppress(urllib.error.URLError, OSError):
            return bool(opener.open(request, timeout=5).status == 200)
        return False

    def write_kubeconfig(self, place: Path, user: str = ADMINISTRATOR) -> None:
        """Of one whom the setting names."""
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self._tokens_of[user]}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
            "current-context": "tests",
        }
        _write(place, json.dumps(config, indent=2))

    def _run(self, name: str, program: Path, *arguments: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([name, *arguments], executable=program, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")
        self._processes[name] = process

    def _wait(self, name: str, condition) -> None:
        end = time.monotonic() + START_SECONDS
        while not condition():
            if self._processes[name].poll() is not None:
                raise Failed(f"{name} ended: {self._last_words(name)}")
            if time.monotonic() > end:
                raise Failed(f"{name} was not ready within {START_SECONDS} s: {self._last_words(name)}")
            time.sleep(PAUSE_SECONDS)

    def _last_words(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")[-2000:]

    def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """Ends all parts, one after the other: the API server does not end well without its etcd, nor while it has clients."""
        for name in (CONTROLLERS, "kube-apiserver", "etcd"):
            if (process := self._processes.get(name)) is None:
                continue
            process.terminate()
            try:
                process.wait(patience_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)


def stop_kept(directory: Path, patience_seconds: float = STOP_SECONDS) -> bool:
    """Ends what another process has started there; whether there was anything."""
    file = directory / "pids.json"
    if not file.exists():
        return False
    for name, pid in reversed(json.loads(file.read_text()).items()):
        _end(name, pid, patience_seconds)
    shutil.rmtree(directory)
    return True


def _end(name: str, pid: int, patience_seconds: float) -> None:
    """SIGTERM, unless the number is somebody else's by now, and in the end SIGKILL."""
    for number, patience in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, STOP_SECONDS)):
        end = time.monotonic() + patience
        with contextlib.suppress(ProcessLookupError):
            if _name_of(pid) == name:
                os.kill(pid, number)
        while _name_of(pid) == name and time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)


def _name_of(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


@contextlib.contextmanager
def running(made: Startable, found: Mapping[str, Path]) -> Iterator[Startable]:
    """One of these programs, for as long as it is needed. Raises Failed."""
    made.start(found)
    try:
        yield made
    finally:
        made.stop()
