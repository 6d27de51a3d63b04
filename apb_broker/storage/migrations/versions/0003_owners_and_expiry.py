"""Who owns an instance and who asked for an operation; bindings that expire or follow another."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expands the tables; what the previous release reads stays."""
    op.add_column("instances", sa.Column("principal", sa.Text(), nullable=True))
    op.add_column("bindings", sa.Column("predecessor", sa.Text(), nullable=True))
    op.add_column("bindings", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("bindings", sa.Column("renew_before", sa.DateTime(timezone=True), nullable=True))
    op.create_index("bindings_expiry", "bindings", ["expires_at"], unique=False, postgresql_where=sa.text("expires_at IS NOT NULL"))
    op.add_column("operations", sa.Column("service_name", sa.Text(), nullable=True))
    op.add_column("operations", sa.Column("plan_name", sa.Text(), nullable=True))
    op.add_column("operations", sa.Column("principal", sa.Text(), nullable=True))
    op.add_column("operations", sa.Column("identity", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
