"""What all tests share: a real PostgreSQL of the suite's own, and a broker on it that offers the real roles."""

import base64
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apb_broker.catalog import config as configuration
from apb_broker.catalog.catalog import Catalog
from apb_broker.lifecycle.broker import Broker
from apb_broker.machine import keyfile
from apb_broker.machine.postgres import EmbeddedPostgres
from apb_broker.storage.database import Database
from apb_broker.storage.migrate import migrate
from apb_broker.storage.sealing import Keyring
from tests import scenarios

ROOT = Path(__file__).parent.parent

# A shell starts what runs in its background with SIGINT ignored, and that is inherited: programs under test would not hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

CONFIG = """\
apb: 1
listen: 127.0.0.1:0
users: [{{name: admin, password_file: admin.password, roles: [platform, operator]}}]
roles: [{{name: apb.catalog.redis}}]
targets:
  local: {{mode: host, hosts: [{{name: localhost, address: 127.0.0.1}}], ports: 31000-31004, directory: {directory}/host}}
offers: [{{plan: redis/redis-standard, mode: host, targets: [local]}}]
"""


@contextlib.contextmanager
def short_path() -> Iterator[Path]:
    """A directory that other users can pass and whose name leaves room for a socket path (107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="apb", dir="/tmp"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """Such a directory for one test."""
    with short_path() as path:
        yield path


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the key for sealed columns."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.touch(mode=0o600)
    path.write_text(f"{keyfile.FIRST_LABEL} {base64.b64encode(os.urandom(32)).decode()}\n")
    return path


@pytest.fixture(scope="session")
def database_url(key_file: Path) -> Iterator[str]:
    """A PostgreSQL of the suite's own, with the newest tables. State directories that tests make for it get the suite's key."""
    with short_path() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyfile, "ensure", lambda path: None if path.exists() else shutil.copy(key_file, path))
        server = EmbeddedPostgres(directory / "postgres", log_file=directory / "postgres.log")
        url = server.start(lambda _sentence: None, time.sleep)
        migrate(url)
        yield url
        server.stop()


@pytest.fixture
def database(database_url: str, key_file: Path) -> Iterator[Database]:
    """An empty database with the newest tables."""
    database = Database(database_url, Keyring.load(key_file))
    scenarios.empty(database)
    yield database
    database.close()


@pytest.fixture
def make_broker(database: Database, tmp_path: Path) -> Callable[[str], Broker]:
    """A broker on that database with the apb.yml that is given; its password files hold a password."""

    def make(config: str) -> Broker:
        for name in ("admin.password", "server.password"):
            (tmp_path / name).touch(mode=0o600)
            (tmp_path / name).write_text("secret of the operator")
        (tmp_path / "apb.yml").write_text(config)
        loaded = configuration.load(tmp_path / "apb.yml")
        return Broker(database, Catalog.load(loaded), loaded.settings)

    return make


@pytest.fixture
def broker(make_broker: Callable[[str], Broker], tmp_path: Path) -> Broker:
    """A broker that offers redis on five ports of this machine."""
    return make_broker(CONFIG.format(directory=tmp_path))
