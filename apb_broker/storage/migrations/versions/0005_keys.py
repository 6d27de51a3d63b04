"""Which keys there are, which of them seals, and which process has which."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# In one round trip: the statements of such a function each see what is committed by then, so the second one sees what
# was decided while the first one waited. 7204652 is storage.keys.SEALING_LOCK.
SEALING_KEY = """
CREATE FUNCTION apb_sealing_key(OUT label text, OUT canary text) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7204652);
    SELECT keys.label, keys.canary INTO label, canary FROM keys WHERE keys.seals;
END
$$
"""

# For a statement that has sealed with that key: fails when another one seals, and else keeps it from being replaced, as above.
REQUIRE_SEALING_KEY = """
CREATE FUNCTION apb_require_sealing_key(expected_canary text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF expected_canary IS NOT NULL AND (SELECT canary FROM apb_sealing_key()) IS DISTINCT FROM expected_canary THEN
        RAISE EXCEPTION 'another key seals now' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$
"""


def upgrade() -> None:
    """Expands the tables; what the previous release reads stays."""
    op.create_table(
        "keys",
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("canary", sa.Text(), nullable=False),
        sa.Column("seals", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("seals_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("label"),
    )
    op.create_index("keys_sealing", "keys", ["seals"], unique=True, postgresql_where=sa.text("seals"))
    op.create_table(
        "key_holders",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner"),
    )
    op.execute(SEALING_KEY)
    op.execute(REQUIRE_SEALING_KEY)
