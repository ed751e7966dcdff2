"""Give `new_id()` one body that works on every version of PostgreSQL.

On PostgreSQL 18, 0001 made it call the built-in `uuidv7()`. A dump of such a database could be
restored on 15 to 17, but there every statement that makes an id failed.
"""

from alembic import op

revision = "0020"
down_revision = "0019"

PORTABLE = """
CREATE OR REPLACE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT public.new_id(clock_timestamp())'
"""

AS_IN_0001 = """
DO $do$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        CREATE OR REPLACE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
            AS 'SELECT uuidv7()';
    ELSE
        CREATE OR REPLACE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
            AS 'SELECT new_id(clock_timestamp())';
    END IF;
END $do$
"""


def upgrade() -> None:
    op.execute(PORTABLE)


def downgrade() -> None:
    op.execute(AS_IN_0001)
