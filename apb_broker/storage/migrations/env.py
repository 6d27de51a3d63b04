"""Alembic's entry: runs the revisions on the connection that `storage.migrate` hands over."""

from alembic import context

from apb_broker.storage.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
