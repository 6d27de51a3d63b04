"""Instances that are protected from deletion, and those that are kept for a while after it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expands the tables; what the previous release reads stays."""
    op.add_column("instances", sa.Column("deletion_protection", sa.Boolean(), nullable=True))
    op.add_column("instances", sa.Column("purge_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("instances_purge", "instances", ["purge_at"], unique=False, postgresql_where=sa.text("purge_at IS NOT NULL"))
