"""Stop and restore, as the broker runs them for a server that was deleted and is kept, with a real Redis on this machine."""

import os
import signal
from pathlib import Path

import psutil
import redis

from tests.integration.collection.conftest import await_true, ended


def refused(instance, binding):
    """Whether the account of a binding cannot log in to the running server."""
    with instance.client(binding["username"], binding["password"]) as client:
        try:
            client.ping()
        except redis.exceptions.AuthenticationError:
            return True
    return False


def made(host):
    """A server with data, two accounts on disk, and one of them in use."""
    instance = host.instance()
    for access in ("readwrite", "read"):
        instance.binding(access)
    played = instance.play("provision")
    assert played.code == 0, played.text
    with instance.client(instance.bindings[0]["username"], instance.bindings[0]["password"]) as client:
        client.set("kept", "yes")
        await_true(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
    return instance


def is_known_to_a_supervisor(instance):
    """Whether anything would start the server with the host."""
    return (instance.host.directory / "supervisor" / "conf.d" / f"{instance.slug}.conf").exists() or Path(
        f"/etc/systemd/system/apb-{instance.slug}.service"
    ).exists()


def test_stopped_server_keeps_its_data_and_nothing_starts_it_but_restore(managed_host):
    """No process, no port, no accounts of bindings, nothing that would start it with the host; then all of it again but the accounts."""
    instance = made(managed_host)
    server = instance.pid()
    user = {"user": instance.user, "group": instance.user} if instance.has_user() else {}
    escaped = psutil.Popen(["sleep", "1000"], cwd=instance.home, start_new_session=True, **user)
    stopped = instance.play("stop")
    assert stopped.code == 0, stopped.text
    assert ended(server)
    assert escaped.wait(10) == -signal.SIGKILL
    assert not instance.is_listening()
    assert not is_known_to_a_supervisor(instance)
    saved = (instance.home / "users.acl").read_text()
    assert not [one for one in instance.bindings if one["username"] in saved]
    prepared = managed_host.prepare()  # what a reboot comes down to
    assert prepared.code == 0, prepared.text
    assert not instance.is_listening()

    restored = instance.play("restore")
    assert restored.code == 0, restored.text
    with instance.client("default", "generated-password") as client:
        assert client.get("kept") == "yes"
    assert all(refused(instance, binding) for binding in instance.bindings)
    again = instance.play("restore")
    assert (again.code, again.changed) == (0, 0), again.text
    assert instance.play("deprovision").code == 0


def test_broken_server_is_stopped_and_its_accounts_go_when_it_is_restored(managed_host):
    """What nobody can log in to can be deleted; its accounts are removed before it is anybody's again."""
    instance = made(managed_host)
    server = instance.pid()
    (instance.home / "redis.conf").write_text("no-such-setting\n")
    os.kill(server, signal.SIGKILL)
    await_true(lambda: ended(server) and not instance.is_listening())
    stopped = instance.play("stop", redis_answer_wait_seconds=0)
    assert stopped.code == 0, stopped.text
    assert not is_known_to_a_supervisor(instance)
    assert instance.bindings[0]["username"] in (instance.home / "users.acl").read_text()
    again = instance.play("stop", redis_answer_wait_seconds=0)
    assert (again.code, again.changed) == (0, 0), again.text

    restored = instance.play("restore")
    assert restored.code == 0, restored.text
    assert all(refused(instance, binding) for binding in instance.bindings)
    assert instance.play("deprovision").code == 0


def test_restore_that_fails_leaves_nothing_running(managed_host):
    """Accounts that could not be removed must not work on what is nobody's; the reason is told. Old runs are refused before all that."""
    instance = made(managed_host)
    instance.epoch = 5
    assert instance.play("stop").code == 0
    binding = instance.bindings[0]
    known, binding["username"] = binding["username"], "no account is called so"
    failed = instance.play("restore")
    assert failed.code != 0
    assert "cannot be the name of an account" in failed.text
    assert not instance.is_listening()
    assert not is_known_to_a_supervisor(instance)
    binding["username"] = known
    assert instance.play("restore").code == 0
    server = instance.pid()
    for action in ("stop", "restore"):
        stray = instance.play(action, epoch=4)
        assert stray.code != 0
        assert "refused: epoch 4 is older than 5" in stray.text
    assert instance.pid() == server
    assert instance.play("deprovision").code == 0


def test_playbooks_need_the_broker(managed_host):
    """Without it nothing is kept; the sentence names what there is instead."""
    for action, cure in (("stop", "without it run apb.catalog.deprovision"), ("restore", "without it nothing is kept")):
        told = managed_host.play(action, {"apb_name": "cache"})
        assert told.code != 0
        assert cure in told.text
