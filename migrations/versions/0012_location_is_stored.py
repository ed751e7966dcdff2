"""Look a point up in a function, which plans that once a session and only when it is needed.

As a subquery of the statement that stores points it took more than half of the time to plan it,
for a look at every partition, and hardly ever ran: only a point that would be refused is looked
up, for it may be the repeat of one that was taken.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

# STABLE, so it sees what the statement that calls it sees.
FUNCTION = """
CREATE FUNCTION location_is_stored(
    group_id uuid, user_id uuid, recorded_at timestamptz, id uuid
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM public.locations point
        WHERE point.group_id = $1 AND point.user_id = $2
            AND point.recorded_at = $3 AND point.id = $4
    );
END $$
"""


def upgrade() -> None:
    op.execute(FUNCTION)


def downgrade() -> None:
    op.execute("DROP FUNCTION location_is_stored(uuid, uuid, timestamptz, uuid)")
