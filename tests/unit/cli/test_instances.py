"""provision, update, deprovision, instances."""

import json
import uuid

import pytest
import yaml


def test_provision_sends_one_osb_request(broker, apb):
    """The body is what OSB asks for, with the instance's name in the context and an id of its own."""
    result = apb("provision", "redis", "redis-standard", "cache", "-p", "memory=0.5", "--space", "shop")
    assert result.exit_code == 0, result.output
    ((path, query, body),) = broker.sent("PUT")
    assert uuid.UUID(path.rpartition("/")[2]).version == 4
    assert query == {"accepts_incomplete": "true"}
    assert body == {
        "service_id": "service-1",
        "plan_id": "plan-1",
        "organization_guid": "apb",
        "space_guid": "shop",
        "context": {"platform": "apb", "instance_name": "cache"},
        "parameters": {"memory": "0.5"},
    }
    assert {headers["X-Broker-API-Version"] for headers in broker.headers} == {"2.17"}


def test_provision_tells_the_address_then_progress_then_the_end(apb):
    """Acceptance with host and port, the task names, a closing line; all on stdout, plain."""
    result = apb("provision", "redis", "standard", "cache")
    lines = result.stdout.splitlines()
    assert lines[:5] == [
        "accepted: redis-standard as 'cache' (operation op-1)",
        "  host  127.0.0.1",
        "  port  21000",
        "Start the server",
        "Publish the result",
    ]
    assert lines[5].startswith("'cache' is ready after ")
    assert "\x1b" not in result.output and not result.stderr


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_provision_writes_only_the_document_for_programs(apb, form, read):
    """stdout is the instance; progress is on stderr."""
    result = apb("provision", "redis", "redis-standard", "cache", "-o", form)
    document = read(result.stdout)
    assert (document["name"], document["state"], document["connection"]) == ("cache", "ready", {"host": "127.0.0.1", "port": 21000})
    assert "Start the server" in result.stderr and "127.0.0.1" in result.stderr


def test_provision_refuses_a_taken_name_before_any_change(broker, apb):
    """The name exists in that space: exit code 4, and no PUT."""
    broker.add_instance("cache")
    result = apb("provision", "redis", "redis-standard", "cache")
    assert result.exit_code == 4
    assert "an instance 'cache' exists in space 'default' already (redis, ready)" in result.stderr
    assert not broker.sent("PUT")
    assert apb("provision", "redis", "redis-standard", "cache", "--space", "other").exit_code == 0


def test_provision_says_what_there_is_when_nothing_is_of_that_name(apb):
    """A wrong service or plan: exit code 3 and the nearest name."""
    result = apb("provision", "reddis", "standard", "cache")
    assert (result.exit_code, result.stderr) == (3, "apb: there is no service 'reddis'; did you mean 'redis'?\n")
    result = apb("provision", "redis", "enormous", "cache")
    assert (result.exit_code, result.stderr) == (3, "apb: there is no plan of redis 'enormous'; there is: redis-standard\n")


def test_provision_shows_a_refusal_as_one_sentence(broker, apb):
    """A 400 of the broker: its description, exit code 4."""
    broker.answers["PUT provision"] = [(400, {"description": "parameter 'memory': 9 is above the maximum of 4 GB"}, {})]
    result = apb("provision", "redis", "redis-standard", "cache", "-p", "memory=9")
    assert (result.exit_code, result.stderr) == (4, "apb: parameter 'memory': 9 is above the maximum of 4 GB\n")


def test_provision_tells_the_error_of_a_failed_operation(broker, apb):
    """Exit code 1, the error on stderr, no document."""
    broker.outcome = ("failed", "Task 'Start the server' failed: no room")
    result = apb("provision", "redis", "redis-standard", "cache", "-o", "json")
    assert result.exit_code == 1
    assert result.stderr.endswith("apb: provision of 'cache' failed: Task 'Start the server' failed: no room\n")
    assert result.stdout == ""


def test_provision_does_not_wait_when_told_so(broker, apb):
    """--no-wait asks for no log and says how to look."""
    result = apb("provision", "redis", "redis-standard", "cache", "--no-wait")
    assert result.stdout.endswith("look at it with: apb logs -f op-1\n")
    assert not [path for _, path, _, _ in broker.requests if path.endswith(("/log", "/last_operation"))]


def test_provision_is_sent_again_when_its_answer_is_lost(broker, apb):
    """The same id twice is one request (OSB, "Provisioning"): one instance is made."""
    broker.answers["PUT provision"] = [(0, None, {})]
    result = apb("provision", "redis", "redis-standard", "cache")
    assert result.exit_code == 0, result.output
    first, second = broker.sent("PUT")
    assert first == second and len(broker.instances) == 1


def test_provision_says_that_it_does_not_know_when_all_answers_are_lost(broker, apb):
    """Exit code 5, and where to look."""
    broker.answers["PUT provision"] = [(0, None, {})] * 9
    result = apb("provision", "redis", "redis-standard", "cache")
    assert result.exit_code == 5
    assert "Whether the request was accepted is not known: see `apb instances`" in result.stderr


def test_update_sends_the_given_parameters_only(broker, apb):
    """PATCH without a plan."""
    broker.add_instance()
    result = apb("update", "cache", "-p", "memory:=0.8")
    assert result.exit_code == 0, result.output
    ((path, query, body),) = broker.sent("PATCH")
    assert (path, query) == ("/v2/service_instances/i-1", {"accepts_incomplete": "true"})
    assert (body["service_id"], body["parameters"], "plan_id" in body) == ("service-1", {"memory": 0.8}, False)
    assert "'cache' is updated" in result.stdout


def test_update_says_when_nothing_changes(broker, apb):
    """200: there is no operation to wait for."""
    broker.add_instance()
    broker.answers["PATCH update"] = [(200, {}, {})]
    assert apb("update", "cache", "-p", "memory=1").stdout == "'cache' is so already\n"
    assert apb("update", "cache").exit_code == 2


def test_deprovision_asks_first(broker, apb):
    """Without a terminal and without --yes nothing is removed."""
    broker.add_instance()
    result = apb("deprovision", "cache")
    assert result.exit_code == 2 and "--yes" in result.stderr
    assert not broker.sent("DELETE")


def test_deprovision_removes(broker, apb):
    """DELETE with service and plan, by id too; the document is the operation, since the instance is gone."""
    broker.add_instance()
    result = apb("deprovision", "i-1", "--yes", "-o", "json")
    assert result.exit_code == 0, result.output
    assert broker.sent("DELETE") == [
        ("/v2/service_instances/i-1", {"accepts_incomplete": "true", "service_id": "service-1", "plan_id": "plan-1"}, None)
    ]
    assert json.loads(result.stdout)["kind"] == "deprovision"


def test_deprovision_counts_gone_as_done(broker, apb):
    """410 to the removal, or to the question how it goes, is success (OSB, "Deprovisioning", "Polling Last Operation")."""
    broker.add_instance()
    broker.answers["GET last_operation"] = [(410, {"description": "gone"}, {})]
    assert apb("deprovision", "cache", "--yes").exit_code == 0
    broker.add_instance()
    broker.answers["DELETE deprovision"] = [(410, {"description": "gone"}, {})]
    assert apb("deprovision", "cache", "--yes").exit_code == 0


def test_instances_lists_one_a_line_whatever_its_length(broker, apb):
    """No wrapping, cutting or colour when not on a terminal."""
    broker.add_instance("c" * 150)
    broker.add_instance("queue", "i-2", space="shop", connection={"host": "::1", "port": 21001})
    lines = apb("instances").stdout.splitlines()
    assert lines[0].split() == ["NAME", "SPACE", "SERVICE", "PLAN", "STATE", "HEALTH", "ENDPOINT", "BINDINGS", "CREATED"]
    assert lines[1].split()[:7] == ["c" * 150, "default", "redis", "redis-standard", "ready", "failing", "127.0.0.1:21000"]
    assert lines[2].split()[6] == "[::1]:21001"
    assert len(apb("instances", "--space", "shop").stdout.splitlines()) == 2
    assert [one["id"] for one in json.loads(apb("instances", "-o", "json").stdout)] == ["i-1", "i-2"]


def test_instances_lists_all_of_them_page_by_page(broker, apb):
    """A broker gives some at a time; people and programs get all, in its order."""
    broker.page = 2
    for number in range(5):
        broker.add_instance(f"cache-{number}", f"i-{number}")
    assert [one["id"] for one in json.loads(apb("instances", "-o", "json").stdout)] == [f"i-{number}" for number in range(5)]
    assert len(apb("instances").stdout.splitlines()) == 6
    assert [query.get("after") for method, path, query, _ in broker.requests if path == "/admin/v1/instances"][:3] == [None, "2", "4"]


def test_instances_shows_one_in_full(broker, apb):
    """Parameters, connection, bindings, the last operation."""
    broker.add_instance()
    broker.add_binding()
    broker.add_operation("update", "i-1")
    shown = apb("instances", "cache").stdout
    assert "parameter memory  1" in shown and "connection port   21000" in shown
    assert "update succeeded (op-1)" in shown
    assert "shop     b-1  ready  access=read" in shown


def test_instances_does_not_let_texts_steer_the_terminal(broker, apb):
    """Control characters in names are dropped."""
    broker.add_instance("ca\x1b[31mche\u202e")
    assert "ca[31mche " in apb("instances").stdout


def test_instances_says_where_else_the_name_is(broker, apb):
    """Exit code 3, and the space that has it."""
    broker.add_instance(space="shop")
    result = apb("instances", "cache")
    assert result.exit_code == 3
    assert result.stderr == "apb: there is no instance 'cache' in space 'default'; there is one in space shop: give --space\n"


def test_ids_are_quoted_in_urls(broker, apb):
    """An id of another platform may hold any character."""
    broker.add_instance("cache", "a/b?c d")
    assert apb("update", "cache", "-p", "memory=2").exit_code == 0
    assert broker.sent("PATCH")[0][0] == "/v2/service_instances/a%2Fb%3Fc%20d"
