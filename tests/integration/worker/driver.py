"""A worker process for tests: python driver.py APB_YML DATABASE_URL KEY_FILE OWNER."""

import sys
from pathlib import Path

from apb_broker import logs
from apb_broker.catalog import config as configuration
from apb_broker.catalog.catalog import Catalog
from apb_broker.lifecycle.broker import Broker
from apb_broker.storage.database import Database
from apb_broker.storage.listening import Listener
from apb_broker.storage.sealing import Keyring
from apb_broker.worker import loop

if __name__ == "__main__":
    config_file, url, key_file, owner = sys.argv[1:]
    logs.configure()
    config = configuration.load(Path(config_file))
    broker = Broker(Database(url, Keyring.load(Path(key_file))), Catalog.load(config), config.settings)
    loop.Worker(broker, Listener(url), owner).run()
