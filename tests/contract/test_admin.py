"""The operator's HTTP API: what it shows, what it never shows, who may ask."""

import base64
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError

from apb_broker import application
from apb_broker.catalog import config as configuration
from apb_broker.lifecycle import operations
from apb_broker.lifecycle.broker import Broker
from apb_broker.lifecycle.outcomes import Result
from tests import scenarios
from tests.conftest import CONFIG
from tests.contract.conftest import Platform


def test_instances_are_found_by_name_and_space(platform: Platform) -> None:
    """Every instance with its connection, bindings and last operation, and nothing secret."""
    scenarios.ready(platform.broker, "i1", context={"instance_name": "cache"}, parameters={"password": "hush-hush-hush"})
    scenarios.ready(platform.broker, "i2", context={"instance_name": "cache"}, space="other")
    platform.bind(context={"binding_name": "shop"})
    (found,) = platform.call("GET", "/admin/v1/instances?name=cache&space=space").json["instances"]
    assert (found["id"], found["service"], found["plan"], found["state"]) == ("i1", "redis", "redis-standard", "ready")
    assert found["connection"] == {"host": "127.0.0.1", "port": 31000}
    assert [(binding["name"], binding["state"]) for binding in found["bindings"]] == [("shop", "binding")]
    assert found["operation"]["kind"] == "provision"
    assert "hush" not in platform.call("GET", "/admin/v1/instances").text
    assert platform.call("GET", "/admin/v1/instances/i1").json == found
    assert platform.call("GET", "/admin/v1/instances/none").status_code == 404


def test_instances_are_listed_page_by_page(platform: Platform) -> None:
    """`next` leads on, also when the instance that a page ended with is gone; the last page has none."""
    for number in range(4):
        scenarios.ready(platform.broker, f"i{number}", context={"instance_name": f"cache-{number}"})
    first = platform.call("GET", "/admin/v1/instances?limit=2").json
    scenarios.deprovision(platform.broker, "i1")
    scenarios.run(platform.broker)
    second = platform.call("GET", f"/admin/v1/instances?limit=2&after={first['next']}").json
    assert [[one["id"] for one in page["instances"]] for page in (first, second)] == [["i0", "i1"], ["i2", "i3"]]
    assert second["next"] is None
    assert platform.call("GET", "/admin/v1/instances?limit=0").json == {"instances": [], "next": None}
    narrowed = platform.call("GET", "/admin/v1/instances?name=cache-2&space=space&limit=1").json
    assert ([one["id"] for one in narrowed["instances"]], narrowed["next"]) == (["i2"], None)


@pytest.mark.parametrize("after", ["i1", "", "W10=", "WyIyMDI2IiwgMV0=", "é", "bnVsbA=="])
def test_page_after_nothing_that_a_page_has_told_is_refused(platform: Platform, after: str) -> None:
    """The parameter is named."""
    answer = platform.call("GET", f"/admin/v1/instances?after={quote(after)}")
    assert answer.status_code == 400
    assert answer.json["description"] == "after: expected what the page before says as `next`"


def test_page_of_instances_takes_as_many_statements_as_one_instance(platform: Platform) -> None:
    """Bindings, last operations and health of all are looked up together."""
    sent: list[str] = []
    listen(platform.broker.database.engine, "before_cursor_execute", lambda _connection, _cursor, statement, *_rest: sent.append(statement))
    counts = []
    for number in range(1, 4):
        scenarios.ready(platform.broker, f"i{number}")
        scenarios.bind(platform.broker, f"i{number}")
        scenarios.run(platform.broker, scenarios.BOUND)
        sent.clear()
        assert len(platform.call("GET", "/admin/v1/instances").json["instances"]) == number
        counts.append(len(sent))
    assert len(set(counts)) == 1


def test_operations_are_listed_newest_first_and_outlive_their_instance(platform: Platform) -> None:
    """They can be narrowed to an instance or a state."""
    scenarios.ready(platform.broker, "i1")
    scenarios.ready(platform.broker, "i2")
    scenarios.deprovision(platform.broker, "i1")
    scenarios.run(platform.broker)
    listed = platform.call("GET", "/admin/v1/operations").json["operations"]
    assert [(one["kind"], one["instance_id"]) for one in listed] == [("deprovision", "i1"), ("provision", "i2"), ("provision", "i1")]
    assert len(platform.call("GET", "/admin/v1/operations?instance=i1").json["operations"]) == 2
    assert platform.call("GET", "/admin/v1/operations?state=failed").json["operations"] == []
    assert len(platform.call("GET", "/admin/v1/operations?limit=1").json["operations"]) == 1
    assert platform.call("GET", f"/admin/v1/operations/{listed[0]['id']}").json == listed[0]


def test_log_is_read_line_by_line_while_the_operation_goes_on(platform: Platform) -> None:
    """A waiting reader gets new lines as they come, and the end."""
    accepted = platform.put().json["operation"]
    path = f"/admin/v1/operations/{accepted}/log"
    first = platform.call("GET", path).json
    assert ([line["text"] for line in first["lines"]], first["state"]) == (["provision accepted"], "queued")
    work = scenarios.claim(platform.broker)
    later = threading.Timer(0.3, operations.report, (platform.broker, work.operation_id, work.epoch, ["Start the server"]))
    later.start()
    new = platform.call("GET", f"{path}?after={first['lines'][-1]['seq']}&wait=10").json
    later.join()
    assert ([line["text"] for line in new["lines"]], new["state"]) == (["Start the server"], "running")
    operations.finish(platform.broker, work.operation_id, work.epoch, scenarios.SUCCESS)
    began = time.monotonic()
    end = platform.call("GET", f"{path}?after={new['lines'][-1]['seq']}&wait=30").json
    assert end["state"] == "succeeded"
    assert platform.call("GET", f"{path}?after={end['lines'][-1]['seq']}&wait=30").json == {"lines": [], "state": "succeeded"}
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "limit=1001", "limit=", "limit=%D9%A1"])
def test_number_out_of_bounds_is_400(platform: Platform, query: str) -> None:
    """The parameter and its limit are named."""
    answer = platform.call("GET", f"/admin/v1/operations?{query}")
    assert answer.status_code == 400
    assert "limit: expected a whole number from 0 to 1000" in answer.json["description"]


def test_role_decides_what_a_user_reaches(broker: Broker, tmp_path: Path) -> None:
    """A platform's user is kept from the operator's API and the other way round."""
    text = (tmp_path / "apb.yml").read_text().replace("roles: [platform, operator]}]", "roles: [platform]}, OPS]")
    ops = "{name: ops, password_file: admin.password, roles: [operator]}"
    (tmp_path / "apb.yml").write_text(text.replace("OPS", ops))
    client = application.create(broker, configuration.load(tmp_path / "apb.yml")).test_client()

    def status(user: str, path: str) -> int:
        login = base64.b64encode(f"{user}:secret of the operator".encode()).decode()
        return client.get(path, headers={"Authorization": f"Basic {login}", "X-Broker-API-Version": "2.17"}).status_code

    assert [status(user, path) for user in ("admin", "ops") for path in ("/v2/catalog", "/admin/v1/operations")] == [200, 403, 403, 200]


def test_operator_retries_cancels_and_forgets(platform: Platform) -> None:
    """Over HTTP, in the operator's own name, which the audit keeps; what makes no sense is refused with a sentence."""
    operation = platform.put().json["operation"]
    assert platform.call("POST", f"/admin/v1/operations/{operation}/cancel").json["state"] == "failed"
    again = platform.call("POST", f"/admin/v1/operations/{operation}/retry").json
    assert (again["kind"], again["state"], again["requested_by"]) == ("provision", "queued", "admin")
    assert platform.call("POST", f"/admin/v1/operations/{operation}/cancel").status_code == 422
    assert "deprovision it first" in platform.call("POST", "/admin/v1/instances/i1/forget").json["description"]
    assert platform.call("POST", "/admin/v1/instances/none/forget").status_code == 404
    platform.delete()
    scenarios.run(platform.broker, Result("failed", message="no route to host"))
    assert platform.call("POST", "/admin/v1/instances/i1/forget").json["ports"] == {"client": 31000}
    assert platform.delete().status_code == 410
    told = platform.call("GET", "/admin/v1/audit?instance=i1&limit=3").json["audit"]
    assert [(one["action"], one["outcome"], one["requested_by"]) for one in told] == [
        ("forget", "done", "admin"),
        ("deprovision", "failed", "apb"),
        ("deprovision", "accepted", "admin"),
    ]
    assert platform.call("GET", f"/admin/v1/audit?instance=i1&before={told[-1]['seq']}").json["audit"][0]["seq"] < told[-1]["seq"]


def test_operator_protects_restores_and_purges(platform_at: Callable[[str], Platform], tmp_path: Path) -> None:
    """Over HTTP: who protects an instance and until when a deleted one is kept is shown; operations can be followed."""
    config = CONFIG.format(directory=tmp_path).replace("targets: [local]}]", "targets: [local], keep_deleted_seconds: 60}]")
    platform, path = platform_at(config), "/admin/v1/instances/i1"
    platform.ready()
    assert platform.call("POST", f"{path}/protect").json["protected_by"] == "operator"
    assert platform.call("GET", path).json["protected_by"] == "operator"
    assert platform.call("POST", f"{path}/unprotect").json["protected_by"] is None
    for action in ("restore", "purge"):
        assert platform.call("POST", f"{path}/{action}").status_code == 422
        assert platform.call("POST", f"/admin/v1/instances/none/{action}").status_code == 404
    platform.delete()
    scenarios.run(platform.broker)
    shown = platform.call("GET", path).json
    assert (shown["state"], shown["purge_at"] is None) == ("kept", False)
    restoring = platform.call("POST", f"{path}/restore").json
    assert (restoring["kind"], restoring["state"]) == ("provision", "queued")
    assert platform.call("GET", f"/admin/v1/operations/{restoring['id']}").json == restoring
    assert platform.call("POST", f"{path}/purge").json["kind"] == "deprovision"
    scenarios.run(platform.broker)
    assert platform.call("GET", path).status_code == 404
    actions = [one["action"] for one in platform.call("GET", "/admin/v1/audit?instance=i1&limit=5").json["audit"]]
    assert actions == ["deprovision", "purge", "deprovision", "provision", "restore"]


def test_audit_tells_who_was_given_credentials(platform: Platform) -> None:
    """Each fetch, also the one within a synchronous bind; the database refuses to change what was written."""
    scenarios.ready(platform.broker, "i-seen")
    scenarios.bind(platform.broker, "i-seen")
    scenarios.run(platform.broker, scenarios.BOUND)
    platform.call("GET", "/v2/service_instances/i-seen/service_bindings/b1")
    newest = platform.call("GET", "/admin/v1/audit?limit=1").json["audit"][0]
    assert (newest["action"], newest["binding_id"], newest["principal"]) == ("credentials", "b1", "admin")
    for statement in ("UPDATE audit SET requested_by = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(DBAPIError, match="append-only"), platform.broker.database.engine.begin() as connection:
            connection.execute(text(statement))
