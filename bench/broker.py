"""The broker under test, as a platform knows it: asks by OSB, and waits for what was asked."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from apb_broker.machine import configuration
from bench import place

POLL_SECONDS = 0.05
LONGEST_SECONDS = 300.0
OWNER = {"organization_guid": "org", "space_guid": "space", "context": {"platform": "bench"}}


def request(method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> str:
    """One whole HTTP request."""
    text = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", text])


class Broker:
    """The broker of a place, as its clients know it."""

    def __init__(self, here: place.Place) -> None:
        admin = json.loads(here.state.admin_file.read_text())
        self.port = configuration.host_and_port(configuration.configured_listen(here.state))[1]
        credentials = base64.b64encode(f"{admin['username']}:{admin['password']}".encode()).decode()
        self.headers = {"Authorization": f"Basic {credentials}", "X-Broker-API-Version": "2.17"}
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=self.headers, timeout=60, trust_env=False)

    def close(self) -> None:
        """Gives the connection back."""
        self._http.close()

    def catalog(self) -> bytes:
        """The body of its catalog."""
        return self._http.get("/v2/catalog").raise_for_status().content

    def ids(self, service: str) -> dict[str, str]:
        """The ids of an offered service and its first plan."""
        found = next(each for each in json.loads(self.catalog())["services"] if each["name"] == service)
        return {"service_id": found["id"], "plan_id": found["plans"][0]["id"]}

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        """One whole HTTP request to it."""
        return request(method, path, body, **self.headers)

    def accept(self, action: str, ids: dict[str, str], instance: str, binding: str = "", **body: Any) -> str:
        """Asks for it; the operation."""
        query = {"accepts_incomplete": "true", **(ids if action in ("unbind", "deprovision") else {})}
        owner = OWNER if action == "provision" else {}
        document = {"json": {**ids, **owner, **body}} if action in ("provision", "bind") else {}
        method = "PUT" if document else "DELETE"
        answer = self._http.request(method, _path(action, instance, binding), params=query, **document)  # type: ignore[arg-type]
        return str(answer.raise_for_status().json()["operation"])

    def await_end(
        self,
        action: str,
        operation: str,
        instance: str,
        binding: str = "",
        *,
        poll_seconds: float = POLL_SECONDS,
        unless: Callable[[], bool] = bool,
    ) -> None:
        """Polls until it has ended, or `unless` says that nobody waits for it any more. Raises RuntimeError when it did not succeed."""
        give_up = time.monotonic() + LONGEST_SECONDS
        path = f"{_path(action, instance, binding)}/last_operation"
        while True:
            found = self._http.get(path, params={"operation": operation}).raise_for_status().json()
            if found["state"] == "succeeded" or unless():
                return
            if found["state"] != "in progress" or time.monotonic() > give_up:
                raise RuntimeError(f"{action} is {found['state']}: {found.get('description')}")
            time.sleep(poll_seconds)

    def credentials(self, instance: str, binding: str) -> dict[str, Any]:
        """Those of a binding that is made."""
        found: dict[str, Any] = self._http.get(_path("bind", instance, binding)).raise_for_status().json()["credentials"]
        return found

    def carry_out(
        self, action: str, ids: dict[str, str], instance: str, binding: str = "", *, poll_seconds: float = POLL_SECONDS, **body: Any
    ) -> dict[str, Any] | None:
        """From the request to the end; with a binding, to its credentials."""
        operation = self.accept(action, ids, instance, binding, **body)
        self.await_end(action, operation, instance, binding, poll_seconds=poll_seconds)
        return self.credentials(instance, binding) if action == "bind" else None

    def get(self, path: str) -> Any:
        """Anything else that it answers, as JSON."""
        return self._http.get(path).raise_for_status().json()


def _path(action: str, instance: str, binding: str) -> str:
    below = f"/service_bindings/{binding}" if action in ("bind", "unbind") else ""
    return f"/v2/service_instances/{instance}{below}"
