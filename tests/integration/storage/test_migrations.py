"""Migrations and tables say the same."""

import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from apb_broker.storage.database import driver_url
from apb_broker.storage.migrate import migrate
from apb_broker.storage.tables import Table


def test_migrated_database_has_the_tables_of_the_code(database_url: str) -> None:
    """Nothing is left for Alembic to generate; migrating again changes nothing."""
    migrate(database_url)
    engine = sqlalchemy.create_engine(driver_url(database_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()
