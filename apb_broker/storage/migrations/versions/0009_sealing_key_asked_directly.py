"""Whether a key still seals, asked without a function in between: each acceptance asks it."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# As in 0005, whose apb_sealing_key() it called: the look comes after the lock, and sees what was decided while that waited.
REQUIRE_SEALING_KEY = """
CREATE OR REPLACE FUNCTION apb_require_sealing_key(expected_canary text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF expected_canary IS NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7204652);
    IF NOT EXISTS (SELECT FROM keys WHERE seals AND canary = expected_canary) THEN
        RAISE EXCEPTION 'another key seals now' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$
"""


def upgrade() -> None:
    """The same function, faster; the previous release goes on with it."""
    op.execute(REQUIRE_SEALING_KEY)
