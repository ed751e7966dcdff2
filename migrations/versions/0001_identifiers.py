"""Make UUIDs of version 7, and read the time out of them.

Functions of our own: a default that calls PostgreSQL 18's `uuidv7()` would mean something else on
15, and after a dump of the one is restored on the other.
"""

from alembic import op

revision = "0001"
down_revision = None

# The time is cut to milliseconds, never rounded: a cast rounds, and then half of all times would
# differ from the ones their ids say. Bits 52 and 53 turn the version from 4 into 7.
AT_A_TIME = """
CREATE FUNCTION new_id(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6
            ),
        52, 1), 53, 1),
    'hex')::uuid
$$
"""

NOW = """
DO $do$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
            AS 'SELECT uuidv7()';
    ELSE
        CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
            AS 'SELECT new_id(clock_timestamp())';
    END IF;
END $do$
"""

TIME_OF = """
CREATE FUNCTION uuid_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_timestamp(
        ('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint
        / 1000::float8
    )
$$
"""


def upgrade() -> None:
    op.execute(AT_A_TIME)
    op.execute(NOW)
    op.execute(TIME_OF)


def downgrade() -> None:
    op.execute("DROP FUNCTION uuid_time(uuid)")
    op.execute("DROP FUNCTION new_id()")
    op.execute("DROP FUNCTION new_id(timestamptz)")
