"""`apb config check`: what loading does not find, all at once."""

import json

import pytest

from apb_broker.catalog import check, credentials
from tests import certificates

INVENTORY = [("one", {"ansible_host": "192.0.2.1"}), ("two", {})]


@pytest.fixture
def good(raw, tmp_path):
    """A configuration nothing is to be said of."""
    for name in ("admin.password", "server.password"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text("hush-hush")
    raw["roles"][0]["settings"] = {"redis_maxclients": 100}
    raw["targets"]["local"]["settings"] = {"host_instance_stop_seconds": 5}
    del raw["targets"]["server"]
    return raw


@pytest.fixture
def report(write):
    """What is said of this content."""
    return lambda content, hosts_of=lambda _inventory, _group: INVENTORY: check.check(write(content), hosts_of)


def test_check_of_a_good_file_tells_what_is_offered(report, good):
    """Service, plan, mode, and the places instances may get."""
    found = report(good)
    assert (found.mistakes, found.warnings) == ([], [])
    offered = {"service": "redis", "plan": "redis-standard", "mode": "host", "targets": ["local"], "places": ["localhost (127.0.0.1)"]}
    assert found.document()["offers"] == [{**offered, "role": "apb.catalog.redis"}]
    json.dumps(found.document())


def test_check_of_a_file_that_does_not_load_tells_every_mistake(report, good):
    """The same lines as the broker's start."""
    found = report({**good, "apb": 2, "colour": "red"})
    assert [line.split("apb.yml: ")[1][:10] for line in found.mistakes] == ["apb: 2: sh", "colour: is"]


def test_check_finds_passwords_that_cannot_be_used(report, good, tmp_path):
    """Readable by others, missing: the file is named, the password is not."""
    (tmp_path / "admin.password").chmod(0o644)
    good["targets"]["server"] = {"mode": "shared", "address": "192.0.2.7", "port": 1, "username": "x", "password_file": "gone"}
    found = report(good)
    assert len(found.mistakes) == 2
    assert "chmod 600" in found.mistakes[0]
    assert "the password of target 'server' cannot be read" in found.mistakes[1]
    assert "hush" not in str(found)


def test_check_finds_tls_that_cannot_be_used(report, good, tmp_path):
    """As the start of the broker would."""
    certificate_file, key_file = certificates.write(tmp_path)
    good["tls"] = {"certificate_file": certificate_file.name, "key_file": key_file.name}
    assert report(good).mistakes == []
    key_file.chmod(0o644)
    assert "lets others read a key: chmod 600" in report(good).mistakes[0]


def test_check_finds_a_token_of_two_users(report, good, tmp_path):
    """One of them would act, and own, as the other."""
    for name in ("a.token", "b.token"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text("0123456789abcdefghij")
        good["users"].append({"name": name[0], "token_file": name, "roles": ["platform"]})
    (mistake,) = report(good).mistakes
    assert mistake == f"{tmp_path}/b.token: the token of user 'b' is that of user 'a', too: give each its own"
    (tmp_path / "b.token").write_text(credentials.token_digest("0123456789abcdefghij"))
    assert report(good).mistakes == []


def test_check_warns_of_hashes_that_cost_other_time(report, good, tmp_path):
    """It is the one thing that would tell which users exist."""
    usual = credentials.hash_password("hush-hush")
    (tmp_path / "admin.password").write_text(usual)
    assert (report(good).mistakes, report(good).warnings) == ([], [])
    (tmp_path / "admin.password").write_text(usual.replace("t=2", "t=3"))
    (warning,) = report(good).warnings
    assert "users.0.password_file: the hash costs other time than those of `apb hash-password`" in warning
    assert usual[-20:] not in warning


def test_check_finds_hosts_that_the_inventory_lacks(report, good):
    """The first provision would fail; the nearest name is told."""
    good["targets"]["local"] |= {"inventory": "hosts.yml", "hosts": [{"name": "onne", "address": "192.0.2.1"}]}
    (mistake,) = report(good).mistakes
    assert "targets.local.hosts.0.name: 'onne' is not a host of" in mistake
    assert mistake.endswith("did you mean 'one'?")


def test_check_tells_an_inventory_that_cannot_be_read(report, good):
    """In the words of who reads it."""
    good["targets"]["local"]["inventory"] = "hosts.yml"

    def broken(_inventory, _group):
        raise ValueError("hosts.yml is vaulted")

    assert report(good, broken).mistakes[0].endswith("targets.local.inventory: hosts.yml is vaulted")


def test_check_warns_of_settings_that_no_role_has(report, good):
    """A misspelt setting has no effect, and nobody would notice."""
    good["roles"][0]["settings"] = {"redis_maxclient": 100}
    good["targets"]["local"]["settings"] = {"elephants": 1}
    found = report(good)
    assert found.mistakes == []
    assert found.warnings[0].endswith("roles.0.settings.redis_maxclient: no role has this setting; did you mean 'redis_maxclients'?")
    assert found.warnings[1].endswith("targets.local.settings.elephants: no role has this setting; it has no effect")


def test_check_warns_of_what_is_not_used(report, good):
    """An empty catalog is no mistake, but hardly meant."""
    found = report({**good, "offers": []})
    assert [line.split("apb.yml: ")[1] for line in found.warnings] == [
        "offers: nothing is offered: the catalog is empty",
        "targets.local: no offer uses it",
    ]
