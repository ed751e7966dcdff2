"""Read a member's points in functions, whose plan rests on no estimate.

As subqueries of the statements that ask for them, they were planned by what the planner expects
of a member: few points, for it takes group and person for independent of each other, and then
sorting all of them costs as little as walking the index. With a family that has posted much
among families that have posted little, a page of history then read all that the family keeps.

In a function they are planned once a session, for any values, and sorting is forbidden: walking
the primary key is what remains, and it ends at the limit.
"""

from alembic import op

revision = "0015"
down_revision = "0014"

# STABLE, so they see what the statement that calls them sees, and with the rights of its caller.

# Newest first. `<` for rows is where the walk begins, `<=` leaves later months out.
POINTS_OF_MEMBER = """
CREATE FUNCTION points_of_member(
    group_id uuid, user_id uuid, since timestamptz, received_since timestamptz,
    before_at timestamptz, before_id uuid, before_user_id uuid, at_most integer
) RETURNS SETOF locations ROWS 100 LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT point.* FROM public.locations point
        WHERE point.group_id = $1 AND point.user_id = $2
            AND (point.recorded_at, point.id, point.user_id) < ($5, $6, $7)
            AND point.recorded_at <= $5 AND point.recorded_at >= $3 AND point.received_at >= $4
        ORDER BY point.recorded_at DESC, point.id DESC
        LIMIT $8;
END $$
"""

# A member's other points may be in the other form, or under a former key, for months: no more
# than `among` are looked through.
NEWEST_OF_MEMBER = """
CREATE FUNCTION newest_of_member(
    group_id uuid, user_id uuid, since timestamptz, received_since timestamptz,
    key_version integer, among integer
) RETURNS SETOF locations ROWS 1 LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT of_late.* FROM (
            SELECT point.* FROM public.locations point
            WHERE point.group_id = $1 AND point.user_id = $2
                AND point.recorded_at >= $3 AND point.received_at >= $4
            ORDER BY point.recorded_at DESC, point.id DESC
            LIMIT $6
        ) of_late
        WHERE of_late.key_version IS NOT DISTINCT FROM $5
        ORDER BY of_late.recorded_at DESC, of_late.id DESC
        LIMIT 1;
END $$
"""

# Oldest first.
POINTS_OF_MEMBER_AFTER = """
CREATE FUNCTION points_of_member_after(
    group_id uuid, user_id uuid, after_at timestamptz, after_id uuid, at_most integer
) RETURNS SETOF locations ROWS 100 LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT point.* FROM public.locations point
        WHERE point.group_id = $1 AND point.user_id = $2
            AND (point.recorded_at, point.id) > ($3, $4) AND point.recorded_at >= $3
        ORDER BY point.recorded_at, point.id
        LIMIT $5;
END $$
"""


def upgrade() -> None:
    for function in (POINTS_OF_MEMBER, NEWEST_OF_MEMBER, POINTS_OF_MEMBER_AFTER):
        op.execute(function)


def downgrade() -> None:
    for name in ("points_of_member", "newest_of_member", "points_of_member_after"):
        op.execute(f"DROP FUNCTION {name}")
