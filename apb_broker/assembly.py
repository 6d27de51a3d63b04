"""Puts one process together: logging, configuration, keys, database and catalog of a state directory."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from apb_broker import logs
from apb_broker.catalog import config as configuration
from apb_broker.catalog import groups
from apb_broker.catalog.catalog import Catalog
from apb_broker.execution import inventories
from apb_broker.lifecycle.broker import Broker
from apb_broker.machine.state import StateDirectory
from apb_broker.storage import migrate
from apb_broker.storage.database import Database
from apb_broker.storage.errors import Unavailable
from apb_broker.storage.sealing import Keyring


@dataclass(frozen=True)
class Assembled:
    """What serve and worker start from."""

    broker: Broker
    config: configuration.Config
    database_url: str


def assemble(state_dir: Path | None = None, database_url: str | None = None) -> Assembled:
    """Reads the state directory's configuration. The database URL leaves the environment: runs must not inherit it."""
    logs.configure()
    state = StateDirectory(state_dir)
    config = groups.resolved(configuration.load(state.config_file), inventories.hosts_of)
    url = database_url or state.database_url()
    os.environ.pop("DATABASE_URL", None)
    database = Database(url, Keyring.load(state.key_file))
    _admit(database)
    return Assembled(Broker(database, Catalog.load(config), config.settings), config, url)


def _admit(database: Database) -> None:
    """Refuses keys that do not fit (WrongKey). Where the database does not answer yet, /readyz and workers do later."""
    with contextlib.suppress(Unavailable):
        migrate.require_current(database)
        database.admit()
