"""Delete points past retention in a function that reads no others.

The statement joined the points of a batch with all points again. For a batch of ten thousand the
planner read every partition whole, each time.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

# Two ranges of the primary key for each member: one finds the last point of the batch, the other
# is deleted. With the rights of the caller.
FUNCTION = """
CREATE FUNCTION delete_points_past_retention(at_most integer) RETURNS integer LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET enable_seqscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    member record;
    last_at timestamptz;
    last_id uuid;
    of_member integer;
    deleted integer := 0;
BEGIN
    FOR member IN
        SELECT one.group_id, one.user_id,
            now() - family.retention_days * interval '1 day' AS kept_since
        FROM public.group_members one JOIN public.groups family ON family.id = one.group_id
    LOOP
        SELECT point.recorded_at, point.id INTO last_at, last_id
        FROM public.locations point
        WHERE point.group_id = member.group_id AND point.user_id = member.user_id
            AND point.recorded_at < member.kept_since
        ORDER BY point.recorded_at, point.id
        LIMIT 1 OFFSET at_most - deleted - 1;
        IF NOT FOUND THEN
            last_at := member.kept_since;
            last_id := '00000000-0000-0000-0000-000000000000';
        END IF;
        DELETE FROM public.locations point
        WHERE point.group_id = member.group_id AND point.user_id = member.user_id
            AND (point.recorded_at, point.id) <= (last_at, last_id)
            AND point.recorded_at < member.kept_since;
        GET DIAGNOSTICS of_member = ROW_COUNT;
        deleted := deleted + of_member;
        EXIT WHEN deleted >= at_most;
    END LOOP;
    RETURN deleted;
END $$
"""


def upgrade() -> None:
    op.execute(FUNCTION)


def downgrade() -> None:
    op.execute("DROP FUNCTION delete_points_past_retention(integer)")
