"""A cluster with instances, a broker that answers at once, and the controller between them: processes that are started and looked at."""

import asyncio
import contextlib
import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import parser as prometheus

from bench import cluster, place, processes
from tests.cluster import control_plane

NAMESPACE = "bench"
INSTANCES = f"{cluster.CATALOG}/namespaces/{NAMESPACE}/serviceinstances"
BROKERS = f"{cluster.CATALOG}/clusterservicebrokers"
EXAMPLE = "example"
STOP_SECONDS, LONGEST_SECONDS = 30, 300
LOOK_SECONDS = 0.02


def instance(name: str) -> cluster.Object:
    """One as people make them."""
    words = {"clusterServiceClassExternalName": "cache", "clusterServicePlanExternalName": "small"}
    return {
        "apiVersion": "servicecatalog.k8s.io/v1beta1",
        "kind": "ServiceInstance",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**words, "parameters": {"size": 3, "name": name, "zones": ["a", "b"]}},
    }


class Broker:
    """The scripted one of the tests, as a process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.brokers.scripted"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def summary(self) -> dict[str, Any]:
        """What it has, and was asked."""
        found: dict[str, Any] = httpx.get(f"{self.url}/summary", trust_env=False).json()
        return found

    def stop(self) -> None:
        """Its end."""
        self.process.terminate()
        self.process.communicate(timeout=STOP_SECONDS)


class Controller:
    """`apb controller`, as a process. `metrics` is what it tells Prometheus."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._port, self._log = place.free_port(), log
        command = [sys.executable, "-m", "apb_cli.main", "controller", "--metrics", f"127.0.0.1:{self._port}"]
        self.began = time.monotonic()
        # With modules that are compiled already, as where it is installed, whatever the environment says.
        ours = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPYCACHEPREFIX": str(log.parent / "compiled")}
        ours.pop("PYTHONDONTWRITEBYTECODE", None)
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, env=ours, stdout=out, stderr=out)
        self._http = httpx.Client(trust_env=False, timeout=30)

    def metrics(self) -> dict[str, float]:
        """{name{labels}: value}; empty while it does not answer. Raises RuntimeError when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the controller has ended: {self.last_words()}")
        try:
            text = self._http.get(f"http://127.0.0.1:{self._port}/metrics").text
        except httpx.TransportError:
            return {}
        found = {}
        for family in prometheus.text_string_to_metric_families(text):
            for sample in (each for each in family.samples if not each.name.endswith("_created")):
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}"] = sample.value
        return found

    def is_idle(self, instances: int) -> bool:
        """Whether it leads, knows all instances, has looked at them, and nothing waits."""
        told = self.metrics()
        looks = [value for name, value in told.items() if name.startswith("apb_controller_looks_total{") and "=ServiceInstance" in name]
        waiting = sum(told.get(name, 1) for name in ("apb_controller_queue_length{}", "apb_controller_looks_running{}"))
        known = told.get("apb_controller_objects{kind=ServiceInstance}", 0)
        return told.get("apb_controller_leading{}") == 1 and known >= instances and sum(looks) >= instances and waiting == 0

    def await_idle(self, instances: int) -> float:
        """Seconds from its start until then."""
        place.wait(lambda: self.is_idle(instances), LONGEST_SECONDS, "rest")
        return time.monotonic() - self.began

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def memory(self) -> dict[str, float]:
        """In MB: of it and all below it, and its own highest."""
        figures = processes.memory_mb([self.process.pid], lambda _process: "controller")["controller"]
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        highest = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return {**figures, "highest_rss": highest / 1024}

    def stop(self) -> None:
        """SIGTERM, and its end."""
        self._http.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS)


class Site:
    """All of it. The controller is started by who measures."""

    def __init__(self, plane: control_plane.ControlPlane, broker: Broker) -> None:
        self.plane, self.broker = plane, broker
        self.log = plane.directory / "controller.log"
        self.filled = 0

    @contextlib.contextmanager
    def controller(self) -> Iterator[Controller]:
        """One."""
        made = Controller(self.plane.kubeconfig, self.log)
        try:
            yield made
        except RuntimeError as error:
            raise RuntimeError(f"{error}; {self.broker.summary()}; {made.metrics()}; {made.last_words()}") from error
        finally:
            made.stop()

    def cpu_seconds(self, controller: Controller) -> dict[str, float]:
        """By what they are."""
        roots = {
            "controller": controller.process.pid,
            "API server": self.plane.pids["kube-apiserver"],
            "etcd": self.plane.pids["etcd"],
            "broker": self.broker.process.pid,
        }
        return {name: processes.cpu_seconds([pid]) for name, pid in roots.items()}

    async def prepare(self) -> None:
        """Kinds, namespace and broker."""
        async with cluster.Client(self.plane.kubeconfig) as client:
            await client.define()
            await client.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            spec = {"url": self.broker.url}
            broker = {"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ClusterServiceBroker", "metadata": {"name": "instant"}}
            await client.call("POST", BROKERS, {**broker, "spec": spec})

    async def fill(self, wanted: int) -> None:
        """So many provisioned instances: copies of one that the controller itself has had made, under other ids."""
        async with cluster.Client(self.plane.kubeconfig) as client:
            if not self.filled:
                await self._make_example(client)
            example = await client.call("GET", f"{INSTANCES}/{EXAMPLE}")

            async def one(number: int) -> None:
                copied = _copy(example, number)
                made = await client.call("POST", INSTANCES, copied)
                made["status"] = copied["status"]
                await client.call("PUT", f"{INSTANCES}/{made['metadata']['name']}/status", made)

            await cluster.all_of(range(self.filled, wanted), one)
            self.filled = max(self.filled, wanted)

    async def _make_example(self, client: cluster.Client) -> None:
        with self.controller() as controller:
            await wait_until(lambda: has_catalog(client), "the catalog")
            await client.call("POST", INSTANCES, instance(EXAMPLE))
            await wait_until(lambda: are_ready(client, 1), "the first instance")
            await asyncio.to_thread(controller.await_idle, 1)
        self.filled = 1


def _copy(example: cluster.Object, number: int) -> cluster.Object:
    """Of the first generation: that is what an object is made with."""
    made = copy.deepcopy(example)
    kept = {name: made["metadata"][name] for name in ("namespace", "labels", "finalizers") if name in made["metadata"]}
    made["metadata"] = {**kept, "name": f"filled-{number}"}
    made["spec"]["externalID"] = f"filled-{number}"
    made["status"] |= {"observedGeneration": 1, "reconciledGeneration": 1}
    return made


async def has_catalog(client: cluster.Client) -> bool:
    """Whether the broker is ready."""
    return _is_ready(await client.call("GET", f"{BROKERS}/instant"))


async def are_ready(client: cluster.Client, wanted: int, prefix: str = "") -> bool:
    """Whether so many instances whose names begin so are."""
    found = [each for each in await client.items(INSTANCES) if each["metadata"]["name"].startswith(prefix)]
    return sum(_is_ready(each) for each in found) >= wanted


async def are_gone(client: cluster.Client, prefix: str) -> bool:
    """Whether none is left whose name begins so."""
    return not any(each["metadata"]["name"].startswith(prefix) for each in await client.items(INSTANCES))


async def wait_until(condition: Any, what: str, pause_seconds: float = LOOK_SECONDS) -> None:
    """Until it holds. Raises RuntimeError."""
    give_up = time.monotonic() + LONGEST_SECONDS
    while not await condition():
        if time.monotonic() > give_up:
            raise RuntimeError(f"{what} did not come within {LONGEST_SECONDS} s")
        await asyncio.sleep(pause_seconds)


def _is_ready(thing: cluster.Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in (thing.get("status") or {}).get("conditions", []))


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """One that nothing is left of. Raises programs.Missing."""
    with cluster.running() as plane:
        broker = Broker()
        try:
            made = Site(plane, broker)
            asyncio.run(made.prepare())
            yield made
        finally:
            broker.stop()
