"""A Kubernetes control plane on this machine: etcd, API server, controllers. No node, so nothing that is scheduled ever runs.

All of it is in one directory; ports are the loopback interface's. It is up in some seconds, and its end leaves nothing.
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
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import ports
from tests.cluster import programs

START_SECONDS, STOP_SECONDS = 60, 20
PAUSE_SECONDS = 0.05
SERVICES = "10.201.0.0/16"
ADVERTISED = "10.200.0.1"  # of a node's interface, once there is one; it must not be a loopback address
CONTROLLERS = "kube-controller-manager"


class Failed(Exception):
    """It did not come up. The message holds the last words of the part that did not."""


class ControlPlane:
    """One that runs, or will. `kubeconfig` is its administrator's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kubeconfig = directory / "kubeconfig"
        self.pids_file = directory / "pids.json"
        self._tokens, self._key, self._certificates = (
            directory / "tokens.csv",
            directory / "service-accounts.key",
            directory / "certificates",
        )
        self._port = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://127.0.0.1:{self._port}"

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
        self._token = secrets.token_urlsafe(24)
        _write(self._tokens, f"{self._token},admin,admin,system:masters\n")

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
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--advertise-address={ADVERTISED}",
            f"--cert-dir={self._certificates}",
            f"--token-auth-file={self._tokens}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._key}",
            f"--service-account-signing-key-file={self._key}",
            f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged",
            *options,
        )
        self._wait("kube-apiserver", self._is_ready)
        self._write_kubeconfig()

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
        ]

    def _is_ready(self) -> bool:
        certificate = self._certificates / "apiserver.crt"
        if not certificate.exists():
            return False
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self._token}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_trusting(certificate)))
        with contextlib.suppress(urllib.error.URLError, OSError):
            return bool(opener.open(request, timeout=5).status == 200)
        return False

    def _write_kubeconfig(self) -> None:
        cluster = {"server": self.url, "certificate-authority": str(self._certificates / "apiserver.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
            "current-context": "tests",
        }
        _write(self.kubeconfig, json.dumps(config, indent=2))

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

    def stop(self) -> None:
        """Ends all parts, one after the other: the API server does not end well without its etcd."""
        for name in (CONTROLLERS, "kube-apiserver", "etcd"):
            if (process := self._processes.get(name)) is None:
                continue
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)


def stop_kept(directory: Path) -> bool:
    """Ends what another process has started there; whether there was anything."""
    file = directory / "pids.json"
    if not file.exists():
        return False
    for name, pid in reversed(json.loads(file.read_text()).items()):
        _end(name, pid)
    shutil.rmtree(directory)
    return True


def _end(name: str, pid: int) -> None:
    """SIGTERM, unless the number is somebody else's by now, and in the end SIGKILL."""
    for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
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
def running(directory: Path) -> Iterator[ControlPlane]:
    """One for as long as it is needed. Raises programs.Missing, Failed."""
    made = ControlPlane(directory)
    made.start(programs.find())
    try:
        yield made
    finally:
        made.stop()
