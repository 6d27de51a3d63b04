"""A broker of a few lines on loopback: it keeps what it is asked for, and tests script how operations go."""

import base64
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from typer.testing import CliRunner, Result

from apb_cli import http, waiting
from apb_cli.main import app

PASSWORD = "pass:word of the operator ü"
NOW = "2026-03-01T10:00:00+00:00"
CREDENTIALS = {
    "type": "redis",
    "host": "127.0.0.1",
    "port": 21000,
    "username": "b1",
    "password": "s3cret",
    "uri": "redis://b1:s3cret@127.0.0.1:21000",
}
CREATE = {
    "type": "object",
    "properties": {
        "memory": {
            "type": "number",
            "title": "Memory",
            "description": "Memory for data",
            "x-unit": "GB",
            "minimum": 0.1,
            "maximum": 4,
            "x-step": 0.1,
            "default": 1,
            "x-updatable": True,
        },
        "password": {
            "type": "string",
            "description": "Password of the default user",
            "minLength": 8,
            "maxLength": 128,
            "x-sensitive": True,
        },
    },
}
BIND = {"type": "object", "properties": {"access": {"type": "string", "enum": ["readwrite", "read"], "default": "readwrite"}}}
PLAN = {
    "id": "plan-1",
    "name": "redis-standard",
    "description": "One dedicated server",
    "schemas": {"service_instance": {"create": {"parameters": CREATE}}, "service_binding": {"create": {"parameters": BIND}}},
}
SERVICE = {"id": "service-1", "name": "redis", "description": "Key-value store", "tags": ["cache"], "bindable": True, "plans": [PLAN]}


class Server(ThreadingHTTPServer):
    """Clients of these tests go away in the middle of an answer on purpose."""

    def handle_error(self, request, client_address):
        """Nothing to say."""


class FakeBroker:
    """State, script and record. Routes are the methods named by ROUTES."""

    def __init__(self) -> None:
        self.instances: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.lines = ["Start the server", "Publish the result"]
        self.outcome = ("succeeded", "")
        self.page = 1000  # instances at a time, at most
        self.kept_until: str | None = None  # deleted instances are kept, until then
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, list[tuple[int, Any, dict[str, str]]]] = {}  # "GET /path": what to answer first
        self.hooks: dict[str, Callable[[], None]] = {}  # "GET /path": called before the answer
        self.port = 0
        self.start()

    def start(self) -> None:
        self._server = Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sent(self, method: str) -> list[tuple[str, dict[str, str], Any]]:
        """Path, query and body of the requests of a method."""
        return [(path, query, body) for used, path, query, body in self.requests if used == method]

    def add_instance(self, name: str = "cache", instance_id: str = "i-1", **changes: Any) -> dict[str, Any]:
        instance = {
            "id": instance_id,
            "name": name,
            "service": "redis",
            "plan": "redis-standard",
            "service_id": "service-1",
            "plan_id": "plan-1",
            "mode": "host",
            "state": "ready",
            "parameters": {"memory": 1},
            "connection": {"host": "127.0.0.1", "port": 21000},
            "organization": "apb",
            "space": "default",
            "platform": "apb",
            "requested_by": "admin",
            "created_at": NOW,
            "updated_at": NOW,
            "bindings": [],
            "operation": None,
            "health": {"status": "failing", "message": "x is missing", "drift": ["x is missing"], "since": "2026-03-01T10:00:00+00:00"},
        }
        self.instances[instance_id] = {**instance, **changes}
        return self.instances[instance_id]

    def add_binding(self, instance_id: str = "i-1", name: str = "shop", binding_id: str = "b-1") -> None:
        binding = {"id": binding_id, "name": name, "state": "ready", "parameters": {"access": "read"}, "created_at": NOW}
        self.instances[instance_id]["bindings"].append(binding)

    def add_operation(self, kind: str, instance_id: str, binding_id: str | None = None) -> str:
        operation_id = f"op-{len(self.operations) + 1}"
        state, error = self.outcome
        self.operations[operation_id] = {
            "id": operation_id,
            "kind": kind,
            "instance_id": instance_id,
            "instance_name": self.instances.get(instance_id, {}).get("name"),
            "binding_id": binding_id,
            "state": state,
            "description": self.lines[-1] if self.lines else kind,
            "error": error,
            "attempt": 1,
            "epoch": 1,
            "requested_by": "admin",
            "created_at": NOW,
            "started_at": NOW,
            "finished_at": "2026-03-01T10:00:02.500000+00:00",
        }
        if instance_id in self.instances:
            self.instances[instance_id]["operation"] = self.operations[operation_id]
        return operation_id

    def catalog(self, query, body):
        return 200, {"services": [SERVICE]}

    def list_instances(self, query, body):
        wanted = [one for one in self.instances.values() if all(one[key] == query[key] for key in ("name", "space") if key in query)]
        first, last = int(query.get("after", 0)), int(query.get("after", 0)) + min(int(query["limit"]), self.page)
        return 200, {"instances": wanted[first:last], "next": str(last) if last < len(wanted) else None}

    def get_instance(self, query, body, instance_id):
        return (200, self.instances[instance_id]) if instance_id in self.instances else _missing(f"instance {instance_id}")

    def list_operations(self, query, body):
        wanted = query.get("instance")
        return 200, {"operations": [one for one in self.operations.values() if wanted in (None, one["instance_id"])]}

    def get_operation(self, query, body, operation_id):
        return (200, self.operations[operation_id]) if operation_id in self.operations else _missing(f"operation {operation_id}")

    def log(self, query, body, operation_id):
        """One line an answer, then the state."""
        after = int(query["after"])
        lines = [{"seq": after + 1, "at": NOW, "text": self.lines[after]}] if after < len(self.lines) else []
        is_last = after + len(lines) >= len(self.lines)
        return 200, {"lines": lines, "state": self.operations[operation_id]["state"] if is_last else "running"}

    def provision(self, query, body, instance_id):
        if instance_id not in self.instances:
            self.add_instance(body["context"]["instance_name"], instance_id, space=body["space_guid"], parameters=body["parameters"])
            self.instances[instance_id]["operation_id"] = self.add_operation("provision", instance_id)
        instance = self.instances[instance_id]
        return 202, {"operation": instance["operation_id"], "apb_connection": instance["connection"]}

    def update(self, query, body, instance_id):
        return 202, {"operation": self.add_operation("update", instance_id)}

    def deprovision(self, query, body, instance_id):
        operation_id = self.add_operation("deprovision", instance_id)
        if self.kept_until is None:
            del self.instances[instance_id]
        else:
            self.instances[instance_id] |= {"state": "kept", "purge_at": self.kept_until}
        return 202, {"operation": operation_id}

    def bind(self, query, body, instance_id, binding_id):
        self.add_binding(instance_id, body["context"]["binding_name"], binding_id)
        return 202, {"operation": self.add_operation("bind", instance_id, binding_id)}

    def unbind(self, query, body, instance_id, binding_id):
        self.instances[instance_id]["bindings"] = []
        return 202, {"operation": self.add_operation("unbind", instance_id, binding_id)}

    def retry(self, query, body, operation_id):
        again = self.add_operation(self.operations[operation_id]["kind"], self.operations[operation_id]["instance_id"])
        return 200, {**self.operations[again], "state": "queued"}

    def cancel(self, query, body, operation_id):
        return 200, {**self.operations[operation_id], "state": "running"}

    def protect(self, query, body, instance_id):
        self.instances[instance_id]["protected_by"] = "operator"
        return 200, self.instances[instance_id]

    def unprotect(self, query, body, instance_id):
        self.instances[instance_id]["protected_by"] = None
        return 200, self.instances[instance_id]

    def restore(self, query, body, instance_id):
        operation_id = self.add_operation("provision", instance_id)
        self.instances[instance_id] |= {"state": "ready", "purge_at": None}
        return 200, self.operations[operation_id]

    def purge(self, query, body, instance_id):
        operation_id = self.add_operation("deprovision", instance_id)
        del self.instances[instance_id]
        return 200, self.operations[operation_id]

    def forget(self, query, body, instance_id):
        del self.instances[instance_id]
        return 200, {
            "id": instance_id,
            "names": {"slug": "redis-1"},
            "placement": {"host": "h"},
            "ports": {"client": 1},
            "usernames": ["b1"],
        }

    def audit(self, query, body):
        entry = {"seq": 1, "at": NOW, "principal": "cf", "requested_by": "ann", "action": "bind", "outcome": "accepted", "detail": ""}
        return 200, {"audit": [{**entry, "instance_id": query.get("instance", "i-1"), "binding_id": "b-1", "operation_id": "op-1"}]}

    def last_operation(self, query, body, *ids):
        operation = self.operations[query["operation"]]
        return 200, {"state": operation["state"], "description": operation["error"] or operation["description"]}

    def get_binding(self, query, body, instance_id, binding_id):
        return 200, {"credentials": CREDENTIALS, "parameters": {}}


ROUTES = [
    ("GET", r"/v2/catalog", "catalog"),
    ("PUT", r"/v2/service_instances/([^/]+)", "provision"),
    ("PATCH", r"/v2/service_instances/([^/]+)", "update"),
    ("DELETE", r"/v2/service_instances/([^/]+)", "deprovision"),
    ("GET", r"/v2/service_instances/([^/]+)/last_operation", "last_operation"),
    ("PUT", r"/v2/service_instances/([^/]+)/service_bindings/([^/]+)", "bind"),
    ("GET", r"/v2/service_instances/([^/]+)/service_bindings/([^/]+)", "get_binding"),
    ("DELETE", r"/v2/service_instances/([^/]+)/service_bindings/([^/]+)", "unbind"),
    ("GET", r"/v2/service_instances/([^/]+)/service_bindings/([^/]+)/last_operation", "last_operation"),
    ("GET", r"/admin/v1/instances", "list_instances"),
    ("GET", r"/admin/v1/instances/([^/]+)", "get_instance"),
    ("GET", r"/admin/v1/operations", "list_operations"),
    ("GET", r"/admin/v1/operations/([^/]+)", "get_operation"),
    ("GET", r"/admin/v1/operations/([^/]+)/log", "log"),
    ("POST", r"/admin/v1/operations/([^/]+)/retry", "retry"),
    ("POST", r"/admin/v1/operations/([^/]+)/cancel", "cancel"),
    ("POST", r"/admin/v1/instances/([^/]+)/protect", "protect"),
    ("POST", r"/admin/v1/instances/([^/]+)/unprotect", "unprotect"),
    ("POST", r"/admin/v1/instances/([^/]+)/restore", "restore"),
    ("POST", r"/admin/v1/instances/([^/]+)/purge", "purge"),
    ("POST", r"/admin/v1/instances/([^/]+)/forget", "forget"),
    ("GET", r"/admin/v1/audit", "audit"),
]


def _missing(what: str) -> tuple[int, dict[str, str]]:
    return 404, {"description": f"{what} does not exist"}


def _handler(broker: FakeBroker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            broker.requests.append((self.command, parts.path, query, body))
            broker.headers.append(dict(self.headers))
            route, ids = self._route(parts.path)
            if hook := broker.hooks.pop(f"{self.command} {route}", None):
                hook()
            scripted = broker.answers.get(f"{self.command} {route}")
            if scripted:
                status, answer, headers = scripted.pop(0)
            elif not self._is_known():
                status, answer, headers = 401, {"description": "user name or password is missing or wrong"}, {}
            else:
                (status, answer), headers = getattr(broker, route)(query, body, *ids), {}
            if answer is None:
                return  # the connection closes without an answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())

        def _route(self, path: str) -> tuple[str, list[str]]:
            for method, pattern, name in ROUTES:
                found = re.fullmatch(pattern, path)
                if method == self.command and found:
                    return name, [unquote(part) for part in found.groups()]
            raise AssertionError(f"no route for {self.command} {path}")

        def _is_known(self) -> bool:
            expected = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
            return self.headers["Authorization"] == f"Basic {expected}"

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    return Handler


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    """A broker on loopback."""
    fake = FakeBroker()
    yield fake
    fake.stop()


@pytest.fixture
def environment(broker: FakeBroker, tmp_path: Path) -> dict[str, str]:
    """What points `apb` to that broker, and away from whatever else this machine has; a proxy stands in the way."""
    admin = tmp_path / "admin.json"
    admin.touch(mode=0o600)
    admin.write_text(json.dumps({"url": broker.url, "username": "admin", "password": PASSWORD}))
    return {"APB_STATE_DIR": str(tmp_path), "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9", "TZ": "UTC"}


@pytest.fixture
def apb(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in this process; other variables of `apb` are unset."""
    monkeypatch.setattr(http, "RESEND_AFTER_SECONDS", (0.01, 0.01, 0.01))
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 10.0)
    cleared = {name: None for name in os.environ if name.startswith("APB_")}

    def run(*words: str, input: str | None = None, **changes: str | None) -> Result:
        result = CliRunner().invoke(app, list(words), input=input, env={**cleared, **environment, **changes}, prog_name="apb")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run
