"""All processes stopped as by power loss, then `apb up` again."""

from tests.e2e.machine import login, machine, servers_in, wait


def test_instances_are_back_and_operations_go_on_after_power_loss() -> None:
    """An instance answers again with its data, an operation in progress reaches its end, and new ones work."""
    with machine() as made:
        made.start()
        made.apb("provision", "redis", "redis-standard", "old", "-p", "memory=0.1")
        credentials = made.apb("bind", "old", "app")["credentials"]
        with login(credentials) as client:
            client.set("kept", "yes")
            client.execute_command("WAITAOF", 1, 0, 5000) if client.info()["redis_version"] >= "7.2" else wait_for_fsync()
        accepted = made.apb("provision", "redis", "redis-standard", "new", "-p", "memory=0.1", "--no-wait")
        assert accepted["connection"]["port"]
        wait(lambda: [line for line in made.apb("operations") if line["kind"] == "provision" and line["state"] == "running"])
        made.power_loss()

        made.start()
        assert wait(lambda: value(credentials)) == b"yes"
        wait(lambda: made.apb("instances", "new")["state"] == "ready", 60, "the end of the interrupted operation")
        assert len(servers_in(made.instances / made.slug("new"))) == 1
        with login(made.apb("bind", "new", "app")["credentials"]) as client:
            assert client.ping()
        made.apb("deprovision", "old", "--yes")
        made.apb("deprovision", "new", "--yes")
        made.stop()


def wait_for_fsync() -> None:
    """appendfsync everysec: what is older than a second is on disk."""
    import time

    time.sleep(1.2)


def value(credentials: dict) -> object:
    """What the client reads, or None while the server is not back."""
    import redis

    try:
        with login(credentials) as client:
            return client.get("kept")
    except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
        return None
