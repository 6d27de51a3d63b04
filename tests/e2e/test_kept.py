"""A server that was deleted and is kept, with a real Redis: stopped for good, back with its data, gone at last."""

from collections.abc import Iterator

import pytest
import redis
import yaml

from tests.e2e.machine import Machine, is_open, login, machine, servers_in, wait


@pytest.fixture
def keeping() -> Iterator[Machine]:
    """`apb up` on a machine of its own, whose operator keeps deleted servers for an hour."""
    with machine() as made:
        made.start()
        made.stop()
        config = made.state / "apb.yml"
        said = yaml.safe_load(config.read_text())
        for offer in said["offers"]:
            offer["keep_deleted_seconds"] = 3600
        config.write_text(yaml.safe_dump(said))
        made.start()
        yield made
        made.stop()


def test_deleted_redis_is_kept_restored_and_purged(keeping: Machine) -> None:
    """Port and name stay taken, old credentials never work again; the machine dies in mid-restore, and the next worker restores."""
    made = keeping.apb("provision", "redis", "redis-standard", "life", "-p", "memory=0.2")
    port, instance_id = made["connection"]["port"], made["id"]
    directory = keeping.instances / keeping.slug("life")
    credentials = keeping.apb("bind", "life", "app")["credentials"]
    with login(credentials) as client:
        assert client.set("kept", "yes")
        wait(lambda: client.info("persistence").get("aof_pending_bio_fsync", 0) == 0)

    told = keeping.call("deprovision", "life", "--yes")
    assert "Its server and data are kept until " in told.stdout, told.stdout + told.stderr
    assert (servers_in(directory), is_open(port), directory.is_dir()) == ([], False, True)
    refused = keeping.call("provision", "redis", "redis-standard", "life")
    assert (refused.returncode, "(redis, kept)" in refused.stderr) == (4, True)
    other = keeping.apb("provision", "redis", "redis-standard", "other", "-p", "memory=0.1", "--no-wait")
    assert other["connection"]["port"] != port
    keeping.apb("deprovision", "other", "--yes")

    restoring = keeping.apb("restore-instance", "life", "--no-wait")["id"]
    wait(lambda: is_open(port), what="the server's start in mid-restore")
    keeping.power_loss()
    keeping.start()
    wait(lambda: keeping.apb("instances", "life")["state"] == "ready", 120, "the restore by the next worker")
    again = keeping.apb("instances", "life")
    assert (again["id"], again["connection"], again["parameters"], again["bindings"], again["purge_at"]) == (
        instance_id,
        made["connection"],
        made["parameters"],
        [],
        None,
    )
    assert [one["state"] for one in keeping.apb("operations") if one["id"] == restoring] == ["succeeded"]
    wait(lambda: is_open(port))
    with login(credentials) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()
    with login(keeping.apb("bind", "life", "app")["credentials"]) as client:
        assert client.get("kept") == b"yes"
    assert len(servers_in(directory)) == 1

    keeping.apb("deprovision", "life", "--yes")
    keeping.apb("purge", "life", "--yes")
    assert not directory.exists()
    assert keeping.call("restore-instance", "life").returncode == 3
