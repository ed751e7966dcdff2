"""Keep what members' devices state of each other: signed and sealed, nothing of it readable here.

A statement beside each version, vouches for devices that joined since, and the card of each device.
A version also notes for whom it counts towards the number of versions that a person may make in a
day, so that one member does not use up what all need; none where the version was required.

The trigger that keeps a version as it was made lets the deletion of a person empty that note.
"""

from alembic import op

revision = "0024"
down_revision = "0023"

VERSIONS = """
ALTER TABLE group_keys
    ADD COLUMN statement bytea,
    ADD COLUMN counted_for uuid
        CONSTRAINT fk_group_keys_counted_for REFERENCES users ON DELETE SET NULL,
    ADD CONSTRAINT ck_group_keys_statement_length
        CHECK (octet_length(statement) BETWEEN 41 AND 57344)
"""

VOUCHES = """
CREATE TABLE vouches (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_vouches PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    group_id uuid NOT NULL,
    key_version integer NOT NULL,
    device_id uuid NOT NULL
        CONSTRAINT fk_vouches_device_id REFERENCES devices ON DELETE CASCADE,
    user_id uuid NOT NULL,
    voucher_device_id uuid NOT NULL
        CONSTRAINT fk_vouches_voucher_device_id REFERENCES devices ON DELETE CASCADE,
    voucher_id uuid NOT NULL,
    entry bytea NOT NULL,
    CONSTRAINT uq_vouches_device_id_group_id_voucher_device_id
        UNIQUE (device_id, group_id, voucher_device_id),
    CONSTRAINT fk_vouches_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT fk_vouches_group_id_voucher_id FOREIGN KEY (group_id, voucher_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_vouches_key_version CHECK (key_version > 0),
    CONSTRAINT ck_vouches_entry_length CHECK (octet_length(entry) BETWEEN 41 AND 768)
)
"""

CARDS = """
CREATE TABLE device_cards (
    device_id uuid NOT NULL
        CONSTRAINT fk_device_cards_device_id REFERENCES devices ON DELETE CASCADE,
    group_id uuid NOT NULL,
    user_id uuid NOT NULL,
    key_version integer NOT NULL,
    sealed bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_device_cards PRIMARY KEY (device_id, group_id),
    CONSTRAINT fk_device_cards_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_device_cards_key_version CHECK (key_version > 0),
    CONSTRAINT ck_device_cards_sealed_length CHECK (octet_length(sealed) BETWEEN 41 AND 3072)
)
"""

INDEXES = [
    """
    CREATE INDEX ix_group_keys_counted_for_group_id_key_version
    ON group_keys (counted_for, group_id, key_version)
    """,
    "CREATE INDEX ix_vouches_voucher_device_id ON vouches (voucher_device_id)",
    "CREATE INDEX ix_vouches_group_id_user_id ON vouches (group_id, user_id)",
    "CREATE INDEX ix_vouches_group_id_voucher_id ON vouches (group_id, voucher_id)",
    "CREATE INDEX ix_device_cards_group_id_user_id ON device_cards (group_id, user_id)",
]

STAYS = """
CREATE TRIGGER a_version_stays BEFORE UPDATE {columns} ON group_keys
FOR EACH ROW WHEN (true) EXECUTE FUNCTION refuse()
"""
STANDING = "OF id, created_at, group_id, key_version, commitment, roster, statement"

GRANT = """
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM grant_rights_of_0023();
    IF to_regrole('draugar_api') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON vouches TO draugar_api;
        GRANT SELECT, INSERT, UPDATE ON device_cards TO draugar_api;
    END IF;
END $$
"""


def upgrade() -> None:
    for statement in (VERSIONS, VOUCHES, CARDS, *INDEXES):
        op.execute(statement)
    op.execute("DROP TRIGGER a_version_stays ON group_keys")
    op.execute(STAYS.format(columns=STANDING))
    op.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_0023")
    op.execute(GRANT)
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_rights()")
    op.execute("ALTER FUNCTION grant_rights_of_0023() RENAME TO grant_rights")
    op.execute("DROP TRIGGER a_version_stays ON group_keys")
    op.execute("ALTER TABLE group_keys DROP COLUMN statement, DROP COLUMN counted_for")
    op.execute(STAYS.format(columns=""))
    op.execute("DROP TABLE device_cards")
    op.execute("DROP TABLE vouches")
