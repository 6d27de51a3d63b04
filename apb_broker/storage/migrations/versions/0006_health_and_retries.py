"""How instances are, as they were last looked at; removals that failed and are tried again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Removals that failed before the broker tried them again by itself: each that is the last one of what it was to remove.
RETRY_INSTANCES = """
UPDATE operations SET retry_at = now() FROM instances
WHERE instances.id = operations.instance_id AND instances.state = 'failed' AND operations.binding_id IS NULL
  AND operations.kind = 'deprovision' AND operations.state = 'failed' AND operations.error NOT LIKE 'canceled%'
  AND NOT EXISTS (SELECT FROM operations later WHERE later.instance_id = operations.instance_id
    AND later.binding_id IS NULL AND later.sequence > operations.sequence)
"""
RETRY_BINDINGS = """
UPDATE operations SET retry_at = now() FROM bindings
WHERE bindings.instance_id = operations.instance_id AND bindings.id = operations.binding_id AND bindings.state = 'failed'
  AND operations.kind = 'unbind' AND operations.state = 'failed' AND operations.error NOT LIKE 'canceled%'
  AND NOT EXISTS (SELECT FROM operations later WHERE later.instance_id = operations.instance_id
    AND later.binding_id = operations.binding_id AND later.sequence > operations.sequence)
"""


def upgrade() -> None:
    """Expands the tables; what the previous release reads stays."""
    op.create_table(
        "health",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("drift", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("repairs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("repair_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("instance_id"),
    )
    op.create_index("health_due", "health", ["due_at"], unique=False)
    op.add_column("operations", sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("operations", sa.Column("retries", sa.Integer(), server_default="0", nullable=False))
    op.create_index("operations_retry", "operations", ["retry_at"], unique=False, postgresql_where=sa.text("retry_at IS NOT NULL"))
    op.execute(RETRY_INSTANCES)
    op.execute(RETRY_BINDINGS)
