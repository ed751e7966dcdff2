"""Grant the roles the right to call the functions, for PUBLIC may have lost it.

PostgreSQL lets PUBLIC call each new function, and the roles relied on it. Operators take it back,
from the functions that there are or by default privileges, and then whatever makes an id failed.
"""

from alembic import op

revision = "0021"
down_revision = "0020"

# Not those that run with their owner's rights, or grant rights: each role gets those it needs.
GRANT = """
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    grantee text;
    callable text;
BEGIN
    PERFORM grant_rights_of_0020();
    FOR grantee, callable IN
        SELECT rolname, proc.oid::regprocedure::text
        FROM pg_roles, pg_proc proc
        WHERE rolname IN ('draugar_api', 'draugar_purge', 'draugar_maintenance')
            AND pronamespace = 'public'::regnamespace AND pg_has_role(proowner, 'USAGE')
            AND prokind = 'f' AND prorettype <> 'trigger'::regtype
            AND NOT prosecdef AND NOT starts_with(proname, 'grant_rights')
            AND NOT EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_proc'::regclass AND objid = proc.oid AND deptype = 'e'
            )
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', callable, grantee);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_0020")
    op.execute(GRANT)
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_rights()")
    op.execute("ALTER FUNCTION grant_rights_of_0020() RENAME TO grant_rights")
