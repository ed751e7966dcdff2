"""Give each function's role what it needs, and no more.

The operator makes the roles, and may make one later: the migrate function grants again each time
it has run. A role that is not there is passed over, as all are on a laptop. Locking a row takes
the right to update it. What a deletion takes along is deleted with the rights of the table's
owner.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

RIGHTS = {
    "draugar_api": {
        "SELECT": ["alembic_version"],
        "SELECT, INSERT, UPDATE": ["devices", "invite_codes"],
        "SELECT, INSERT, DELETE": ["locations"],
        "SELECT, INSERT, UPDATE, DELETE": ["users", "groups", "group_members", "rate_limits"],
        # A group that raises its retention needs room for what it will be sent.
        "EXECUTE": ["FUNCTION make_location_partitions()"],
    },
    "draugar_purge": {"SELECT, UPDATE, DELETE": ["invite_codes"]},
    "draugar_maintenance": {
        "SELECT": ["groups", "group_members"],
        "SELECT, UPDATE": ["devices"],
        "SELECT, DELETE": ["locations"],
        "SELECT, UPDATE, DELETE": ["users", "rate_limits"],
        "EXECUTE": [
            "FUNCTION make_location_partitions()",
            "FUNCTION drop_location_partitions()",
        ],
    },
}


def upgrade() -> None:
    grants = "\n".join(_granted_to(role) for role in RIGHTS)
    op.execute(
        "CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql"
        f" SET search_path = public, pg_temp AS $$\nBEGIN\n{grants}\nEND $$"
    )
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    for role in RIGHTS:
        op.execute(
            f"DO $$ BEGIN IF to_regrole('{role}') IS NOT NULL THEN"
            f" REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};"
            f" REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM {role};"
            f" REVOKE ALL ON SCHEMA public FROM {role}; END IF; END $$"
        )
    op.execute("DROP FUNCTION grant_rights()")


def _granted_to(role: str) -> str:
    lines = [
        f"        GRANT {rights} ON {thing} TO {role};"
        for rights, things in RIGHTS[role].items()
        for thing in things
    ]
    return "\n".join(
        [
            f"    IF to_regrole('{role}') IS NOT NULL THEN",
            f"        GRANT USAGE ON SCHEMA public TO {role};",
            *lines,
            "    END IF;",
        ]
    )
