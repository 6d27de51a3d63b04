"""The broker's HTTP interface without a server: Flask's client, authenticated and of version 2.17 unless a test says otherwise."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from apb_broker import application
from apb_broker.catalog import config as configuration
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import boxes, scenarios
from tests.conftest import CONFIG
from tests.contract import description

HEADERS = {
    "Authorization": "Basic " + base64.b64encode(b"admin:secret of the operator").decode(),
    "X-Broker-API-Version": "2.17",
}
ASYNC = "accepts_incomplete=true"


def identity(platform: str = "kubernetes", **value: object) -> dict[str, str]:
    """The originating identity of a user of that platform, as a header."""
    encoded = base64.b64encode(json.dumps(value).encode()).decode()
    return {"X-Broker-API-Originating-Identity": f"{platform} {encoded}"}


class Platform:
    """A platform that speaks OSB to the application. `None` for a header leaves it out."""

    def __init__(self, client: FlaskClient, broker: Broker, ids: dict[str, str], **headers: str) -> None:
        self.client, self.broker, self.ids, self.headers = client, broker, ids, {**HEADERS, **headers}

    def speaking(self, version: str) -> "Platform":
        """The same platform in another version of the protocol."""
        return Platform(self.client, self.broker, self.ids, **{"X-Broker-API-Version": version})

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Any request, with the usual headers. The answer is as /openapi.json describes it."""
        headers = {name: value for name, value in {**self.headers, **kwargs.pop("headers", {})}.items() if value is not None}
        answer = self.client.open(path, method=method, headers=headers, **kwargs)
        if "environ_overrides" not in kwargs:  # which may say another path
            description.of(self.client.application).check(method, path, answer)
        return answer

    def catalog(self) -> Any:
        """The catalog."""
        return self.call("GET", "/v2/catalog")

    def put(self, instance_id: str = "i1", query: str = f"?{ASYNC}", **changes: Any) -> Any:
        """Provision."""
        body = {**self.ids, "organization_guid": "org", "space_guid": "space", **changes}
        return self.call("PUT", f"/v2/service_instances/{instance_id}{query}", json=body)

    def fetch(self, instance_id: str = "i1", binding_id: str | None = None, query: str = "") -> Any:
        """Fetch an instance, or a binding of it."""
        return self.call("GET", f"{self._path(instance_id, binding_id)}{query}")

    def patch(self, instance_id: str = "i1", query: str = f"?{ASYNC}", **changes: Any) -> Any:
        """Update."""
        body = {"service_id": self.ids["service_id"], **changes}
        return self.call("PATCH", f"/v2/service_instances/{instance_id}{query}", json=body)

    def delete(self, instance_id: str = "i1", query: str = f"&{ASYNC}") -> Any:
        """Deprovision."""
        return self.call("DELETE", f"/v2/service_instances/{instance_id}?{self.named}{query}")

    def bind(self, instance_id: str = "i1", binding_id: str = "b1", query: str = f"?{ASYNC}", **changes: Any) -> Any:
        """Bind."""
        return self.call("PUT", f"{self._path(instance_id, binding_id)}{query}", json={**self.ids, **changes})

    def rotate(self, predecessor: str = "b1", binding_id: str = "b2", query: str = f"?{ASYNC}", **more: Any) -> Any:
        """Ask for the successor of a binding, by the short form of the request."""
        return self.call("PUT", f"{self._path('i1', binding_id)}{query}", json={"predecessor_binding_id": predecessor, **more})

    def unbind(self, instance_id: str = "i1", binding_id: str = "b1", query: str = f"&{ASYNC}") -> Any:
        """Unbind."""
        return self.call("DELETE", f"{self._path(instance_id, binding_id)}?{self.named}{query}")

    def poll(self, instance_id: str = "i1", binding_id: str | None = None, operation: str | None = None) -> Any:
        """Last operation."""
        query = "" if operation is None else f"?operation={operation}"
        return self.call("GET", f"{self._path(instance_id, binding_id)}/last_operation{query}")

    def ready(self, instance_id: str = "i1", **changes: Any) -> str:
        """An instance of this platform's that is provisioned; its id."""
        assert self.put(instance_id, **changes).status_code == 202
        scenarios.run(self.broker)
        return instance_id

    def bound(self, instance_id: str = "i1", binding_id: str = "b1", **changes: Any) -> str:
        """A binding of this platform's that is made; its id."""
        assert self.bind(instance_id, binding_id, **changes).status_code == 202
        scenarios.run(self.broker, scenarios.BOUND)
        return binding_id

    @contextlib.contextmanager
    def working(self, *results: Result) -> Iterator[None]:
        """A worker beside the request that waits for it: takes what is queued and ends it so, one after the other."""
        worker = threading.Thread(target=_work, args=(self.broker, results))
        worker.start()
        try:
            yield
        finally:
            worker.join()

    @property
    def named(self) -> str:
        """service_id and plan_id as a query."""
        return "&".join(f"{name}={value}" for name, value in self.ids.items())

    @staticmethod
    def _path(instance_id: str, binding_id: str | None) -> str:
        return f"/v2/service_instances/{instance_id}" + ("" if binding_id is None else f"/service_bindings/{binding_id}")


def _work(broker: Broker, results: tuple[Result, ...]) -> None:
    give_up = time.monotonic() + 20
    for result in results:
        while (work := operations.claim(broker, "beside")) is None and time.monotonic() < give_up:
            time.sleep(0.02)
        assert work is not None, "nothing was asked for"
        operations.finish(broker, work.operation_id, work.epoch, result)


@pytest.fixture
def platform_at(make_broker: Callable[[str], Broker], tmp_path: Path) -> Callable[[str], Platform]:
    """A platform at the door of a broker with the apb.yml that is given; it asks for the first plan there."""

    def make(config: str) -> Platform:
        broker = make_broker(config)
        app = application.create(broker, configuration.load(tmp_path / "apb.yml"))
        return Platform(app.test_client(), broker, scenarios.ids(broker) if broker.catalog.offers else boxes.ids("small"))

    return make


@pytest.fixture
def platform(platform_at: Callable[[str], Platform], tmp_path: Path) -> Platform:
    """A platform at the door of a broker that offers redis, on an empty database."""
    return platform_at(CONFIG.format(directory=tmp_path))


@pytest.fixture
def platform_with(platform_at: Callable[[str], Platform], tmp_path: Path) -> Callable[[str], Platform]:
    """The same, of a broker with these settings of the operator's."""
    return lambda settings: platform_at(f"{CONFIG.format(directory=tmp_path)}settings: {settings}\n")


@pytest.fixture
def box_platform(platform_at: Callable[[str], Platform], tmp_path: Path) -> Callable[..., Platform]:
    """A platform at the door of a broker that offers boxes, with what a test says otherwise of the service or its plans."""

    def make(plan: str = "small", **changes: Any) -> Platform:
        made = platform_at(boxes.write(tmp_path, **changes))
        return Platform(made.client, made.broker, boxes.ids(plan))

    return make
