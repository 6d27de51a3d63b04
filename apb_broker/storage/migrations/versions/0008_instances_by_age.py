"""Instances by age: they are listed page by page."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index; what the previous release reads and writes stays."""
    op.create_index("instances_age", "instances", ["created_at", "id"], unique=False)
