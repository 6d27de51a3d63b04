"""The modules osb_*, and the lookup, at apb's own broker: real servers and workers, runs that do what a script says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from apb_broker.storage.database import Database
from apb_broker.storage.sealing import Keyring
from tests import ports, scenarios
from tests.conftest import short_path
from tests.load.site import Site, site
from tests.plays import Object, Player, task

CREDENTIALS = {"host": "{host}", "port": "{port}", "username": "{username}", "password": "{password}"}
SCRIPT = {"delay_seconds": 0.5, "actions": {"bind": {"published": {"credentials": CREDENTIALS}}}}
CHECK = {"check_mode": True}
BOX = {
    "apb": 1,
    "name": "box",
    "id": "b0c50000-0000-4000-8000-000000000000",
    "description": "A box",
    "category": "other",
    "type": "box",
    "parameters": {
        "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1, "x-updatable": True},
        "pin": {"type": "string", "x-sensitive": True, "x-updatable": True},
        "scripted": {"type": "object", "x-updatable": True},
    },
    "plans": [
        {
            "name": name,
            "id": f"b0c50000-0000-4000-8000-00000000000{number}",
            "description": f"A {name} box",
            "tenancy": "dedicated",
            "updates_to": [other],
            "parameters": {"size": {}, "pin": {}, "scripted": {}},
            "needs": {"ports": ["client"]},
        }
        for number, name, other in ((1, "small", "large"), (2, "large", "small"))
    ],
    "connection": {"host": "{{ instance.host }}", "port": "{{ instance.ports.client }}"},
    "bind": {"parameters": {"access": {"type": "string", "enum": ["read", "write"], "default": "read"}}},
    "credentials": {"type": "object", "required": ["password"]},
}


@pytest.fixture(scope="module")
def boxes(database_url: str, key_file: Path) -> Iterator[Site]:
    """A broker that offers boxes."""
    database = Database(database_url, Keyring.load(key_file))
    scenarios.empty(database)
    database.close()
    listen = f"127.0.0.1:{ports.free()}"
    with short_path() as directory, site(directory / "s", database_url, listen=listen, ports="20200-20299", seed=1) as made:
        role = made.state.root / "services" / "box"
        (role / "tasks" / "host").mkdir(parents=True)
        (role / "meta").mkdir()
        (role / "tasks" / "host" / "provision.yml").write_text("[]\n")
        (role / "meta" / "service.yml").write_text(yaml.safe_dump(BOX))
        made.configure(
            services_path=["services"],
            roles=[{"name": "box", "settings": {"scripted": SCRIPT}}],
            offers=[{"plan": f"box/{name}", "mode": "host", "targets": ["local"]} for name in ("small", "large")],
            settings={"executor": "scripted", "operation_deadline_seconds": 60, "max_attempts": 1},
        )
        made.start()
        yield made


@pytest.fixture
def player(boxes: Site, tmp_path: Path) -> Player:
    """Plays at that broker, which is said once for the group of modules."""
    login = {name: boxes.admin[name] for name in ("url", "username", "password")}
    return Player(tmp_path, {"group/apb.catalog.osb": login})


def outcome(told: dict[str, Object]) -> dict[str, bool | str]:
    """Whether each task changed something, or why it failed."""
    return {name: result["msg"] if result.get("failed") else result["changed"] for name, result in told.items()}


def instance(name: str, keywords: Object | None = None, /, **given: Any) -> Object:
    return task(name, "osb_instance", keywords=keywords, **{"service": "box", "plan": "small", **given})


def test_instance_is_made_changed_and_given_back(player: Player) -> None:
    """Check mode sends nothing, a second run finds nothing to do, secret parameters are compared and never told."""
    first = {"name": "life", "parameters": {"size": 2}, "secret_parameters": {"pin": "canary-1"}}
    second = {**first, "plan": "large", "parameters": {"size": 3}}
    told = player.play(
        instance("would make", CHECK, **first),
        instance("makes", **first),
        instance("finds", **first),
        instance("finds in check mode", CHECK, **first),
        instance("would change", CHECK, **second),
        instance("changes", **second),
        instance("finds changed", **{**second, "secret_parameters": {}}),
        instance("finds by number as text", **{**second, "parameters": {"size": "3"}}),
        instance("changes the secret", **{**second, "secret_parameters": {"pin": "canary-2"}}),
        instance("would remove", CHECK, name="life", state="absent"),
        instance("removes", name="life", state="absent", service=None, plan=None),
        instance("finds removed", name="life", state="absent"),
        instance("would make again", CHECK, **first),
    )
    changing = [name for name in told if name.startswith(("would", "makes", "changes", "removes"))]
    assert outcome(told) == {name: name in changing for name in told}
    assert told["makes"]["connection"]["host"] == "127.0.0.1"
    assert told["makes"]["connection"] == told["changes"]["connection"]
    assert told["would change"]["diff"]["before"]["plan"] == "small"
    assert told["would change"]["diff"]["before"]["parameters"]["size"] == 2
    assert told["would change"]["diff"]["after"]["plan"] == "large"
    assert told["would change"]["diff"]["after"]["parameters"]["size"] == 3
    assert told["finds in check mode"]["warnings"] == [
        "instance life: the broker does not tell all of its parameters; whether these would change is not known"
    ]
    assert told["would make"]["diff"] == told["makes"]["diff"] and told["makes"]["diff"]["before"] == {}
    assert told["would remove"]["diff"] == told["removes"]["diff"] and told["removes"]["diff"]["after"] == {}
    assert "canary" not in json.dumps(told)
    assert len({result["instance_id"] for result in told.values()}) == 1


def test_modules_work_where_they_are_sent(player: Player) -> None:
    """Packed, as to another host."""
    sent = {"vars": {"apb_in_process": False}}
    told = player.play(
        instance("makes", sent, name="sent"),
        task("binds", "osb_binding", keywords=sent, name="shop", instance="sent"),
        task("lists", "osb_catalog_info", keywords=sent),
        instance("removes", sent, name="sent", state="absent"),
    )
    assert outcome(told) == {"makes": True, "binds": True, "lists": False, "removes": True}


def test_refusals_are_the_brokers_own_words(player: Player, boxes: Site) -> None:
    """Field, value and limit; what is misspelt is told with what there is; a login is never told."""
    told = player.play(
        instance("is too large", name="r", parameters={"size": 10}),
        instance("is no plan", name="r", plan="smal"),
        instance("is no service", name="r", service="boxx"),
        instance("is nobody", name="r", password="canary"),
        instance("lacks", name="r", plan=None),
        instance("has two logins", name="r", token="canary"),
    )
    messages = outcome(told)
    assert "parameter 'size': 10 is above the maximum of 9" in str(messages["is too large"])
    assert messages["is no plan"] == "the broker offers no plan of box 'smal'; did you mean 'small'?"
    assert messages["is no service"] == "the broker offers no service 'boxx'; did you mean 'box'?"
    assert "does not accept this login: check username and password, or token" in str(messages["is nobody"])
    assert messages["lacks"] == "instance r: state is present, and service or plan is missing"
    assert "mutually exclusive: username|token" in str(messages["has two logins"])
    assert "canary" not in json.dumps(told)


def test_broker_that_cannot_be_used_is_told_with_the_cure(player: Player, boxes: Site) -> None:
    """By each module: nobody there, somebody else there, a login of nobody, an address with a password."""
    modules = {
        "osb_instance": {"service": "box", "plan": "small", "name": "x"},
        "osb_binding": {"instance": "x", "name": "y"},
        "osb_catalog_info": {},
    }
    url = boxes.admin["url"]
    troubles = {
        "away": ({"url": f"http://127.0.0.1:{ports.free()}"}, "gives no answer (Connection refused): does it run, and is the URL right?"),
        "elsewhere": ({"url": f"{url}/docs"}, f"{url}/docs has no catalog (The requested URL was not found"),
        "nobody": ({"password": "canary"}, "does not accept this login: check username and password, or token"),
        "told twice": ({"url": url.replace("//", "//me:pass@")}, "url holds a user name or password: give them by username and password"),
    }
    told = player.play(
        *(
            task(f"{module} {name}", module, **given, **trouble)
            for name, (trouble, _) in troubles.items()
            for module, given in modules.items()
        )
    )
    for name, result in told.items():
        assert troubles[name.partition(" ")[2]][1] in result["msg"], name
    assert "canary" not in json.dumps(told)


def test_order_that_fails_is_tried_again_or_cleared_away(player: Player) -> None:
    """By the same task; what nobody waits for is found in progress and waited for by the next run."""
    failing = {"actions": {"provision": {"outcome": "failed", "message": "no disk"}}}
    slow = {"actions": {"provision": {"delay_seconds": 2}}}
    told = player.play(
        instance("fails", name="broken", parameters={"scripted": failing}),
        instance("is there no more in check mode", CHECK, name="broken"),
        instance("clears away", name="broken", state="absent"),
        instance("begins", name="slow", parameters={"scripted": slow}, wait=False),
        instance("goes on", name="slow", parameters={"scripted": slow}, wait=False),
        instance("is impatient", name="slow", parameters={"scripted": slow}, wait_timeout=1),
        instance("waits", name="slow", parameters={"scripted": slow}),
        instance("removes", name="slow", state="absent"),
    )
    changes = outcome(told)
    assert "provision of instance broken failed: no disk. Run this again to try again, or with state=absent" in str(changes["fails"])
    assert changes["clears away"] is True
    assert (changes["begins"], told["begins"]["in_progress"]) == (True, True)
    assert told["begins"]["operation"]
    assert (changes["goes on"], told["goes on"]["in_progress"]) == (False, True)
    assert "has not ended in time and goes on" in str(changes["is impatient"])
    assert (changes["waits"], told["waits"]["in_progress"]) == (False, False)


def test_binding_is_made_once_looked_up_and_taken_back(player: Player, boxes: Site) -> None:
    """Its credentials are told to who asks for them, and looked up by its name; other parameters are another binding."""
    given = {"instance": "bound", "name": "shop", "parameters": {"access": "write"}}

    def binding(name: str, keywords: Object | None = None, **changes: Any) -> Object:
        return task(name, "osb_binding", keywords=keywords, **{**given, **changes})

    def looked_up(name: str, binding_name: str, options: str = "") -> Object:
        expression = f"{{{{ lookup('apb.catalog.credentials', '{binding_name}', instance='bound'{options}) | to_json }}}}"
        return {
            "name": name,
            "ansible.builtin.copy": {"content": expression, "dest": str(player.directory / name), "mode": "0600"},
            "ignore_errors": True,
        }

    told = player.play(
        binding("is too early"),
        binding("is gone without an instance", state="absent"),
        instance("instance", name="bound"),
        binding("would make", CHECK),
        binding("makes"),
        binding("finds"),
        binding("finds in check mode", CHECK),
        binding("changes", parameters={"access": "read"}),
        looked_up("all", "shop"),
        looked_up("one", "shop", ", key='username'"),
        looked_up("unknown", "shopp"),
        binding("tells", return_credentials=True),
        binding("would remove", CHECK, state="absent"),
        binding("removes", state="absent"),
        binding("finds removed", state="absent"),
        looked_up("removed", "shop"),
        apb_osb_url="{{ place_of_the_broker }}",
        place_of_the_broker=boxes.admin["url"],
        apb_osb_username=boxes.admin["username"],
        apb_osb_password=boxes.admin["password"],
    )
    changes = outcome(told)
    assert changes["is too early"] == "instance bound does not exist, or is not ready: make it first (osb_instance)"
    assert str(changes["changes"]).startswith("binding shop of instance bound was made with another value of access")
    changing = ("would make", "makes", "would remove", "removes")
    silent = ("is gone without an instance", "finds", "finds in check mode", "tells", "finds removed")
    assert {name: changes[name] for name in (*changing, *silent)} == {name: name in changing for name in (*changing, *silent)}
    made = {"before": {}, "after": {"parameters": {"access": "write"}}}
    assert told["would make"]["diff"] == told["makes"]["diff"] == made
    assert told["would remove"]["diff"] == told["removes"]["diff"] == {"before": made["after"], "after": {}}
    credentials = json.loads((player.directory / "all").read_text())
    assert credentials == told["tells"]["credentials"]
    assert json.loads((player.directory / "one").read_text()) == credentials["username"]
    for name in ("unknown", "removed"):
        assert "does not tell binding shop" in str(changes[name])
    secret = credentials["password"]
    assert [name for name, result in told.items() if secret in json.dumps(result)] == ["tells"]
    assert boxes.admin["password"] not in json.dumps(told)


def test_catalog_is_told(player: Player) -> None:
    """With what its plans take."""
    told = player.play(
        task("all", "osb_catalog_info"),
        task("in check mode", "osb_catalog_info", keywords=CHECK),
        task("one", "osb_catalog_info", service="box"),
        task("none", "osb_catalog_info", service="x"),
    )
    assert told["in check mode"]["services"] == told["all"]["services"] and not told["all"]["changed"]
    assert [service["name"] for service in told["all"]["services"]] == ["box"]
    (service,) = told["one"]["services"]
    assert service["plans"][0]["schemas"]["service_instance"]["create"]["parameters"]["properties"]["size"]["maximum"] == 9
    assert told["none"]["msg"] == "the broker offers no service 'x'; there is: box"
