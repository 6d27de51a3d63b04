"""Roles and apb.yml together: what is offered, and what is refused at start rather than at a tenant's request."""

import json
import subprocess
import sys

import pytest
import yaml

from apb_broker.catalog import roles
from apb_broker.catalog.catalog import Catalog
from apb_broker.catalog.errors import CatalogError, ConfigError, NotOffered
from tests import boxes


@pytest.fixture
def load_catalog(load):
    """The catalog of this configuration."""
    return lambda raw: Catalog.load(load(raw))


@pytest.fixture
def local(raw):
    """apb.yml with local roles instead of Redis."""

    def with_roles(*names, offers):
        raw["services_path"] = ["services"]
        raw["roles"] = [{"name": name} for name in names]
        raw["offers"] = [{"plan": plan, "mode": "host", "targets": ["local"]} for plan in offers]
        return raw

    return with_roles


def test_offer_is_found_by_osb_ids(load_catalog, raw):
    """service_id and plan_id lead to service, plan, mode and targets."""
    catalog = load_catalog(raw)
    redis = catalog.services[0]
    offer = catalog.offer(redis.id, redis.plans[0].id)
    assert (offer.service.name, offer.plan.name, offer.mode) == ("redis", "redis-standard", "host")
    assert [target.name for target in offer.targets] == ["local"]
    assert offer.service.role == offer.plan.role == "apb.catalog.redis"
    assert catalog.service(redis.id) is redis


def test_what_is_not_offered_is_said_so(load_catalog, raw):
    """The message names the field and the value, cut short."""
    catalog = load_catalog(raw)
    redis = catalog.services[0]
    with pytest.raises(NotOffered, match=r"^service_id: 'x' is not a service of this catalog$"):
        catalog.offer("x", redis.plans[0].id)
    with pytest.raises(NotOffered, match=r"^plan_id: 'x' is not a plan of service redis$"):
        catalog.offer(redis.id, "x")
    with pytest.raises(NotOffered) as caught:
        catalog.service("x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.fixture
def parts(local, make_role):
    """Two services, of which one has a slice."""
    for number, name in enumerate(("one", "two"), 1):
        make_role(name, number)
    raw = local("one", "two", offers=["one/small", "two/small", "two/large"])
    raw["offers"][1]["binding_expiry"] = {"after_seconds": 60}
    raw["brokers"] = {"first": {"services": ["one"], "users": ["admin"]}}
    return raw


def test_slice_offers_its_services_only(load_catalog, parts):
    """The rest is as if it were not offered, except for what goes on there: targets, settings, how long bindings live."""
    whole = load_catalog(parts)
    part = whole.slice(["one"])
    assert [service["name"] for service in part.osb()["services"]] == ["one"]
    one, two = whole.services
    assert part.offer(one.id, one.plans[0].id) is whole.offers[0]
    with pytest.raises(NotOffered, match="is not a service of this catalog"):
        part.offer(two.id, two.plans[0].id)
    assert part.targets == whole.targets
    assert part.binding_expiry(two.plans[0].id) == whole.offers[1].binding_expiry
    assert part.polling_seconds == whole.polling_seconds


def test_slice_of_what_is_not_offered_is_refused(load_catalog, parts):
    """All of them at once, as mistakes of apb.yml."""
    parts["brokers"]["second"] = {"services": ["two", "three", "four"], "users": ["admin"]}
    with pytest.raises(ConfigError) as caught:
        load_catalog(parts)
    assert caught.value.mistakes == [
        "brokers.second.services.1: 'three' is not offered; services on offer: one, two",
        "brokers.second.services.2: 'four' is not offered; services on offer: one, two",
    ]


def test_settings_of_target_win_over_those_of_role(load_catalog, raw):
    """Both may have left apb.yml: an instance can still be removed."""
    catalog = load_catalog(raw)
    assert catalog.settings("apb.catalog.redis", "local") == {"redis_maxclients": 100, "redis_loglevel": "warning"}
    assert catalog.settings("apb.catalog.gone", "gone") == {}
    with pytest.raises(KeyError):
        catalog.target("gone")


def test_plan_without_a_target_is_not_in_the_catalog(load_catalog, local, make_role):
    """Only offered plans are shown, and no service without one."""
    make_role("first", 1)
    make_role("second", 2)
    body = load_catalog(local("first", "second", offers=["first/large"])).osb()
    assert [(found["name"], [plan["name"] for plan in found["plans"]]) for found in body["services"]] == [("first", ["large"])]


def test_role_that_is_not_listed_is_not_offered(load_catalog, local, make_role):
    """A role beside the listed one does not become a service."""
    make_role("first", 1)
    make_role("second", 2)
    with pytest.raises(CatalogError, match=r"offers\.0\.plan: 'second/small': no listed role is service 'second'; .* roles: first"):
        load_catalog(local("first", offers=["second/small"]))


def test_offer_of_an_unknown_plan_is_refused(load_catalog, raw):
    """The message lists the plans there are."""
    raw["offers"][0]["plan"] = "redis/redis-huge"
    with pytest.raises(CatalogError, match="service redis has no plan redis-huge; it has redis-standard"):
        load_catalog(raw)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("name", "service name first is used by"),
        ("id", "id 00000000-0000-4000-8000-000000000010 is used by"),
        ("plan", "id 00000000-0000-4000-8000-000000000011 is used by"),
    ],
)
def test_duplicates_between_services_are_refused(load_catalog, local, make_role, field, said):
    """OSB: names and ids of services, and ids of plans, are unique in a catalog."""
    make_role("first", 1)
    file = make_role("second", 2) / "meta" / "service.yml"
    described = yaml.safe_load(file.read_text())
    if field == "plan":
        described["plans"][0]["id"] = "00000000-0000-4000-8000-000000000011"
    else:
        described[field] = {"name": "first", "id": "00000000-0000-4000-8000-000000000010"}[field]
    file.write_text(yaml.safe_dump(described))
    with pytest.raises(CatalogError, match=said):
        load_catalog(local("first", "second", offers=["first/small"]))


def test_broken_service_is_told_by_file(load_catalog, local, make_role):
    """The operator learns which role's file is wrong."""
    file = make_role("first", 1) / "meta" / "service.yml"
    file.write_text(file.read_text() + "colour: red\n")
    with pytest.raises(CatalogError, match=r"services/first/meta/service\.yml: colour: is unknown"):
        load_catalog(local("first", offers=["first/small"]))


def test_local_role_goes_by_its_path(load_catalog, local, make_role, tmp_path):
    """include_role finds a folder by path, whatever Ansible's roles path is."""
    make_role("first", 1)
    raw = local("first", offers=["first/small"])
    raw["roles"][0]["settings"] = {"first_x": 1}
    catalog = load_catalog(raw)
    role = catalog.services[0].role
    assert role == str(tmp_path / "services" / "first")
    assert catalog.settings(role, "local")["first_x"] == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acme.nothing.db", "role acme.nothing.db: collection acme.nothing is not installed"),
        ("apb.catalog.nothing", "role apb.catalog.nothing: collection apb.catalog in .* has no such role"),
        ("nothing", "role nothing: not found .*; a role of a collection is named namespace.collection.role"),
        ("bare", "has no meta/service.yml, so it is not a service"),
    ],
)
def test_role_that_cannot_be_found_is_told(load_catalog, local, tmp_path, name, said):
    """The message says where it was looked for, or what is missing there."""
    (tmp_path / "services" / "bare").mkdir(parents=True)
    with pytest.raises(CatalogError, match=said):
        load_catalog(local(name, offers=[]))


@pytest.fixture
def install(tmp_path, make_role, monkeypatch):
    """Installs collection acme.services with role db under a folder, with the given version file."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ANSIBLE_COLLECTIONS_PATH", raising=False)

    def make(folder, file, content):
        collection = folder / "ansible_collections" / "acme" / "services"
        make_role("db", 3, folder=collection / "roles")
        (collection / file).write_text(content)
        return collection / "roles" / "db"

    return make


MANIFEST = json.dumps({"collection_info": {"version": "1.2.3"}})


def test_collections_are_searched_in_ansibles_order(install, tmp_path, monkeypatch):
    """ANSIBLE_COLLECTIONS_PATH instead of the home directory's collections, and both before Python's path."""
    last = install(tmp_path / "python", "galaxy.yml", "version: 3.0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "python"))
    assert roles.find("acme.services.db", []) == roles.FoundRole("acme.services.db", last, "3.0.0")
    home = install(tmp_path / "home" / ".ansible" / "collections", "MANIFEST.json", MANIFEST)
    assert roles.find("acme.services.db", []) == roles.FoundRole("acme.services.db", home, "1.2.3")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path / "set"))
    assert roles.find("acme.services.db", []).directory == last
    first = install(tmp_path / "set", "MANIFEST.json", MANIFEST)
    assert roles.find("acme.services.db", []).directory == first


@pytest.mark.parametrize(
    ("file", "content", "version"),
    [
        ("MANIFEST.json", MANIFEST, "1.2.3"),
        ("galaxy.yml", "version: 0.1.0", "0.1.0"),
        ("galaxy.yml", "version: null", ""),
        ("README.md", "", ""),
    ],
)
def test_version_is_that_of_the_collection(install, tmp_path, monkeypatch, file, content, version):
    """Installed collections have a manifest, checkouts a galaxy.yml, whose version may still be open."""
    install(tmp_path, file, content)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    assert roles.find("acme.services.db", []).version == version


@pytest.mark.parametrize(
    ("file", "content"), [("MANIFEST.json", "{"), ("MANIFEST.json", "{}"), ("galaxy.yml", "a: ["), ("galaxy.yml", "- a")]
)
def test_broken_collection_is_told(install, tmp_path, monkeypatch, file, content):
    """A half installed collection is no reason to crash without a name."""
    install(tmp_path, file, content)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    with pytest.raises(CatalogError, match="acme/services: its version cannot be read"):
        roles.find("acme.services.db", [])


def test_osb_body_has_what_the_spec_requires(load_catalog, raw):
    """OSB 2.17, "Catalog Management": required fields, plain texts, schemas; ready for JSON."""
    body = json.loads(json.dumps(load_catalog(raw).osb()))
    redis = body["services"][0]
    assert {"id", "name", "description", "bindable", "plans"} <= set(redis)
    assert redis["instances_retrievable"] is redis["bindings_retrievable"] is redis["bindable"] is True
    assert redis["plan_updateable"] is False
    plan = redis["plans"][0]
    assert {"id", "name", "description", "free", "schemas", "metadata"} <= set(plan)
    assert plan["schemas"]["service_instance"]["create"]["parameters"]["properties"]["memory"]["maximum"] == 4
    texts = [redis["description"], plan["description"], redis["metadata"]["longDescription"], *plan["metadata"]["bullets"]]
    assert all(isinstance(text, str) for text in texts)


def test_osb_body_is_in_the_language_that_was_set(load_catalog, raw):
    """Texts that a role has in it; what it lacks is English."""
    raw["settings"]["language"] = "zh"
    redis = load_catalog(raw).osb()["services"][0]
    assert redis["description"].startswith("内存键值存储")
    plan = redis["plans"][0]
    assert plan["description"] == "单台独享服务器"
    assert plan["schemas"]["service_instance"]["create"]["parameters"]["properties"]["memory"]["title"] == "内存"
    assert plan["metadata"]["customize"]["memory"]["desc"].startswith("数据可用内存")
    assert redis["metadata"]["displayName"] == "Redis"


def test_osb_body_tells_which_plans_can_be_left(load_catalog, raw, tmp_path):
    """OSB 2.17: a plan's plan_updateable overrides its service's. Only plans that are offered can be moved to."""
    raw |= {"services_path": ["services"], "roles": [{"name": "box"}], "offers": []}
    boxes.write(tmp_path)
    for plan in ("small", "triple"):
        raw["offers"].append({"plan": f"box/{plan}", "mode": "host", "targets": ["local"]})
    assert [plan["plan_updateable"] for plan in load_catalog(raw).osb()["services"][0]["plans"]] == [True, False]
    raw["offers"].pop()
    assert [plan["plan_updateable"] for plan in load_catalog(raw).osb()["services"][0]["plans"]] == [False]


@pytest.mark.parametrize(
    ("plan", "mode", "said"),
    [
        ("small", "shared", "offers.0.mode: 'shared': plan small is dedicated: expected host"),
        ("part", "host", "offers.0.mode: 'host': plan part is shared: expected shared"),
        ("part", "shared", "has no tasks/shared/provision.yml, so its role does not know this mode"),
    ],
)
def test_offer_in_a_mode_that_does_not_fit_is_refused(load_catalog, raw, tmp_path, plan, mode, said):
    """At start, not when the first tenant meets it."""
    boxes.write(tmp_path)
    (tmp_path / "services/box/tasks/shared/provision.yml").unlink()
    target = {"host": "local", "shared": "server"}[mode]
    offer = {"plan": f"box/{plan}", "mode": mode, "targets": [target]}
    with pytest.raises(CatalogError) as caught:
        load_catalog({**raw, "services_path": ["services"], "roles": [{"name": "box"}], "offers": [offer]})
    assert said in str(caught.value)


def test_osb_body_names_maintenance_rotation_and_how_long_to_poll(load_catalog, raw):
    """What the role says of a plan, and the operator's deadline with the time to notice that it has passed."""
    plan = load_catalog(raw).osb()["services"][0]["plans"][0]
    assert plan["maintenance_info"] == {"version": "1.0.0", "description": "First version"}
    assert (plan["bindable"], plan["binding_rotatable"], plan["maximum_polling_duration"]) == (True, True, 1820)


def test_catalog_loads_without_ansible(write, raw):
    """The web processes start without Ansible's import time and memory."""
    code = (
        "import sys, pathlib; from apb_broker.catalog import catalog, config;"
        "catalog.Catalog.load(config.load(pathlib.Path(sys.argv[1]))); print('ansible' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(write(raw))], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
