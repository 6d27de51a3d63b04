"""What instances take of hosts and servers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expands the tables; what the previous release reads stays."""
    op.create_table(
        "reservations",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("copy", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("memory_gb", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("instance_id", "copy"),
    )
    op.create_index("reservations_place", "reservations", ["place"], unique=False)
    # Instances of the previous release are counted at once; their memory is known with their next update (parameters are sealed).
    op.execute(
        "INSERT INTO reservations (instance_id, copy, place, memory_gb)"
        " SELECT id, 0, placement->>'address', 0 FROM instances WHERE placement->>'address' IS NOT NULL"
    )
