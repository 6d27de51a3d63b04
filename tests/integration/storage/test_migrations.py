"""Migrations and tables say the same."""

import uuid

import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from apb_broker.storage.database import driver_url
from apb_broker.storage.migrate import configuration, migrate
from apb_broker.storage.tables import Table


def test_migrated_database_has_the_tables_of_the_code(database_url: str) -> None:
    """Nothing is left for Alembic to generate; migrating again changes nothing."""
    migrate(database_url)
    engine = sqlalchemy.create_engine(driver_url(database_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


INSTANCE = """
INSERT INTO instances (id, organization, space, requested_by, context, service_id, service_name, plan_id, plan_name, plan_snapshot, role,
                       role_version, mode, state, names, placement, ports, connection)
VALUES ('i1', 'o', 's', 'ann', '{}', 's', 'redis', 'p', 'redis-standard', '{}', 'r', '1', 'host', 'ready', '{}',
        '{"target": "local", "host": "localhost", "address": "127.0.0.1"}', '{}', '{}')
"""


def test_instances_of_the_first_release_are_counted_where_they_are(database_url: str) -> None:
    """Placement spreads by what is there; their memory is known with their next update."""
    schema = f"upgrade_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(driver_url(database_url), connect_args={"options": f"-c search_path={schema}"})
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        command.upgrade(configuration(connection), "0001")
        connection.exec_driver_sql(INSTANCE)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "head")
        rows = connection.exec_driver_sql("SELECT instance_id, copy, place, memory_gb FROM reservations").all()
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    assert [tuple(row) for row in rows] == [("i1", 0, "127.0.0.1", 0)]
    engine.dispose()
