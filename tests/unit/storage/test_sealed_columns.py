"""Which columns are sealed: what rotates keys goes by this list."""

from apb_broker.storage import tables


def test_each_sealed_column_is_known() -> None:
    """A column that is called so has its attribute: without, nobody could open it, and no rotation would find it."""
    called = {
        (table.name, column.name) for table in tables.Table.metadata.sorted_tables for column in table.columns if "sealed" in column.name
    }
    known = {(table.__tablename__, value.column) for table, values in tables.sealed().items() for value in values}
    assert called == known
    assert {("instances", "secrets_sealed"), ("bindings", "credentials_sealed"), ("operations", "request_sealed")} <= known
