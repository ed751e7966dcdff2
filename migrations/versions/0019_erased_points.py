"""Remember what was erased, and whose letters a departed person's phone had.

A phone that did not get the answer to its post repeats it, and what had been erased meanwhile was
stored again. A point is remembered by a digest of its id, or of what a phone sealed, whose id the
service makes; the time and the place are not. The point may be repeated by a device while another
one erases it, so the function sees what has been committed since its statement began: it is
VOLATILE.

The apps go by the two letters alone, which went with the phone when its person left: another person
could be given them at once, and stood on all phones in the place of the former one.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

ERASED = """
CREATE TABLE erased_points (
    group_id uuid NOT NULL,
    user_id uuid NOT NULL,
    digest bytea NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_erased_points PRIMARY KEY (group_id, user_id, digest),
    CONSTRAINT fk_erased_points_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_erased_points_digest_length CHECK (octet_length(digest) = 32)
)
"""

IS_ERASED = """
CREATE FUNCTION is_erased(group_id uuid, user_id uuid, digest bytea)
RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM public.erased_points erased
        WHERE erased.group_id = $1 AND erased.user_id = $2 AND erased.digest = $3
    );
END $$
"""

DEPARTED = """
CREATE TABLE departed_tids (
    group_id uuid NOT NULL
        CONSTRAINT fk_departed_tids_group_id REFERENCES groups ON DELETE CASCADE,
    tid varchar NOT NULL,
    departed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_departed_tids PRIMARY KEY (group_id, tid),
    CONSTRAINT ck_departed_tids_tid CHECK (tid ~ '^[A-Za-z0-9]{2}$')
)
"""

GRANT = """
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM grant_rights_of_0018();
    IF to_regrole('draugar_api') IS NOT NULL THEN
        GRANT SELECT, INSERT ON erased_points TO draugar_api;
        GRANT SELECT, INSERT, UPDATE ON departed_tids TO draugar_api;
    END IF;
    IF to_regrole('draugar_maintenance') IS NOT NULL THEN
        GRANT SELECT, DELETE ON erased_points, departed_tids TO draugar_maintenance;
    END IF;
END $$
"""


def upgrade() -> None:
    for statement in (ERASED, IS_ERASED, DEPARTED):
        op.execute(statement)
    op.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_0018")
    op.execute(GRANT)
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_rights()")
    op.execute("ALTER FUNCTION grant_rights_of_0018() RENAME TO grant_rights")
    op.execute("DROP TABLE departed_tids")
    op.execute("DROP FUNCTION is_erased(uuid, uuid, bytea)")
    op.execute("DROP TABLE erased_points")
