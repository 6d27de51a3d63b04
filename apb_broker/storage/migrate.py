"""Brings a database to this release's tables, by Alembic, one process at a time."""

import functools
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config

from apb_broker.storage.database import Database, driver_url
from apb_broker.storage.errors import Unavailable
from apb_broker.storage.tables import epoch_sequence

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 7204651


def migrate(url: str) -> None:
    """Upgrades to the newest revision. Several callers wait for each other (an advisory lock)."""
    engine = sqlalchemy.create_engine(driver_url(url), hide_parameters=True)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(LOCK)))
            command.upgrade(configuration(connection), "head")
            _advance_epoch(connection)
    finally:
        engine.dispose()


def revision(url: str) -> str | None:
    """How far a database is; None when it has no table of ours."""
    engine = sqlalchemy.create_engine(driver_url(url), hide_parameters=True)
    try:
        with engine.connect() as connection:
            return _revision(connection)
    finally:
        engine.dispose()


def _revision(connection: sqlalchemy.Connection) -> str | None:
    if not connection.execute(sqlalchemy.text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one():
        return None
    found: str | None = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def require_current(database: Database) -> None:
    """Raises Unavailable when the database lacks tables of this release. One that a later release has brought further will do."""
    with database.unit() as unit:
        found = _revision(unit.session.connection())
    if found is None or found < newest():
        raise Unavailable(f"the database is at revision {found or 'none'}, this release needs {newest()}: start it with `apb up`")


@functools.cache
def newest() -> str:
    """The revision of this release."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def configuration(connection: sqlalchemy.Connection) -> Config:
    """Alembic's configuration, working on that connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _advance_epoch(connection: sqlalchemy.Connection) -> None:
    """Brings the epoch up to the clock (ms), so that hosts accept runs also after an older copy of the database was restored.

    Hosts remember the highest epoch they saw. Claims are far fewer than one a millisecond, so the clock is ahead of them all.
    """
    milliseconds = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    name = epoch_sequence.name
    connection.execute(sqlalchemy.text(f"SELECT setval('{name}', greatest(nextval('{name}'), {milliseconds}))"))
