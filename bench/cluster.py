"""A Kubernetes API with the catalog's kinds: the control plane of the tests, without controllers of its own, and requests to it."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml
from prometheus_client import parser as prometheus

from bench import place
from tests.cluster import control_plane, programs

DEFINITIONS = Path(__file__).parents[1] / "deploy" / "crds"
CATALOG = "/apis/servicecatalog.k8s.io/v1beta1"
DEFINED = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WRITES = ("POST", "PUT", "PATCH", "DELETE", "APPLY", "DELETECOLLECTION")
CONNECTIONS = 20
DEFINED_SECONDS = 120
Object = dict[str, Any]
Work = TypeVar("Work")


class Refused(Exception):
    """The API server did not do what it was asked for."""


class Client:
    """Requests of the bench, by the administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        given = json.loads(kubeconfig.read_text())
        cluster, user = given["clusters"][0]["cluster"], given["users"][0]["user"]
        self._url, self._token = cluster["server"], user["token"]
        self._trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> "Client":
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._trust)
        self._session = aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {self._token}"})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def text(self, verb: str, path: str, body: Object | None = None) -> str:
        """One request. Raises Refused."""
        form = "application/merge-patch+json" if verb == "PATCH" else "application/json"
        async with self._session.request(
            verb, self._url + path, data=None if body is None else json.dumps(body), headers={"Content-Type": form}
        ) as found:
            text = await found.text()
            if found.status >= 400:
                raise Refused(f"{verb} {path}: {found.status} {text[:500]}")
            return text

    async def call(self, verb: str, path: str, body: Object | None = None) -> Object:
        """One request, and the JSON of its answer. Raises Refused."""
        answer: Object = json.loads(await self.text(verb, path, body))
        return answer

    async def items(self, path: str) -> list[Object]:
        """All of a kind."""
        found: list[Object] = [item async for page in self.pages(path) for item in page]
        return found

    async def pages(self, path: str, size: int = 500) -> AsyncIterator[list[Object]]:
        """The same, page by page."""
        rest = ""
        while True:
            found = await self.call("GET", f"{path}?limit={size}{rest}")
            yield found["items"]
            token = found["metadata"].get("continue")
            if not token:
                return
            rest = f"&continue={token}"

    async def define(self) -> None:
        """The catalog's kinds, until they are served. Raises TimeoutError."""
        for file in sorted(DEFINITIONS.iterdir()):
            await self.call("POST", DEFINED, yaml.safe_load(file.read_text()))
        async with asyncio.timeout(DEFINED_SECONDS):
            for file in sorted(DEFINITIONS.iterdir()):
                while not _is_served(await self.call("GET", f"{DEFINED}/{file.stem}.servicecatalog.k8s.io")):
                    await asyncio.sleep(0.05)

    async def writes(self) -> dict[str, float]:
        """{verb resource: requests} that the API server has carried out and that changed, or might have changed, something; no Leases."""
        found: dict[str, float] = {}
        for family in prometheus.text_string_to_metric_families(await self.text("GET", "/metrics")):
            if family.name == "apiserver_request":
                for sample in family.samples:
                    of = sample.labels
                    if sample.name.endswith("_total") and of["verb"] in WRITES and of["resource"] != "leases":
                        name = " ".join(filter(None, (of["verb"], of["resource"], of["subresource"])))
                        found[name] = found.get(name, 0) + sample.value
        return found


def _is_served(definition: Object) -> bool:
    return any(each["type"] == "Established" and each["status"] == "True" for each in definition.get("status", {}).get("conditions", []))


async def all_of(work: Iterable[Work], do: Callable[[Work], Awaitable[object]], connections: int = CONNECTIONS) -> None:
    """Does it with each, so many at a time."""
    left = iter(work)

    async def worker() -> None:
        for each in left:
            await do(each)

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(worker())


@contextlib.contextmanager
def running() -> Iterator[control_plane.ControlPlane]:
    """Such a cluster. Raises programs.Missing."""
    parts = {name: path for name, path in programs.find().items() if name in programs.NEEDED}
    with place.directory() as root:
        plane = control_plane.ControlPlane(root / "plane")
        plane.start(parts)
        try:
            yield plane
        finally:
            plane.stop()
