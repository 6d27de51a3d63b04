"""A real Redis through the broker, by the command line and real clients."""

import contextlib
import json
import os
import pwd
import subprocess
import threading
from pathlib import Path

import httpx
import psutil
import pytest
import redis

from tests.e2e.machine import Machine, is_open, login, servers_in, wait

pytestmark = pytest.mark.parametrize("up", ["warm", "cold"], indirect=True)


def test_redis_from_request_to_removal(up: Machine) -> None:
    """Provision, bind, use, update without a restart, unbind, deprovision; nothing is left."""
    made = up.apb("provision", "redis", "redis-standard", "life", "-p", "memory=0.5", "-p", "host=redis.test.cn")
    assert made["connection"]["dns_name"] == "redis.test.cn"
    port = made["connection"]["port"]
    slug = up.slug("life")
    directory = up.instances / slug
    credentials = up.apb("bind", "life", "app")["credentials"]
    reader = up.apb("bind", "life", "report", "-p", "access=read")["credentials"]
    with login(credentials) as client, login(reader) as reading:
        assert client.set("a", "1")
        assert reading.get("a") == b"1"
        for refused in (
            lambda: client.config_get("*"),
            lambda: reading.set("a", "2"),
            lambda: client.acl_list(),
            lambda: client.shutdown(),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()

        (server,) = servers_in(directory)
        if os.geteuid() == 0:
            assert server.username().startswith("apb-")
        assert directory.stat().st_mode & 0o777 == 0o700
        assert client.info("memory")["maxmemory"] == 2**29
        up.apb("update", "life", "-p", "memory=1.5")
        assert client.info("memory")["maxmemory"] == 3 * 2**29
        assert [process.pid for process in servers_in(directory)] == [server.pid]

        up.apb("unbind", "life", "app")
        with pytest.raises(redis.exceptions.ConnectionError):  # the open connection is closed
            client.connection_pool.get_connection().can_read(timeout=5)
            client.ping()
    with login(credentials) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()

    up.apb("deprovision", "life", "--yes")
    assert not is_open(port)
    assert not directory.exists()
    assert servers_in(directory) == []
    assert not [user.pw_name for user in pwd.getpwall() if slug in user.pw_name]
    assert up.call("credentials", "life", "report").returncode == 3


def test_default_account_has_the_tenants_password_and_no_admin_rights(up: Machine) -> None:
    """`password` is that of the instance's default account; whatever looks like a template in a tenant's value is text."""
    evil = f"{{{{ lookup('pipe','touch {up.state.parent}/pwned') }}}}"
    stdin = json.dumps({"memory": 0.1, "password": evil})
    made = up.apb("provision", "redis", "redis-standard", evil, "--parameters-file", "-", stdin=stdin)
    with redis.Redis(host="127.0.0.1", port=made["connection"]["port"], password=evil) as client:
        assert client.set("a", "1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.acl_setuser("other", enabled=True, nopass=True)
    assert made["name"] == evil
    up.apb("bind", evil, evil)
    up.apb("deprovision", evil, "--yes")
    assert not (up.state.parent / "pwned").exists()


def test_platform_that_cannot_wait_binds_within_its_request(up: Machine) -> None:
    """Without accepts_incomplete the answer to a bind has the credentials, and after that to an unbind they are void."""
    made = up.apb("provision", "redis", "redis-standard", "sync", "-p", "memory=0.1")
    admin = json.loads((up.state / "admin.json").read_text())
    ids = {"service_id": made["service_id"], "plan_id": made["plan_id"]}
    path = f"{admin['url']}/v2/service_instances/{made['id']}/service_bindings/b-1"
    headers = {"X-Broker-API-Version": "2.14"}
    with httpx.Client(auth=(admin["username"], admin["password"]), headers=headers, timeout=60, trust_env=False) as platform:
        bound = platform.put(path, json={**ids, "parameters": {"access": "readwrite"}})
        assert bound.status_code == 201, bound.text
        with login(bound.json()["credentials"]) as client:
            assert client.set("a", "1")
        assert platform.put(path, json={**ids, "parameters": {"access": "readwrite"}}).json() == bound.json()
        assert platform.delete(path, params=ids).status_code == 200
        with login(bound.json()["credentials"]) as client, pytest.raises(redis.exceptions.AuthenticationError):
            client.ping()
    up.apb("deprovision", "sync", "--yes")


def test_metrics_of_all_web_processes_are_added_up(up: Machine) -> None:
    """Twenty requests are counted as twenty, whichever process served them; the worker is alive and says so."""
    admin = json.loads((up.state / "admin.json").read_text())

    def counted() -> float:
        with httpx.Client(auth=(admin["username"], admin["password"]), timeout=60, trust_env=False) as operator:
            lines = operator.get(f"{admin['url']}/metrics").text.splitlines()
        name = 'apb_http_request_duration_seconds_count{code="404",method="none",route="none"}'
        assert "apb_workers 1.0" in lines
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = counted()
    for _ in range(20):  # a connection each, so that several processes take part
        assert httpx.get(f"{admin['url']}/none", auth=(admin["username"], admin["password"]), trust_env=False).status_code == 404
    assert counted() == before + 20


def test_accounts_survive_a_restart_of_the_server(up: Machine) -> None:
    """A server that dies comes back by itself, with its accounts and its data."""
    up.apb("provision", "redis", "redis-standard", "again", "-p", "memory=0.1")
    credentials = up.apb("bind", "again", "app")["credentials"]
    with login(credentials) as client:
        client.set("kept", "yes")
        wait(lambda: client.info("persistence").get("aof_pending_bio_fsync", 0) == 0)
    (server,) = servers_in(up.instances / up.slug("again"))
    server.terminate()
    psutil.wait_procs([server], timeout=20)

    def value() -> object:
        try:
            with login(credentials) as again:
                return again.get("kept")
        except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
            return None

    assert wait(value) == b"yes"
    up.apb("deprovision", "again", "--yes")


def test_deprovision_while_provisioning_leaves_nothing(up: Machine) -> None:
    """DELETE during a provision: the run's processes are gone, so is the instance; the provision ended failed."""
    with up.next_run_held():
        accepted = up.apb("provision", "redis", "redis-standard", "hasty", "-p", "memory=0.1", "--no-wait")
        slug = up.slug("hasty")
        up.apb("deprovision", "hasty", "--yes", "--no-wait")
    port = accepted["connection"]["port"]
    creation = accepted["operation"]["id"]
    wait(lambda: all(line["state"] in ("succeeded", "failed") for line in up.apb("operations")), what="the end of the removal")
    (ended,) = [line for line in up.apb("operations") if line["id"] == creation]
    assert ended["state"] == "failed"
    assert not is_open(port)
    assert not (up.instances / slug).exists()
    assert not [p for p in up.processes() if "ansible" in " ".join(p.cmdline())]


def test_secrets_are_nowhere_but_in_their_places(up: Machine) -> None:
    """Canaries are looked for in arguments, environments, files and logs, during the runs and after them."""
    canary, decoy = "canary-of-a-tenant-0123456789", "decoy-that-has-to-be-found-0123456789"
    stop, seen = threading.Event(), set()
    known = [canary, decoy]
    planted = up.state / "logs" / "decoy"
    planted.write_text(f"here: {decoy}")
    leaking = subprocess.Popen(["sleep", "600"], env={"SECRET": decoy})
    our_own = f"/proc/{os.getpid()}/"

    def note(path: Path) -> None:
        seen.update(str(path) for secret in known if secret.encode() in content(path) and not str(path).startswith(our_own))

    def watch() -> None:
        while not stop.is_set():
            for proc in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    note(proc / name)
            with contextlib.suppress(OSError):
                for path in Path("/dev/shm").rglob("*"):  # where runs have their private directories
                    note(path)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        made = up.call(
            "provision", "redis", "redis-standard", "hush", "--parameters-file", "-", stdin=f'{{"memory": 0.1, "password": "{canary}"}}'
        )
        assert made.returncode == 0, made.stderr
        bound = up.apb("bind", "hush", "app")["credentials"]
        known.append(bound["password"])
        bad = up.call("update", "hush", "--parameters-file", "-", stdin=f'{{"password": "{canary}x"}}')
        shown = up.call("instances", "hush", "-o", "json").stdout + up.call("logs", "hush").stdout + made.stdout + made.stderr + bad.stderr
    finally:
        stop.set()
        watcher.join()
        leaking.kill()
        leaking.wait()
    known += [secret for secret in secrets_of(up, "hush") if secret not in known]
    assert seen == {f"/proc/{leaking.pid}/environ"}
    assert not [secret for secret in known if secret in shown]
    assert bad.returncode == 4
    leaks = [path for path in files_of(up) if any(secret.encode() in content(path) for secret in known)]
    assert leaks == [planted]
    planted.unlink()
    up.apb("deprovision", "hush", "--yes")


def secrets_of(up: Machine, name: str) -> list[str]:
    """The generated passwords of an instance, as the database's owner can unseal them."""
    from apb_broker import assembly

    found = up.apb("instances", name)
    assembled = assembly.assemble(up.state)
    with assembled.broker.database.unit() as unit:
        row = unit.instance(found["id"])
        assert row is not None
        values = list(row.secrets.values())
    assembled.broker.database.close()
    assert len(values) == 2
    return values


def content(path: Path) -> bytes:
    """What is in a file; nothing when it is gone by now (other suites run beside this one)."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def files_of(up: Machine) -> list[Path]:
    """Everything on this machine that a run could have written to."""
    places = (up.state, Path("/dev/shm"), Path.home() / ".ansible")
    return [path for place in places if place.exists() for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
