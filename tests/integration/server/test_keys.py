"""`apb serve` and `apb worker` as processes: refused with keys that do not fit, and going on while keys are rotated."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from apb_broker import keyring
from apb_broker.lifecycle.broker import Broker
from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from apb_broker.storage.database import Database
from tests import ports, scenarios
from tests.e2e.machine import wait

APB = [sys.executable, "-m", "apb_cli.main"]
SCRIPT = {"delay_seconds": 0.01, "published": {"credentials": {**scenarios.CREDENTIALS, "port": 31000}}}


class Site:
    """A state directory on the suite's database, and the processes that work on it. Runs do what a script says."""

    def __init__(self, root: Path, database_url: str) -> None:
        self.state = StateDirectory(root)
        self.state.create()
        listen = f"127.0.0.1:{ports.free()}"
        settings = json.dumps({"scripted": {"actions": {"bind": SCRIPT}, "delay_seconds": 0.01}})
        made = configuration.APB_YML.format(listen=listen, ports="31000-31004", directory=json.dumps(str(self.state.host)))
        made = made.replace("{name: apb.catalog.redis}", f"{{name: apb.catalog.redis, settings: {settings}}}")
        self.state.config_file.touch(0o600)
        self.state.config_file.write_text(made + "settings: {executor: scripted}\n")
        configuration.first_configuration(self.state)
        self.state.keep_database_url(database_url)
        self.environment = {**os.environ, "APB_STATE_DIR": str(root)}
        self.processes: list[subprocess.Popen[bytes]] = []
        admin = json.loads(self.state.admin_file.read_text())
        self.client = httpx.Client(
            base_url=admin["url"],
            auth=(admin["username"], admin["password"]),
            headers={"X-Broker-API-Version": "2.17"},
            trust_env=False,
            timeout=30,
        )

    def start(self, *names: str) -> None:
        """`apb serve` or `apb worker`."""
        for name in names:
            with (self.state.logs / f"{name}.log").open("wb") as log:
                self.processes.append(subprocess.Popen([*APB, name], env=self.environment, stdout=log, stderr=log))

    def ready(self) -> httpx.Response | None:
        """What /readyz says, once something does."""
        assert all(process.poll() is None for process in self.processes), [file.read_text() for file in self.state.logs.iterdir()]
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/readyz")
        return None

    def refused(self, name: str) -> str:
        """The one sentence with which a process does not start."""
        done = subprocess.run([*APB, name], env=self.environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    def end(self) -> None:
        """Nothing stays."""
        self.client.close()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            assert process.wait(90) == 0


@pytest.fixture
def make_site(database: Database, database_url: str, short_directory: Path) -> Iterator[Callable[[str], Site]]:
    """Machines of one database, which is empty."""
    made: list[Site] = []

    def make(name: str) -> Site:
        made.append(Site(short_directory / name, database_url))
        return made[-1]

    yield make
    for site in made:
        site.end()
    scenarios.empty(database)


def another_key(file: Path) -> None:
    """A new key in place of each, under the same label."""
    labels = [made.split()[0] for made in file.read_text().splitlines()]
    file.write_text("".join(f"{label} {base64.b64encode(os.urandom(32)).decode()}\n" for label in labels))


def test_processes_do_not_start_with_keys_that_do_not_fit(make_site: Callable[[str], Site], broker: Broker) -> None:
    """Neither web nor worker; one sentence tells which key, how much is sealed with it, and the cure."""
    scenarios.ready(broker)
    site = make_site("a")
    another_key(site.state.key_file)
    for name in ("serve", "worker"):
        said = site.refused(name)
        assert said.startswith(f"apb: key 'key-1' in {site.state.key_file} is another one than the 'key-1' of this database (")
        assert said.endswith("copy that line from another machine of this database\n")
    site.state.key_file.write_text(site.state.key_file.read_text().replace("key-1 ", "mine "))
    for name in ("serve", "worker"):
        assert site.refused(name).startswith(f"apb: {site.state.key_file} lacks key 'key-1' of this database (")
    site.state.key_file.unlink()
    assert "cannot be read" in site.refused("serve")


def test_first_start_on_a_database_in_use_makes_no_key(make_site: Callable[[str], Site], broker: Broker) -> None:
    """A further machine gets the key file of the others; one of its own would not stand in the way of that."""
    scenarios.ready(broker)
    site = make_site("a")
    site.state.key_file.unlink()
    done = subprocess.run([*APB, "up"], env=site.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        f"there is no key file {site.state.key_file}, and what the database holds is sealed already:"
        " restore the key file from its backup, or copy it from another machine of this database"
    )
    assert not site.state.key_file.exists()


def test_machine_without_the_key_that_seals_is_not_ready(make_site: Callable[[str], Site], database: Database) -> None:
    """It was there when the process started; what cannot be sealed is not accepted, and all is well when the key is back."""
    site = make_site("a")
    site.start("serve")
    wait(lambda: (answer := site.ready()) is not None and answer.status_code == 200, 120)
    body = {**ids(site), "organization_guid": "o", "space_guid": "s", "context": {"platform": "x"}}
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE keys SET seals = false"))
        connection.execute(text("INSERT INTO keys (label, canary, seals) VALUES ('elsewhere', 'elsewhere:AAAA', true)"))
    refused = site.client.get("/readyz")
    assert (refused.status_code, refused.json()["description"]) == (
        503,
        "the key file of this process does not fit its database; its log says why",
    )
    assert site.client.put("/v2/service_instances/i1?accepts_incomplete=true", json=body).status_code == 503
    wait(lambda: "lacks key 'elsewhere' of this database" in (site.state.logs / "serve.log").read_text(), 30)
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM keys WHERE seals"))
        connection.execute(text("UPDATE keys SET seals = true"))
    assert site.client.get("/readyz").status_code == 200
    assert site.client.put("/v2/service_instances/i1?accepts_incomplete=true", json=body).status_code == 202


def test_keys_are_rotated_under_running_processes(make_site: Callable[[str], Site]) -> None:
    """Two machines; the new key is refused until its line was copied, and then seals in all processes, none of them started anew."""
    here, there = make_site("here"), make_site("there")
    here.start("serve", "worker")
    there.start("serve")
    wait(lambda: all((answer := site.ready()) is not None and answer.status_code == 200 for site in (here, there)), 120)
    before = bound(here, "i1")
    with keyring.of_machine(here.state.root) as keys:
        wait(lambda: not [one.missing_at for one in keys.standings() if one.missing_at], 30)
        assert keys.add() == "key-2"
        wait(lambda: [len(one.missing_at) for one in keys.standings()] == [0, 2], 30)  # the two web processes over there
        with pytest.raises(Exception, match="key 'key-2' is missing at serve "):
            keys.rotate("key-2", lambda done, total: None)
        shutil.copy(here.state.key_file, there.state.key_file)
        wait(lambda: not [one.missing_at for one in keys.standings() if one.missing_at], 30)
        assert keys.rotate("key-2", lambda done, total: None) == []
        for site, instance_id in ((here, "i2"), (there, "i3")):
            assert bound(site, instance_id)["password"] == scenarios.CREDENTIALS["password"]
            assert site.client.get("/v2/service_instances/i1/service_bindings/b1").json()["credentials"] == before
        assert {one.label: one.values > 0 for one in keys.standings()} == {"key-1": False, "key-2": True}
        keys.remove("key-1")
    assert "key-1" not in here.state.key_file.read_text()
    assert bound(there, "i4") == before


def ids(site: Site) -> dict[str, str]:
    """Of the plan that is offered."""
    service = site.client.get("/v2/catalog").json()["services"][0]
    return {"service_id": service["id"], "plan_id": service["plans"][0]["id"]}


def bound(site: Site, instance_id: str) -> dict[str, Any]:
    """The credentials of a new binding of a new instance, by this machine's web process."""
    where = f"/v2/service_instances/{instance_id}"
    body = {**ids(site), "organization_guid": "o", "space_guid": "s", "context": {"platform": "x"}}
    made = site.client.put(f"{where}?accepts_incomplete=true", json=body)
    assert made.status_code == 202, made.text
    wait(lambda: site.client.get(f"{where}/last_operation").json()["state"] == "succeeded", 60)
    answer = site.client.put(f"{where}/service_bindings/b1", json=ids(site))
    assert answer.status_code == 201, answer.text
    credentials: dict[str, Any] = answer.json()["credentials"]
    return credentials
