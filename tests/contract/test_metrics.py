"""What operators see without asking about an instance: metrics, probes, one log line for each request."""

import json

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from apb_broker.lifecycle import fleet, operations
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.contract.conftest import Platform


class Samples:
    """What /metrics says now."""

    def __init__(self, platform: Platform) -> None:
        answer = platform.call("GET", "/metrics")
        assert answer.status_code == 200
        self.text = answer.text
        families = text_string_to_metric_families(answer.text)
        self._values = {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}

    def of(self, name: str, **labels: str) -> float:
        """One value; 0 where there is none yet."""
        return self._values.get((name, *sorted(labels.items())), 0)


def test_requests_are_counted_by_route_and_status(platform: Platform) -> None:
    """A route is counted as such, not by the ids in it; what has no route makes no label of its own."""
    before = Samples(platform)
    platform.put("i-metrics")
    platform.call("GET", "/v2/nothing/of/this/kind")
    platform.call("MINE", "/v2/catalog")
    after = Samples(platform)

    def more(**labels: str) -> float:
        name = "apb_http_request_duration_seconds_count"
        return after.of(name, **labels) - before.of(name, **labels)

    assert more(method="PUT", route="/v2/service_instances/<id:instance_id>", code="202") == 1
    assert (more(method="none", route="none", code="404"), more(method="none", route="none", code="405")) == (1, 1)
    assert "i-metrics" not in after.text
    assert "MINE" not in after.text


def test_operations_are_counted_as_they_end(platform: Platform) -> None:
    """By service, plan, action and outcome, with how long they took; the counts outlive the operations."""
    labels = {"service": "redis", "plan": "redis-standard", "action": "provision", "outcome": "failed"}
    before = Samples(platform)
    for seconds in (0, 100):
        scenarios.provision(platform.broker)
        work = scenarios.claim(platform.broker)
        with platform.broker.database.engine.begin() as connection:
            began = text("UPDATE operations SET created_at = now() - make_interval(secs => :s) WHERE id = :id")
            connection.execute(began, {"s": seconds, "id": work.operation_id})
        operations.finish(platform.broker, work.operation_id, work.epoch, Result("failed", message="no"))
    scenarios.empty(platform.broker.database)
    after = Samples(platform)

    def more(suffix: str, **bound: str) -> float:
        name = f"apb_operation_duration_seconds_{suffix}"
        return after.of(name, **labels, **bound) - before.of(name, **labels, **bound)

    assert [more("bucket", le=bound) for bound in ("0.5", "60.0", "120.0", "+Inf")] == [1, 1, 2, 2]
    assert 100 < more("sum") < 200


def test_queue_and_workers_are_told(platform: Platform) -> None:
    """How many wait and run, how long the oldest has waited, whose lease is lost, who works."""
    scenarios.provision(platform.broker, "i1")
    scenarios.provision(platform.broker, "i2")
    scenarios.claim(platform.broker)
    with platform.broker.database.engine.begin() as connection:
        connection.execute(text("UPDATE operations SET due_at = now() - interval '90 s' WHERE state = 'queued'"))
        connection.execute(text("UPDATE operations SET lease_until = now() - interval '1 s' WHERE state = 'running'"))
    fleet.report_alive(platform.broker, "host/1", 1)
    fleet.report_alive(platform.broker, "host/2", 0)
    with platform.broker.database.engine.begin() as connection:
        connection.execute(text("UPDATE workers SET seen_at = now() - interval '60 s' WHERE owner = 'host/2'"))
    found = Samples(platform)
    assert [found.of("apb_queue_operations", state=state) for state in ("queued", "running")] == [1, 1]
    assert 89 < found.of("apb_queue_oldest_seconds") < 150
    assert (found.of("apb_leases_lost"), found.of("apb_workers"), found.of("apb_workers_capacity")) == (1, 1, 4)
    assert found.of("apb_worker_silent_seconds", worker="host/2") > 59
    fleet.report_stopped(platform.broker, "host/1")
    assert Samples(platform).of("apb_workers") == 0


def test_readiness_tells_whether_requests_can_be_accepted(platform: Platform) -> None:
    """Without a login; a database that lacks this release's tables is not ready, one of a later release is."""
    fleet.report_alive(platform.broker, "host/1", 0)
    assert platform.client.get("/readyz").json == {"status": "ok", "workers": 1}
    with platform.broker.database.engine.begin() as connection:
        newest = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    for revision, status in (("0001", 503), ("9999", 200), (newest, 200)):
        with platform.broker.database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        assert platform.client.get("/readyz").status_code == status
        assert platform.client.get("/livez").status_code == 200


def test_request_is_logged_with_its_ids_and_nothing_else(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    """Route, status and who asked; no query, no body, no credentials. Probes that went well are left out."""
    from apb_broker import logs

    logs.configure()
    platform.put("i-logged", parameters={"password": "canary-of-the-tenant"})
    platform.call("GET", "/v2/service_instances/i-logged/last_operation?plan_id=canary", headers={"X-Broker-API-Request-Identity": "r-1"})
    platform.client.get("/livez")
    structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["route"], line["status"]) for line in lines] == [
        ("request", "/v2/service_instances/<id:instance_id>", 202),
        ("request", "/v2/service_instances/<id:instance_id>/last_operation", 200),
    ]
    assert (lines[0]["instance_id"], lines[0]["user"], lines[1]["request_id"]) == ("i-logged", "admin", "r-1")
    assert "canary" not in json.dumps(lines)
