"""The playbooks with a real Redis on this machine, under this machine's supervisor."""

import os
import signal
import socket
from pathlib import Path

import pytest
import redis

from tests.integration.collection.conftest import ROOT, await_true, ended


@pytest.fixture(scope="module")
def instance(managed_host):
    """Provisioned with two bindings, and shared by the tests that leave it as it was."""
    made = managed_host.instance(password="{{ lookup('pipe', 'touch pwned') }} '\"")
    made.binding("readwrite")
    made.binding("read")
    played = made.play("provision")
    assert played.code == 0, played.text
    return made


def test_provision_changes_nothing_when_run_again(instance):
    """Every action may be run again, and then finds everything done."""
    again = instance.play("provision")
    assert (again.code, again.changed) == (0, 0), again.text


def test_password_that_looks_like_a_template_stays_a_string(instance):
    """A tenant's parameters are data: not evaluated on the controller, whatever quotes and blanks they hold."""
    with instance.client("default", instance.parameters["password"]) as client:
        assert client.ping()
    assert not list(instance.host.directory.rglob("pwned"))
    assert not (Path.cwd() / "pwned").exists()


def test_accounts_outlive_the_servers_restart(instance):
    """Bindings keep working when the server crashes and its supervisor starts it again, and so does the data."""
    writer, reader = instance.bindings
    with instance.client(writer["username"], writer["password"]) as client:
        client.set("kept", "yes")
        await_true(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
    killed = instance.pid()
    os.kill(killed, signal.SIGKILL)
    await_true(lambda: ended(killed) and instance.is_listening())
    with instance.client(reader["username"], reader["password"]) as client:
        assert client.get("kept") == "yes"
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("kept", "no")
    assert instance.play("provision").changed == 0


def test_update_changes_the_memory_of_the_running_server(instance):
    """More memory without a restart, and still so after one."""
    before = instance.pid()
    instance.parameters["memory"] = 0.2
    played = instance.play("update")
    assert played.code == 0, played.text
    with instance.admin() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(round(0.2 * 2**30))}
    assert instance.pid() == before
    assert f"maxmemory {round(0.2 * 2**30)}\n" in (instance.home / "redis.conf").read_text()


def test_bind_hands_out_credentials_that_work_and_unbind_ends_them(instance):
    """One account per binding: published, usable by its URI, and cut off with its open connections."""
    binding = instance.binding(password="a b/c@d:e%f'{{ 1 }}")
    bound = instance.play("bind", binding=binding)
    assert bound.code == 0, bound.text
    credentials = bound.published["credentials"]
    uri = credentials.pop("uri")
    assert uri == f"redis://{binding['username']}:a%20b%2Fc%40d%3Ae%25f%27%7B%7B%201%20%7D%7D@127.0.0.1:{instance.port}"
    assert credentials == {
        "type": "redis",
        "host": "127.0.0.1",
        "port": instance.port,
        "username": binding["username"],
        "password": binding["password"],
    }
    client = redis.Redis.from_url(uri, decode_responses=True)
    assert client.set("a", "1") and client.get("a") == "1"
    subscribed = client.pubsub()
    subscribed.subscribe("news")
    subscribed.get_message(timeout=5)
    instance.bindings.remove(binding)
    unbound = instance.play("unbind", binding=binding)
    assert (unbound.code, unbound.changed) == (0, 1), unbound.text
    with pytest.raises(redis.exceptions.ConnectionError):
        subscribed.connection.read_response()
    with pytest.raises(redis.exceptions.AuthenticationError):
        instance.client(binding["username"], binding["password"]).ping()
    subscribed.close()
    client.close()
    again = instance.play("unbind", binding=binding)
    assert (again.code, again.changed) == (0, 0), again.text
    assert binding["password"] not in bound.text.partition('"plays"')[2].partition('"stats"')[0]


def test_verify_tells_health_and_drift(instance):
    """Alive and as described, or a sentence that names the difference."""
    assert instance.play("verify").code == 0
    with instance.admin() as client:
        client.config_set("maxmemory", 1000000)
        told = instance.play("verify")
        client.config_set("maxmemory", round(instance.parameters["memory"] * 2**30))
    assert told.code != 0
    assert "maxmemory is 1000000, not" in told.text


def test_stray_old_run_is_refused(instance):
    """A run that was given up and goes on all the same cannot undo its successor's work."""
    assert instance.play("provision", epoch=5).code == 0
    instance.epoch = 5
    for action in ("provision", "deprovision"):
        stray = instance.play(action, epoch=4)
        assert stray.code != 0
        assert "refused: epoch 4 is older than 5" in stray.text
    assert instance.pid()


def test_servers_end_with_a_killed_supervisor_and_come_back_with_the_next(instance):
    """After kill -9 or a power loss, preparing the host again is enough: one server, on its port, with its accounts."""
    host = instance.host
    if not (host.directory / "supervisor" / "supervisord.conf").exists():
        pytest.skip("systemd supervises this host: there is no supervisord")
    server, supervisor = instance.pid(), host.supervisord()
    os.kill(supervisor, signal.SIGKILL)
    await_true(lambda: ended(supervisor) and ended(server))
    prepared = host.prepare()
    assert prepared.code == 0, prepared.text
    await_true(instance.is_listening)
    assert instance.pid() != server
    assert len(processes_in(instance.home)) == 1
    assert instance.play("provision").changed == 0


def processes_in(home):
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found += [process.name] if str((process / "cwd").readlink()) == str(home) else []
            except OSError:
                continue
    return found


def test_taken_port_is_told_and_deprovision_removes_what_is_half_made(managed_host):
    """A port is never moved silently; what was half made can be removed, also twice, and by unbind too."""
    instance = managed_host.instance()
    with socket.create_server(("127.0.0.1", instance.port)):
        refused = instance.play("provision")
    assert refused.code != 0
    assert f"port {instance.port} is taken" in refused.text
    assert not instance.home.exists()
    told = instance.play("provision", arguments=["--check"])
    assert (told.code, instance.home.exists()) == (0, False), told.text
    assert told.changed
    assert instance.play("deprovision").code == 0


def test_deprovision_leaves_nothing(instance):
    """No process, port, directory or user; but the fence, so that nothing old makes it again."""
    server = instance.pid()
    played = instance.play("deprovision")
    assert played.code == 0, played.text
    assert ended(server)
    assert not instance.is_listening()
    assert not instance.home.exists()
    assert not instance.has_user()
    assert not list((instance.host.directory / "supervisor" / "conf.d").glob("*"))
    again = instance.play("deprovision")
    assert (again.code, again.changed) == (0, 0), again.text
    unbound = instance.play("unbind", binding=instance.bindings[0], redis_answer_wait_seconds=0)
    assert unbound.code == 0, unbound.text
    assert "refused: epoch 1 is older than 5" in instance.play("provision", epoch=1).text


def test_unknown_host_is_an_error(managed_host):
    """Ansible calls a play without hosts a success: an instance that nobody made would be."""
    played = managed_host.instance().play("provision", placement="elsewhere")
    assert played.code != 0
    assert "is not in the inventory" in played.text


def test_prepare_host_says_what_is_missing(managed_host):
    """One sentence with the cure, when there is no server to run and no way to install it."""
    told = managed_host.prepare(redis_server_binary="/nowhere/redis-server")
    assert told.code != 0
    assert 'run \\"sudo apt-get install redis-server\\"' in told.text


def test_collection_is_found_in_the_checkout():
    """The tests judge this checkout and no installed copy."""
    assert (ROOT / "build" / "ansible_collections" / "apb" / "catalog" / "galaxy.yml").samefile(ROOT / "galaxy.yml")


def test_server_that_cannot_start_is_told_with_its_own_words(managed_host):
    """An operator's wrong setting: the failure names what the server complained about, not only that nothing listens."""
    made = managed_host.instance()
    played = made.play("provision", redis_maxmemory_policy="no-such-policy", redis_start_wait_seconds=4)
    assert played.code != 0
    assert f"nothing listens at 127.0.0.1:{made.port}; the server said last: " in played.text
    assert "maxmemory-policy" in played.text
    assert made.play("deprovision").code == 0
