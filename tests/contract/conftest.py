"""The broker's HTTP interface without a server: Flask's client, authenticated and of version 2.17 unless a test says otherwise."""

import base64
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from apb_broker import application
from apb_broker.catalog import config as configuration
from apb_broker.lifecycle.broker import Broker
from tests import scenarios

HEADERS = {
    "Authorization": "Basic " + base64.b64encode(b"admin:secret of the operator").decode(),
    "X-Broker-API-Version": "2.17",
}


class Platform:
    """A platform that speaks OSB to the application."""

    def __init__(self, client: FlaskClient, broker: Broker, ids: dict[str, str]) -> None:
        self.client, self.broker, self.ids = client, broker, ids

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Any request, with the usual headers."""
        return self.client.open(path, method=method, headers={**HEADERS, **kwargs.pop("headers", {})}, **kwargs)

    def put(self, instance_id: str = "i1", query: str = "?accepts_incomplete=true", **changes: Any) -> Any:
        """Provision."""
        body = {**self.ids, "organization_guid": "org", "space_guid": "space", **changes}
        return self.call("PUT", f"/v2/service_instances/{instance_id}{query}", json=body)

    def patch(self, instance_id: str = "i1", query: str = "?accepts_incomplete=true", **changes: Any) -> Any:
        """Update."""
        body = {"service_id": self.ids["service_id"], **changes}
        return self.call("PATCH", f"/v2/service_instances/{instance_id}{query}", json=body)

    def delete(self, instance_id: str = "i1", query: str = "&accepts_incomplete=true") -> Any:
        """Deprovision."""
        return self.call("DELETE", f"/v2/service_instances/{instance_id}?{self.named}{query}")

    def bind(self, instance_id: str = "i1", binding_id: str = "b1", query: str = "?accepts_incomplete=true", **changes: Any) -> Any:
        """Bind."""
        path = f"/v2/service_instances/{instance_id}/service_bindings/{binding_id}{query}"
        return self.call("PUT", path, json={**self.ids, **changes})

    def unbind(self, instance_id: str = "i1", binding_id: str = "b1", query: str = "&accepts_incomplete=true") -> Any:
        """Unbind."""
        return self.call("DELETE", f"/v2/service_instances/{instance_id}/service_bindings/{binding_id}?{self.named}{query}")

    def poll(self, instance_id: str = "i1", binding_id: str | None = None, operation: str | None = None) -> Any:
        """Last operation."""
        binding = "" if binding_id is None else f"/service_bindings/{binding_id}"
        query = "" if operation is None else f"?operation={operation}"
        return self.call("GET", f"/v2/service_instances/{instance_id}{binding}/last_operation{query}")

    @property
    def named(self) -> str:
        """service_id and plan_id as a query."""
        return "&".join(f"{name}={value}" for name, value in self.ids.items())


@pytest.fixture
def platform(broker: Broker, tmp_path: Path) -> Platform:
    """A platform at the door of a broker on an empty database."""
    app = application.create(broker, configuration.load(tmp_path / "apb.yml"))
    return Platform(app.test_client(), broker, scenarios.ids(broker))
