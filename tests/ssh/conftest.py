"""Two prepared hosts and a broker that has them as a target."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apb_broker import assembly
from apb_broker.lifecycle.broker import Broker
from apb_broker.machine import configuration
from apb_broker.machine.state import StateDirectory
from tests import scenarios
from tests.e2e.machine import free_ports
from tests.ssh import hosts
from tests.ssh.site import Site

NAMES = ("alpha", "beta")
CONFIG = """\
apb: 1
listen: 127.0.0.1:0
users: [{{name: admin, password_file: admin.password, roles: [platform, operator]}}]
roles: [{{name: apb.catalog.redis}}]
targets:
  far: {{mode: host, inventory: {inventory}, group: caches, ports: {ports}}}
offers: [{{plan: redis/redis-standard, mode: host, targets: [far]}}]
settings: {{concurrency: 2, lease_seconds: 3, grace_seconds: 4, cancel_grace_seconds: 3, max_attempts: {attempts}}}
"""


@pytest.fixture(scope="session", autouse=True)
def possible() -> None:
    """Skips all of it where there can be no such hosts."""
    if reason := hosts.missing():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Site]:
    """Running hosts, prepared for instances by their operator, and a state directory of a broker that knows them."""
    directory = tmp_path_factory.mktemp("ssh")
    access = hosts.access(directory / "access")
    password = directory / "vault-password"
    password.touch(mode=0o600)
    password.write_text("opens the inventory")
    with hosts.running(NAMES, directory, access) as made:
        inventory = hosts.write_inventory(directory / "hosts.yml", made, hosts.vault(access.password, password))
        environment = {
            **os.environ,
            "ANSIBLE_VAULT_PASSWORD_FILE": str(password),
            "APB_STATE_DIR": str(directory / "state"),
            "NO_COLOR": "1",
        }
        _prepare(inventory, environment)
        state = StateDirectory(directory / "state")
        state.create()
        ports = free_ports()
        configuration.first_configuration(state, ports=ports)
        state.keep_database_url(database_url)
        state.config_file.write_text(CONFIG.format(inventory=inventory, ports=ports, attempts=5))
        for host in made:
            host.make_useradd_stoppable()
        yield Site(directory / "state", made, inventory, environment)


def _prepare(inventory: Path, environment: dict[str, str]) -> None:
    """As docs/remote-hosts.md tells operators; but no connection stays open, as tests look at connections."""
    program = Path(sys.executable).with_name("ansible-playbook")
    words = [program, "-i", inventory, "apb.catalog.prepare_host", "-e", "apb_hosts=caches"]
    closing = {**environment, "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    done = subprocess.run(words, env=closing, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def far(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """The broker of the site, on an empty database."""
    for name in ("ANSIBLE_VAULT_PASSWORD_FILE",):
        monkeypatch.setenv(name, site.environment[name])
    broker = assembly.assemble(site.state).broker
    scenarios.empty(broker.database)
    yield broker
    broker.database.close()
