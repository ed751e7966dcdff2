"""Keep the envelopes of several members for one device and version.

There was room for one, so whoever put rubbish there first kept the device out. The former release
goes on with the table that it knows, which keeps the oldest envelope; those of further wrappers
stand in a table of their own.

`former` is what a wrapper has sealed beside a former key for a device of their own.
"""

from alembic import op

revision = "0023"
down_revision = "0022"

FORMER = """
ALTER TABLE key_envelopes
    ADD COLUMN former bytea,
    ADD CONSTRAINT ck_key_envelopes_former_of_wrapped CHECK (
        former IS NULL OR octet_length(former) BETWEEN 41 AND 256 AND wrapped_key IS NOT NULL
    )
"""

FURTHER = """
CREATE TABLE further_envelopes (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_further_envelopes PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    group_id uuid NOT NULL,
    key_version integer NOT NULL,
    user_id uuid NOT NULL,
    device_id uuid NOT NULL
        CONSTRAINT fk_further_envelopes_device_id REFERENCES devices ON DELETE CASCADE,
    wrapped_key bytea NOT NULL,
    wrapper_public_key bytea NOT NULL,
    wrapper_device_id uuid NOT NULL,
    roster_entry bytea,
    former bytea,
    CONSTRAINT uq_further_envelopes_of_each_wrapper
        UNIQUE (device_id, group_id, key_version, wrapper_device_id),
    CONSTRAINT fk_further_envelopes_group_id_key_version FOREIGN KEY (group_id, key_version)
        REFERENCES group_keys (group_id, key_version) ON DELETE CASCADE,
    CONSTRAINT fk_further_envelopes_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_further_envelopes_wrapped_key_length CHECK (octet_length(wrapped_key) = 72),
    CONSTRAINT ck_further_envelopes_wrapper_public_key_length
        CHECK (octet_length(wrapper_public_key) = 32),
    CONSTRAINT ck_further_envelopes_roster_entry_length
        CHECK (octet_length(roster_entry) BETWEEN 41 AND 4096),
    CONSTRAINT ck_further_envelopes_former_length
        CHECK (octet_length(former) BETWEEN 41 AND 256)
)
"""

INDEXES = [
    """
    CREATE INDEX ix_further_envelopes_group_id_key_version
    ON further_envelopes (group_id, key_version)
    """,
    "CREATE INDEX ix_further_envelopes_group_id_user_id ON further_envelopes (group_id, user_id)",
]

STAYS = """
CREATE TRIGGER a_further_envelope_stays BEFORE UPDATE ON further_envelopes
FOR EACH ROW WHEN (true) EXECUTE FUNCTION refuse()
"""

GRANT = """
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM grant_rights_of_0022();
    IF to_regrole('draugar_api') IS NOT NULL THEN
        GRANT SELECT, INSERT, DELETE ON further_envelopes TO draugar_api;
    END IF;
END $$
"""


def upgrade() -> None:
    for statement in (FORMER, FURTHER, *INDEXES, STAYS):
        op.execute(statement)
    op.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_0022")
    op.execute(GRANT)
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_rights()")
    op.execute("ALTER FUNCTION grant_rights_of_0022() RENAME TO grant_rights")
    op.execute("DROP TABLE further_envelopes")
    op.execute("ALTER TABLE key_envelopes DROP COLUMN former")
