"""Writes the next Alembic revision from what tables.py has and the migrations lack: make_migration.py MESSAGE."""

import sys
import tempfile
from pathlib import Path

import sqlalchemy
from alembic import command

from apb_broker.machine.postgres import EmbeddedPostgres
from apb_broker.storage import migrate
from apb_broker.storage.database import driver_url

with tempfile.TemporaryDirectory(prefix="apb", dir="/tmp") as directory:
    Path(directory).chmod(0o711)
    server = EmbeddedPostgres(Path(directory) / "postgres")
    url = server.start()
    try:
        migrate.migrate(url)
        engine = sqlalchemy.create_engine(driver_url(url))
        number = len(list((migrate.MIGRATIONS / "versions").glob("0*.py"))) + 1
        with engine.begin() as connection:
            command.revision(migrate.configuration(connection), message=sys.argv[1], autogenerate=True, rev_id=f"{number:04}")
    finally:
        server.stop()
