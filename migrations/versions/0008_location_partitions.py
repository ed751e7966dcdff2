"""Make and drop the monthly partitions of locations.

Partitions reach from the oldest point that any group keeps, or a new one would with its 30 days,
to three months ahead. There is no default partition: it would cost every read of the latest
positions. Months are those of UTC, whatever the session's time zone.

Both functions run with their owner's rights, for callers that may not change the schema, and so
take no argument and fix their search path. They give up on a lock after two seconds, for while
they wait for it everybody waits behind them; tomorrow is early enough.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

# pg_temp stands last on the search path: left out it would be searched first, and its owner could
# put a type or a table of theirs in the place of a built-in one.
#
# Attaching a finished table, unlike CREATE ... PARTITION OF, lets everybody read and post on; only
# members cannot come and go meanwhile. What is kept is read under the lock, or a retention that
# is raised at the same time would be overlooked.
MAKE = """
CREATE FUNCTION make_location_partitions() RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    kept_days integer;
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('location_partitions'));
    kept_days := greatest(30, (SELECT max(retention_days) FROM public.groups));
    FOR month IN
        SELECT generate_series(
            date_trunc('month', now() - make_interval(days => kept_days)),
            date_trunc('month', now()) + interval '3 months',
            interval '1 month'
        )
    LOOP
        partition := 'locations_' || to_char(month, 'YYYY_MM');
        IF to_regclass('public.' || partition) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE public.%I (LIKE public.locations INCLUDING DEFAULTS'
                ' INCLUDING CONSTRAINTS)', partition
            );
            EXECUTE format(
                'ALTER TABLE public.locations ATTACH PARTITION public.%I'
                ' FOR VALUES FROM (%L) TO (%L)', partition, month, month + interval '1 month'
            );
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$
"""

DROP = """
CREATE FUNCTION drop_location_partitions() RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    oldest text;
    partition text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('location_partitions'));
    oldest := 'locations_' || to_char(
        now() - make_interval(
            days => greatest(30, (SELECT max(retention_days) FROM public.groups))
        ),
        'YYYY_MM'
    );
    FOR partition IN
        SELECT child.relname
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'public.locations'::regclass
            AND child.relname ~ '^locations_[0-9]{4}_[0-9]{2}$' AND child.relname < oldest
    LOOP
        EXECUTE format('DROP TABLE public.%I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$
"""


def upgrade() -> None:
    for function in (MAKE, DROP):
        op.execute(function)
    for name in ("make_location_partitions", "drop_location_partitions"):
        op.execute(f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC")
    op.execute("SELECT make_location_partitions()")


def downgrade() -> None:
    op.execute("DROP FUNCTION drop_location_partitions()")
    op.execute("DROP FUNCTION make_location_partitions()")
