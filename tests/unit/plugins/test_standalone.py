"""The rules for instances without the broker, on the records that state files hold."""

import json
import os
from pathlib import Path

import pytest
import yaml
from ansible_collections.apb.catalog.plugins.lookup import placement
from ansible_collections.apb.catalog.plugins.module_utils import service
from ansible_collections.apb.catalog.plugins.module_utils import standalone_actions as actions
from ansible_collections.apb.catalog.plugins.module_utils import standalone_holder as holders
from ansible_collections.apb.catalog.plugins.module_utils import standalone_request as requests
from ansible_collections.apb.catalog.plugins.module_utils.standalone_errors import StandaloneError
from ansible_collections.apb.catalog.plugins.module_utils.standalone_states import States

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parents[1] for path in ROOT.glob("roles/*/meta/service.yml"))
REDIS = service.load(ROOT / "roles/redis/meta/service.yml", role="apb.catalog.redis")
RUN = {"pid": os.getpid(), "started": holders._started(os.getpid()), "boot": holders._boot(), "host": "localhost"}
SERVER = {"host": "redis.example.com", "port": 6379, "username": "apb", "password": "canary"}


def ask(action, **given):
    return requests.read({"action": action, "name": "cache", "host": "localhost", **given})


def begin(action, record, *, run=RUN, others=(), **given):
    return actions.begin(ask(action, **given), record, list(others), lambda _role: REDIS, run)


def begun(**given):
    return begin("provision", None, role="apb.catalog.redis", **{"plan": "redis-standard", **given})


def provisioned(**given):
    record = begun(**given)
    return actions.finish(record, record["epoch"])


def bound(record, name="web"):
    record = begin("bind", record, binding=name)
    binding = record["bindings"][name]
    credentials = {
        **{key: binding[key] for key in ("username", "password")},
        **{"type": "redis", "host": "127.0.0.1", "port": 21000, "uri": "redis://a:b@127.0.0.1:21000"},
    }
    record = actions.publish(record, record["epoch"], {"credentials": credentials})
    return actions.finish(record, record["epoch"])


def test_new_instance_has_names_ports_and_secrets_before_anything_runs():
    """So that a run that was killed goes on with the same."""
    record = begun(requested={"memory": "0.5"})
    made = actions.variables(record)
    assert made["apb_parameters"] == {"memory": 0.5}
    assert made["apb_instance"]["ports"] == {"client": 21000}
    assert made["apb_instance"]["names"] == service.names("redis", made["apb_instance"]["id"])
    assert len(made["apb_instance"]["secrets"]["admin_password"]) == 32
    assert begin("provision", record, run={**RUN}, requested={"memory": 0.5})["instance"] == record["instance"]


def test_variables_are_the_brokers():
    """Keys of both are the contract's; apb_server comes from the operator in both."""
    broker = (ROOT / "apb_broker/lifecycle/variables.py").read_text()
    record = bound(provisioned())
    for action, also in (("bind", {"binding": "web"}), ("update", {})):
        made = actions.variables(begin(action, record, **also))
        assert all(f'"{name}"' in broker for name in made)
        assert set(made["apb_bindings"][0]) == {"id", "username", "password", "parameters"}
    assert set(made["apb_instance"]) == {"id", "name", "names", "host", "ports", "placement", "connection", "secrets", "outputs", "context"}
    assert made["apb_previous"] == {"parameters": {"memory": 1}, "plan": "redis-standard"}


def test_ports_of_neighbours_on_the_same_host_are_left_alone():
    """The next free one is taken; none left is told before anything is kept."""
    neighbour = provisioned()
    assert begun(others=[neighbour])["instance"]["ports"] == {"client": 21001}
    assert begun(others=[neighbour], host="another")["instance"]["ports"] == {"client": 21000}
    with pytest.raises(StandaloneError, match="apb_port_range: 21000-21000 has no 1 free port"):
        begun(others=[neighbour], port_range="21000-21000")


def test_desired_parameters_count_on_success_only():
    """A run that did not end leaves the instance as it was."""
    record = provisioned()
    updating = begin("update", record, requested={"memory": 2})
    assert (actions.variables(updating)["apb_parameters"], updating["parameters"]) == ({"memory": 2}, {"memory": 1})
    assert actions.variables(begin("verify", updating))["apb_parameters"] == {"memory": 1}
    assert actions.finish(updating, updating["epoch"])["parameters"] == {"memory": 2}


def test_older_run_changes_nothing():
    """Neither what it publishes nor its end counts when another went on."""
    older = begun()
    newer = begin("provision", older)
    assert newer["epoch"] > older["epoch"]
    for late in (lambda: actions.finish(newer, older["epoch"]), lambda: actions.publish(newer, older["epoch"], {"outputs": {}})):
        with pytest.raises(StandaloneError, match="another run went on"):
            late()


def test_instance_is_busy_while_a_run_lives_and_free_when_it_was_killed():
    """The process is known by id and start, so an id that is used again is nobody."""
    record = begun()
    other = {**RUN, "pid": 1, "started": "0"}
    with pytest.raises(StandaloneError, match=f"busy: provision by process {os.getpid()} for host localhost"):
        begin("provision", record, run=other)
    killed = {**record, "run": {**record["run"], "started": "1"}}
    assert begin("provision", killed, run=other)["instance"] == record["instance"]


@pytest.mark.parametrize(
    ("action", "given", "told"),
    [
        ("provision", {"requested": {"memory": 2}}, "exists with other parameters: use apb.catalog.update"),
        ("provision", {"plan": "redis-tenant"}, "exists with plan redis-standard, not redis-tenant: use apb.catalog.update"),
        ("provision", {"role": "other.services.hello"}, "is of service apb.catalog.redis, not of other.services.hello"),
        ("update", {"host": "another"}, "lives on host localhost, not on another"),
        ("update", {"plan": "redis-tenant"}, "does not change from redis-standard to redis-tenant"),
        ("bind", {"binding": "web", "requested": {"access": "read"}}, "binding web exists with other parameters: run apb.catalog.unbind"),
    ],
)
def test_what_an_instance_is_stays_as_it_was_created(action, given, told):
    """Each refusal says what to do instead."""
    with pytest.raises(StandaloneError, match=told):
        begin(action, bound(provisioned()), **given)


@pytest.mark.parametrize("action", ["update", "bind", "verify"])
def test_unknown_instance_is_told(action):
    """It may only be missing because of another directory."""
    with pytest.raises(StandaloneError, match="instance cache is not known here: provision it first"):
        begin(action, None, binding="web")


def test_removal_of_what_is_not_there_is_done():
    """Also of a binding that an instance does not have."""
    assert begin("deprovision", None) is None
    assert begin("unbind", None, binding="web") is None
    assert begin("unbind", provisioned(), binding="web") is None


def test_half_removed_things_are_removed_to_their_end():
    """Nothing else may begin with them."""
    record = bound(provisioned())
    with pytest.raises(StandaloneError, match=r"is being removed: run apb.catalog.deprovision again"):
        begin("update", begin("deprovision", record))
    unbinding = begin("unbind", record, binding="web")
    assert actions.variables(unbinding)["apb_bindings"] == []
    with pytest.raises(StandaloneError, match=r"is being removed: run apb.catalog.unbind again"):
        begin("bind", unbinding, binding="web")
    again = begin("unbind", unbinding, binding="web")
    assert actions.finish(again, again["epoch"])["bindings"] == {}


def test_credentials_are_checked_before_they_are_kept():
    """What does not fit is given back, and named without its value."""
    record = begin("bind", provisioned(), binding="web")
    with pytest.raises(service.CredentialsError, match="the role published no credentials"):
        actions.finish(record, record["epoch"])
    record = actions.publish(record, record["epoch"], {"credentials": {"type": "redis", "password": "canary"}})
    with pytest.raises(service.CredentialsError) as refused:
        actions.finish(record, record["epoch"])
    assert "canary" not in str(refused.value)
    returned = actions.give_back(record, record["epoch"])
    assert returned["bindings"]["web"]["state"] == "unbinding"
    assert actions.finish(returned, returned["epoch"])["bindings"] == {}


def test_instance_on_a_shared_server_is_at_the_servers_address():
    """Its account is never kept: the operator gives it each time."""
    record = begun(plan="redis-tenant", server=SERVER)
    assert (record["mode"], record["instance"]["host"], record["instance"]["ports"]) == ("shared", "redis.example.com", {"client": 6379})
    assert record["instance"]["placement"]["host"] == "localhost"
    assert "canary" not in json.dumps(record)
    with pytest.raises(StandaloneError, match="apb_server is missing"):
        begin("verify", actions.finish(record, record["epoch"]))
    with pytest.raises(StandaloneError, match=r"lives on server redis.example.com:6379, not on apb_server other:6379"):
        begin("provision", record, server={**SERVER, "host": "other"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "Cache"}, "apb_name: 'Cache' has to be 1 to 63 of a-z"),
        ({"name": "../cache"}, "apb_name: '../cache' has to be"),
        ({"name": ""}, "apb_name is missing"),
        ({"port_range": "9-5"}, "apb_port_range: '9-5' is not a range of ports"),
        ({"requested": "memory=1"}, "apb_requested has to be an object"),
        ({"requested": "@/nowhere"}, "apb_requested: /nowhere cannot be read"),
        ({"server": {"host": "a"}}, "apb_server has no port, username, password"),
        ({"action": "remove"}, "apb_action: 'remove' is not one of"),
    ],
)
def test_request_names_the_variable_that_is_wrong(given, told):
    """Before any file is looked at."""
    with pytest.raises(StandaloneError, match=told):
        ask(**{"action": "provision", **given})


def test_state_file_is_whole_and_its_owners_only(tmp_path):
    """Also where a killed run left half a file beside it."""
    states = States(str(tmp_path / "deep" / "states"))
    with states.locked():
        states.write("cache", {"apb": 1, "name": "缓存"})
    (states.directory / ".cache.new").write_text("{")
    assert states.read("cache") == {"apb": 1, "name": "缓存"}
    with states.locked():
        states.write("cache", {"apb": 1})
    assert [oct(path.stat().st_mode & 0o777) for path in (states.directory, states.path("cache"))] == ["0o700", "0o600"]
    assert [len(states.others(name)) for name in ("cache", "another")] == [0, 1]
    states.directory.chmod(0o755)
    with pytest.raises(StandaloneError, match="run 'chmod 700"), states.locked():
        pass


def test_play_is_for_the_host_that_the_instance_lives_on():
    """Asking for another is refused before anything runs there."""
    record = provisioned()
    assert [placement.place(record, ""), placement.place(record, "localhost"), placement.place(None, "h1")] == [
        "localhost",
        "localhost",
        "h1",
    ]
    assert placement.place(None, "") == "localhost"
    with pytest.raises(StandaloneError, match="lives on host localhost, not on h1"):
        placement.place(record, "h1")


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_role_describes_what_ordinary_plays_give_it(role):
    """Each service role has the same door, and its argument spec the inputs and every setting of defaults/main.yml."""
    described = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    settings = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
    redis = yaml.safe_load((ROOT / "roles/redis/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    inputs = {name: option for name, option in redis.items() if name.startswith("apb_")}
    assert {name: option for name, option in described.items() if name.startswith("apb_")} == inputs
    assert {name for name in described if not name.startswith("apb_")} == set(settings)
    assert (role / "tasks/main.yml").read_text() == (ROOT / "roles/redis/tasks/main.yml").read_text()
