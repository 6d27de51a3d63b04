"""The drill of docs/operating.md: a broker's machine is lost, another goes on from a dump, the key file and the configuration.

The instances live on: they are where the targets are.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import yaml

from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from tests.e2e.machine import APB, Machine, login, machine, wait
from tests.integration.collection import redis_server

PLANS = {"cache": "redis-standard", "share": "redis-tenant"}  # one of its own on a host, one on a server that others use too


@pytest.fixture
def shared() -> Iterator[redis_server.Server]:
    """A Redis of the operator's."""
    directory = Path(tempfile.mkdtemp(prefix="apb-", dir="/tmp"))
    server = redis_server.Server(redis_server.program_of("package") or redis_server.bundled_redis(), directory)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def lost(shared: redis_server.Server) -> Iterator[Machine]:
    """A machine that offers servers on itself and shares of that Redis."""
    with machine() as made:
        state = StateDirectory(made.state)
        configuration.first_configuration(state, made.listen, made.ports)
        password = made.state / "cache.password"
        password.touch(0o600)
        password.write_text(redis_server.ADMIN_PASSWORD)
        config = yaml.safe_load(state.config_file.read_text())
        config["targets"]["shared"] = {
            "mode": "shared",
            "address": "127.0.0.1",
            "port": shared.port,
            "username": redis_server.ADMIN,
            "password_file": password.name,
        }
        config["offers"].append({"plan": "redis/redis-tenant", "mode": "shared", "targets": ["shared"]})
        config["settings"] = {"lease_seconds": 5, "grace_seconds": 1}
        state.config_file.write_text(yaml.safe_dump(config))
        yield made


@pytest.fixture
def fresh(lost: Machine) -> Iterator[Machine]:
    """An empty machine that takes its address."""
    with machine() as made:
        made.listen = lost.listen
        yield made


def lose_the_broker(made: Machine) -> None:
    """SIGKILL to everything but the instances and what keeps them."""
    assert made.up is not None
    broker = psutil.Process(made.up.pid)
    killed = [broker, *broker.children(recursive=True)]
    for process in killed:
        process.kill()
    made.up.wait()
    psutil.wait_procs(killed[1:], timeout=20)
    shutil.rmtree(made.state / "postgres")


def dump_in_mid_provision(made: Machine, name: str, file: Path) -> None:
    """A dump while an operation is running. The worker holds its breath meanwhile, so that it is."""
    with made.next_run_held():
        made.apb("provision", "redis", "redis-standard", name, "-p", "memory=0.1", "--no-wait")
        _dump_now(made, file)


def _dump_now(made: Machine, file: Path) -> None:
    wait(lambda: any(row["state"] == "running" for row in made.apb("operations")), 60, "the start of the provision")
    worker = psutil.Process(json.loads((made.state / "children.json").read_text())["worker"][0])
    worker.send_signal(signal.SIGSTOP)
    try:
        dumped = made.call("database", "dump", str(file))
    finally:
        worker.send_signal(signal.SIGCONT)
    assert dumped.returncode == 0, dumped.stderr
    assert file.stat().st_mode & 0o777 == 0o600


def start_refused(made: Machine) -> str:
    """What `apb up` says when it does not start."""
    done = subprocess.run([*APB, "up"], env=made.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    return done.stdout.splitlines()[-1]


def ping(credentials: dict[str, Any]) -> bool:
    """Whether this account is let in."""
    try:
        with login(credentials) as client:
            return bool(client.ping())
    except redis.exceptions.AuthenticationError:
        return False


def test_broker_is_restored_on_an_empty_machine(lost: Machine, fresh: Machine, tmp_path: Path) -> None:
    """Not without the keys. Then credentials are fetched, accounts made and taken back, and instances removed, on a host and on a server.

    What was running in the dump is run again. Hosts accept the new broker's runs, also where they saw later ones than the dump knows.
    """
    lost.start()
    old = {}
    for name, plan in PLANS.items():
        lost.apb("provision", "redis", plan, name)
        old[name] = lost.apb("bind", name, "app")["credentials"]
    with login(old["cache"]) as client:
        client.set("kept", "yes")
    dump_in_mid_provision(lost, "late", tmp_path / "apb.dump")
    wait(lambda: lost.apb("instances", "late")["state"] == "ready", 120, "the end of the provision")
    lost.apb("update", "cache", "-p", "memory=0.2")  # the host has seen a later run than the dump knows
    lose_the_broker(lost)

    for name in ("apb.yml", "admin.json", "admin.password", "cache.password"):
        shutil.copy(lost.state / name, fresh.state / name)
    restored = fresh.call("database", "restore", str(tmp_path / "apb.dump"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert restored.stdout == f"the database is restored; now put the key file back: {fresh.state / 'keys'}\n"
    assert start_refused(fresh).startswith(f"{fresh.state / 'keys'} is gone, but what {fresh.state / 'postgres'} holds is sealed with it: ")
    (fresh.state / "keys").touch(0o600)
    (fresh.state / "keys").write_text(f"key-1 {base64.b64encode(os.urandom(32)).decode()}\n")
    assert start_refused(fresh).startswith(f"key 'key-1' in {fresh.state / 'keys'} is another one than the 'key-1' of this database (")
    shutil.copy(lost.state / "keys", fresh.state / "keys")
    again = fresh.call("database", "restore", str(tmp_path / "apb.dump"))
    assert "the database has tables of apb already, and nothing is overwritten" in again.stderr
    fresh.start()

    with login(old["cache"]) as client:
        assert client.get("kept") == b"yes"
    for name in PLANS:
        assert fresh.apb("credentials", name, "app") == old[name]
        new = fresh.apb("bind", name, "after")["credentials"]
        assert (ping(old[name]), ping(new)) == (True, True)
        fresh.apb("unbind", name, "app")
        assert (ping(old[name]), ping(new)) == (False, True)
    wait(lambda: fresh.apb("instances", "late")["state"] == "ready", 120, "the end of what the dump shows as running")
    assert [row["attempt"] for row in fresh.apb("operations") if row["kind"] == "provision" and row["state"] == "succeeded"].count(2) == 1
    for name in (*PLANS, "late"):
        fresh.apb("deprovision", name, "--yes")
    assert not ping(new)
    assert list(lost.instances.iterdir()) == []
    fresh.stop()
