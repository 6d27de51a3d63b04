"""A broker to be fuzzed: three plans, room for many instances, workers that are played."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from apb_broker import application
from apb_broker.catalog import config as configuration
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from tests.fuzz.described import Described
from tests.fuzz.workers import Workers

CONFIG = """\
apb: 1
listen: 127.0.0.1:{port}
users: [{{name: admin, password_file: admin.password, roles: [platform, operator]}}]
roles: [{{name: apb.catalog.redis}}, {{name: apb.catalog.postgresql}}]
targets:
  local: {{mode: host, hosts: [{{name: localhost, address: 127.0.0.1}}], ports: 31000-31399, directory: /nowhere}}
  shared: {{mode: shared, address: db.example.com, port: 5432, username: apb, password_file: server.password}}
offers:
  - {{plan: redis/redis-standard, mode: host, targets: [local]}}
  - {{plan: redis/redis-tenant, mode: shared, targets: [shared]}}
  - {{plan: postgresql/postgresql-tenant, mode: shared, targets: [shared], binding_expiry: {{after_seconds: 86400, renew_seconds: 3600}}}}
settings: {{sync_wait_seconds: 10, failed_logins_per_minute: 100000}}
"""
AUTHORIZATION = {"Authorization": "Basic " + base64.b64encode(b"admin:secret of the operator").decode()}


@pytest.fixture
def fuzzed(make_broker: Callable[[str], Broker]) -> Broker:
    """That broker, on an empty database."""
    return make_broker(CONFIG.format(port=0))


@pytest.fixture
def workers(fuzzed: Broker, monkeypatch: pytest.MonkeyPatch) -> Workers:
    """Its workers. What was lost is due again at once, and callers look often whether it has ended."""
    monkeypatch.setattr(operations, "RETRY_SECONDS", (0,))
    monkeypatch.setattr(operations, "WAIT_POLL_SECONDS", 0.01)
    return Workers(fuzzed)


@pytest.fixture
def described(fuzzed: Broker, workers: Workers, tmp_path: Path) -> Described:
    """Its application as its own document describes it."""
    app = application.create(fuzzed, configuration.load(tmp_path / "apb.yml"))
    return Described(app, fuzzed, workers, AUTHORIZATION)
