"""Refuse the changes that may never happen, whoever asks for them.

A check sees one state of a row, a trigger both. A refusal arrives as 23514 with the trigger's
name as its constraint, like that of any check.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME,
        MESSAGE = format('%s may not change so: %s', TG_TABLE_NAME, TG_NAME);
END $$
"""

ONE_WAY = {
    ("devices", "public_key_is_written_once"): (
        "old.public_key IS NOT NULL AND new.public_key IS DISTINCT FROM old.public_key"
    ),
    ("groups", "encryption_stays_required"): (
        "old.encryption = 'required' AND new.encryption <> 'required'"
    ),
    ("groups", "key_version_never_falls"): "new.key_version < old.key_version",
    ("invite_codes", "a_used_code_stays_used"): (
        "old.used_at IS NOT NULL AND new.used_at IS DISTINCT FROM old.used_at"
    ),
}


def upgrade() -> None:
    op.execute(REFUSE)
    for (table, name), when in ONE_WAY.items():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table}"
            f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
        )


def downgrade() -> None:
    for table, name in ONE_WAY:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute("DROP FUNCTION refuse()")
