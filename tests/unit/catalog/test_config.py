"""apb.yml: all its mistakes are told at once, each with field, value and what is allowed."""

from pathlib import Path

import pytest

from apb_broker.catalog import config, credentials, groups
from apb_broker.catalog.errors import ConfigError


def test_config_of_the_contract_loads(load, tmp_path):
    """Paths are relative to the file, ports become a range, what is not said has a default."""
    loaded = load(
        """
        apb: 1
        listen: 127.0.0.1:8780
        users: [{name: admin, password_file: admin.password, roles: [platform, operator]}]
        services_path: [services, /srv/services]
        roles: [{name: apb.catalog.redis, settings: {}}]
        targets:
          local:
            {mode: host, inventory: hosts.ini, hosts: [{name: localhost, address: 127.0.0.1}], ports: 21000-21999, directory: /srv/apb}
        offers: [{plan: redis/redis-standard, mode: host, targets: [local]}]
        settings: {sync_wait_seconds: 50, lease_seconds: 1.5}
        """
    )
    assert (loaded.listen_host, loaded.listen_port) == ("127.0.0.1", 8780)
    assert loaded.users[0].password_file == tmp_path / "admin.password"
    assert [str(path) for path in loaded.services_path] == [str(tmp_path / "services"), "/srv/services"]
    target = loaded.targets["local"]
    assert (target.name, target.ports, target.inventory) == ("local", range(21000, 22000), tmp_path / "hosts.ini")
    assert (loaded.settings.lease_seconds, loaded.settings.concurrency, loaded.settings.executor) == (1.5, 4, "warm")
    assert loaded.path == tmp_path / "apb.yml"


WRONG = [
    ("apb", 2, "apb: 2: should be 1"),
    ("colour", "red", "colour: is unknown; allowed: apb, behind_proxy, tls, listen"),
    ("path", "/etc", "path: is unknown"),
    ("target", {}, "target: is unknown; did you mean 'targets'?"),
    ("users", [], "users: []: expected at least one"),
    ("users/0/pasword_file", "x", "users.0.pasword_file: is unknown; did you mean 'password_file'?"),
    ("users/0/name", "a:b", "users.0.name: 'a:b': expected letters, digits and . _ @ -"),
    ("users/0/roles", ["root"], "users.0.roles.0: 'root': should be 'platform', 'operator' or 'viewer'"),
    ("users/0/roles", [], "users.0.roles: []: expected at least one"),
    ("users/0/password_file", 1, "users.0.password_file: 1: expected a path"),
    ("users/0/token_file", "x", "users.0: an object with name, password_file, roles, token_file: expected either a password_file or a"),
    ("brokers", {"Caches": {"services": ["redis"], "users": ["admin"]}}, "brokers.Caches: 'Caches': expected lower-case letters, digits"),
    ("brokers", {"a": {"services": ["redis"], "users": []}}, "brokers.a.users: []: expected at least one"),
    ("brokers", {"a": {"services": [], "users": ["admin"]}}, "brokers.a.services: []: expected at least one"),
    ("brokers", {"a": {"services": ["Redis"], "users": ["admin"]}}, "brokers.a.services.0: 'Redis': expected the name of a service"),
    ("brokers", {"a": {"services": ["redis"]}}, "brokers.a.users: is missing"),
    ("brokers", {"a": {"service": ["redis"], "users": ["admin"]}}, "brokers.a.service: is unknown; did you mean 'services'?"),
    (
        "brokers",
        {"a": {"services": ["redis"], "users": ["amdin"]}},
        "brokers.a.users.0: 'amdin' is not one of the users of this file: admin",
    ),
    ("brokers", {"a": {"services": ["redis"], "users": ["admin"] * 2}}, "brokers.a.users.1: 'admin' is given twice"),
    ("brokers", {"a": {"services": ["redis"] * 2, "users": ["admin"]}}, "brokers.a.services.1: 'redis' is given twice"),
    ("tls", {"certificate_file": "a"}, "tls.key_file: is missing"),
    ("tls", {"certificate_file": "a", "key_file": "b", "key": "c"}, "tls.key: is unknown; allowed: certificate_file, key_file"),
    ("offers/0/binding_expiry", {"after_second": 1}, "offers.0.binding_expiry.after_second: is unknown; did you mean 'after_seconds'?"),
    ("settings/failed_logins_per_minute", 0, "settings.failed_logins_per_minute: 0: should be greater than or equal to 1"),
    ("roles/0/name", "apb.redis", "roles.0.name: 'apb.redis': expected namespace.collection.role"),
    ("roles/0/name", "../redis", "roles.0.name: '../redis': expected namespace.collection.role"),
    ("roles/0/settings", {"apb_action": "x"}, "roles.0.settings: an object with apb_action: expected names of role variables"),
    ("targets/local/mode", "pod", "targets.local.mode: 'pod': expected host or shared"),
    ("targets/local/name", "x", "targets.local.name: is unknown"),
    ("targets/local/hosts", [], "targets.local.hosts: expected at least one, or the group of an inventory"),
    ("targets/local/hosts/0/address", "a b", "targets.local.hosts.0.address: 'a b': expected an IP address or a DNS name"),
    ("targets/local/hosts/0/memory_gb", 0, "targets.local.hosts.0.memory_gb: 0: should be greater than 0"),
    ("targets/local/hosts/0/memory", 1, "targets.local.hosts.0.memory: is unknown; did you mean 'memory_gb'?"),
    ("targets/local/group", "caches", "targets.local.group: a target has either hosts or a group"),
    ("targets/local/password_file", "x", "targets.local.password_file: is unknown; allowed: mode, inventory, hosts, group"),
    ("targets/server", {}, "targets.server.mode: is missing; expected host or shared"),
    ("targets/server", {"mode": "shared"}, "targets.server.address: is missing"),
    ("targets/server/port", 0, "targets.server.port: 0: should be greater than or equal to 1"),
    ("targets/server/instances", 0, "targets.server.instances: 0: should be greater than or equal to 1"),
    ("targets/server/pasword_file", "x", "targets.server.pasword_file: is unknown; did you mean 'password_file'?"),
    ("offers/0/targets", ["server"], "offers.0.targets: target 'server' is of mode shared, the offer of mode host"),
    ("settings/language", "english", "settings.language: 'english': expected a language, such as en or zh"),
    ("targets/local/ports", "2-1", "targets.local.ports: '2-1': expected first and last port"),
    ("targets/local/ports", "0-9", "targets.local.ports: '0-9': expected first and last port"),
    ("targets/local/ports", "1-65536", "targets.local.ports: '1-65536': expected first and last port"),
    ("targets/local/ports", True, "targets.local.ports: True: expected first and last port"),
    ("targets/local/directory", "apb", "targets.local.directory: 'apb': expected an absolute path"),
    ("targets/local/directory", "/var/../etc", "expected an absolute path"),
    ("targets/local/mod", "host", "targets.local.mod: is unknown; did you mean 'mode'?"),
    ("offers/0/plan", "redis", "offers.0.plan: 'redis': expected SERVICE/PLAN"),
    ("offers/0/targets", ["remote"], "offers.0.targets: 'remote' is not one of the targets of this file: local"),
    ("offers/0/targets", ["local", "local"], "offers.0.targets.1: 'local' is given twice"),
    ("settings/concurrency", 0, "settings.concurrency: 0: should be greater than or equal to 1"),
    ("settings/run_limits", {"processes": 5}, "settings.run_limits.processes: 5: should be greater than or equal to 50"),
    ("settings/run_limits", {"memory": 5}, "settings.run_limits.memory: is unknown; did you mean 'memory_gb'?"),
    ("settings/concurrency", "4", "settings.concurrency: '4': should be a valid integer"),
    ("settings/concurrency", True, "settings.concurrency: True: should be a valid integer"),
    ("settings/lease_second", 5, "settings.lease_second: is unknown; did you mean 'lease_seconds'?"),
    ("settings/executor", "hot", "settings.executor: 'hot': should be 'warm', 'cold' or 'scripted'"),
    ("listen", "8780", "listen: '8780': expected HOST:PORT, such as 127.0.0.1:8780 or [::1]:8780"),
    ("listen", "::1:8780", "listen: '::1:8780': expected HOST:PORT"),
    ("listen", "127.0.0.1:99999", "expected HOST:PORT"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG, ids=[said[:60] for *_, said in WRONG])
def test_mistake_is_told_with_field_value_and_cure(raw, load, path, value, said):
    """One line that begins with the file."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place = raw
    for part in parents:
        place = place[part]
    place[last] = value
    with pytest.raises(ConfigError) as caught:
        load(raw)
    assert said in str(caught.value)
    assert all(line.startswith(f"{caught.value.path}: ") for line in str(caught.value).splitlines())


def test_all_mistakes_are_told_at_once(raw, load):
    """Nobody has to edit and restart in a loop."""
    raw["apb"] = 3
    del raw["users"]
    raw["settings"]["lease"] = 1
    with pytest.raises(ConfigError) as caught:
        load(raw)
    assert len(caught.value.mistakes) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("apb: 1\napb: 1\n", "key 'apb' is given twice"),
        ("[", "is not valid YAML: line 1"),
        ("", "must be names and values"),
        ("- 1", "must be names and values"),
    ],
)
def test_file_that_is_no_configuration_is_refused(load, content, said):
    """Duplicate keys and broken YAML are told by line."""
    with pytest.raises(ConfigError, match=r"apb\.yml: ") as caught:
        load(content)
    assert said in str(caught.value)


def test_missing_file_is_named(tmp_path):
    """A missing apb.yml is told by its path."""
    with pytest.raises(ConfigError, match=r"apb\.yml: cannot be read: No such file"):
        config.load(tmp_path / "apb.yml")


@pytest.mark.parametrize("listen", ["127.0.0.1:8780", "127.8.0.1:1", "[::1]:8780", "localhost:8780"])
def test_loopback_may_be_listened_on(raw, load, listen):
    """Nothing but this machine can reach it."""
    assert load({**raw, "listen": listen}).listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:8780", "[::]:8780", "192.0.2.1:8780", "broker.example.com:8780", "localhost.example.com:80"])
def test_other_addresses_need_tls_or_a_proxy(raw, load, listen):
    """Without TLS, passwords would cross the network in clear; behind_proxy says that someone else encrypts."""
    assert load({**raw, "listen": listen, "tls": {"certificate_file": "a.crt", "key_file": "a.key"}}).listen == listen
    with pytest.raises(ConfigError, match="there is no TLS here"):
        load({**raw, "listen": listen})
    assert load({**raw, "listen": listen, "behind_proxy": True}).listen == listen
    with pytest.raises(ConfigError, match="there is no TLS here"):
        load({**raw, "listen": listen, "behind_proxy": False})


def test_wrong_tls_is_the_only_mistake_that_is_told(raw, load):
    """The address is right as soon as it is."""
    with pytest.raises(ConfigError) as caught:
        load({**raw, "listen": "0.0.0.0:8780", "tls": {"certificate_file": "a.crt"}})
    assert caught.value.mistakes == ["tls.key_file: is missing"]


def test_user_of_a_slice_is_a_platform(raw, load):
    """Another role could not call it."""
    raw["users"].append({"name": "eve", "token_file": "eve.token", "roles": ["viewer"]})
    raw["brokers"] = {"caches": {"services": ["redis"], "users": ["admin", "eve"]}}
    with pytest.raises(ConfigError) as caught:
        load(raw)
    assert caught.value.mistakes == ["brokers.caches.users.1: user 'eve' lacks the role platform, so it cannot call a broker"]


@pytest.mark.parametrize("key", ["users", "roles", "offers"])
def test_same_entry_twice_is_refused(raw, load, key):
    """The second one would never be used."""
    raw[key].append(raw[key][0])
    with pytest.raises(ConfigError, match=rf"{key}\.1\.(name|plan): .* is given twice"):
        load(raw)


def test_password_is_read_from_its_file(raw, load, tmp_path):
    """Without the line's end, and only when it is asked for."""
    user = load(raw).users[0]
    user.password_file.write_text("hush-hush\n")
    user.password_file.chmod(0o600)
    assert user.credential() == credentials.Password("hush-hush")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_password_file_open_to_others_is_refused(raw, load, mode):
    """The message says what to do and does not hold the password."""
    user = load(raw).users[0]
    user.password_file.write_text("hush-hush\n")
    user.password_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o} lets others read a password: chmod 600 {user.password_file}") as caught:
        user.credential()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 5000])
def test_password_file_without_a_password_is_refused(raw, load, content):
    """Missing, empty, not text, or too long: an empty password must never let anyone in."""
    user = load(raw).users[0]
    if content is not None:
        user.password_file.write_bytes(content)
        user.password_file.chmod(0o600)
    with pytest.raises(ConfigError, match="password of user 'admin'"):
        user.credential()


def test_group_without_an_inventory_is_refused(raw, load):
    """Nothing else says which hosts it has."""
    raw["targets"]["local"] |= {"hosts": [], "group": "caches"}
    with pytest.raises(ConfigError, match=r"targets\.local\.inventory: is missing: it says which hosts group 'caches' has"):
        load(raw)


def test_group_of_an_inventory_becomes_hosts(raw, load):
    """The address for clients is apb_address, else ansible_host, else the name; memory comes from apb_memory_gb."""
    raw["targets"]["local"] |= {"hosts": [], "group": "caches", "inventory": "hosts.yml"}
    asked = []

    def hosts_of(inventory, group):
        asked.append((inventory.name, group))
        return [("one", {"ansible_host": "192.0.2.1", "apb_memory_gb": 2}), ("two", {"apb_address": "two.example.com"}), ("three", {})]

    resolved = groups.resolved(load(raw), hosts_of)
    assert asked == [("hosts.yml", "caches")]
    assert [(host.name, host.address, host.memory_gb) for host in resolved.targets["local"].hosts] == [
        ("one", "192.0.2.1", 2),
        ("two", "two.example.com", None),
        ("three", "three", None),
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ValueError("hosts.yml has no hosts in a group 'caches'"), "targets.local.group: hosts.yml has no hosts in a group 'caches'"),
        ([("one", {"apb_memory_gb": "much"})], "targets.local.group: host one: memory_gb: "),
        ([("a_b", {})], "set apb_address and apb_memory_gb of the host in the inventory"),
    ],
)
def test_group_that_cannot_be_used_is_told(raw, load, answer, said):
    """By target and host, with the cure."""
    raw["targets"]["local"] |= {"hosts": [], "group": "caches", "inventory": "hosts.yml"}

    def hosts_of(inventory, group):
        if isinstance(answer, ValueError):
            raise answer
        return answer

    with pytest.raises(ConfigError) as caught:
        groups.resolved(load(raw), hosts_of)
    assert said in str(caught.value)


def test_password_of_a_shared_server_is_read_from_its_file(raw, load):
    """It may be changed while the broker runs; the message names the target."""
    server = load(raw).targets["server"]
    with pytest.raises(ConfigError, match="the password of target 'server' cannot be read"):
        server.password()
    server.password_file.touch(0o600)
    server.password_file.write_text("hush-hush\n")
    assert server.password() == "hush-hush"


def test_configuration_of_the_documentation_loads(load):
    """docs/configuration.md shows one file with everything in it."""
    text = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    loaded = load(text.split("```yaml\n")[1].split("```")[0])
    assert {target.mode for target in loaded.targets.values()} == {"host", "shared"}
