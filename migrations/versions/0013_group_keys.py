"""Group keys that the service never sees, the envelopes that carry them, and proofs of joining.

The proof moves from the membership, where nothing has written it yet, to the invite that it
belongs to: a further device of a member joins by an invite too, and gets no membership by it.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

GROUP_KEYS = """
CREATE TABLE group_keys (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_group_keys PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    group_id uuid NOT NULL
        CONSTRAINT fk_group_keys_group_id REFERENCES groups ON DELETE CASCADE,
    key_version integer NOT NULL,
    commitment bytea NOT NULL,
    roster bytea,
    CONSTRAINT uq_group_keys_group_id_key_version UNIQUE (group_id, key_version),
    CONSTRAINT ck_group_keys_key_version CHECK (key_version > 0),
    CONSTRAINT ck_group_keys_commitment_length CHECK (octet_length(commitment) = 32),
    CONSTRAINT ck_group_keys_roster_length CHECK (octet_length(roster) BETWEEN 41 AND 16384)
)
"""

KEY_ENVELOPES = """
CREATE TABLE key_envelopes (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_key_envelopes PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    group_id uuid NOT NULL,
    key_version integer NOT NULL,
    user_id uuid NOT NULL,
    device_id uuid NOT NULL
        CONSTRAINT fk_key_envelopes_device_id REFERENCES devices ON DELETE CASCADE,
    wrapped_key bytea,
    wrapper_public_key bytea,
    wrapper_device_id uuid,
    roster_entry bytea,
    CONSTRAINT uq_key_envelopes_device_id_group_id_key_version
        UNIQUE (device_id, group_id, key_version),
    CONSTRAINT fk_key_envelopes_group_id_key_version FOREIGN KEY (group_id, key_version)
        REFERENCES group_keys (group_id, key_version) ON DELETE CASCADE,
    CONSTRAINT fk_key_envelopes_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_key_envelopes_wrapped_key_length CHECK (octet_length(wrapped_key) = 72),
    CONSTRAINT ck_key_envelopes_wrapper_public_key_length
        CHECK (octet_length(wrapper_public_key) = 32),
    CONSTRAINT ck_key_envelopes_roster_entry_length
        CHECK (octet_length(roster_entry) BETWEEN 41 AND 4096),
    CONSTRAINT ck_key_envelopes_wrapper_of_wrapped CHECK (
        (wrapped_key IS NULL) = (wrapper_public_key IS NULL)
        AND (wrapped_key IS NULL) = (wrapper_device_id IS NULL)
        AND (roster_entry IS NULL OR wrapped_key IS NOT NULL)
    )
)
"""

INDEXES = [
    "CREATE INDEX ix_key_envelopes_group_id_key_version ON key_envelopes (group_id, key_version)",
    "CREATE INDEX ix_key_envelopes_group_id_user_id ON key_envelopes (group_id, user_id)",
]

# A version stands as it was made; an envelope is sealed once, but for one that a device made for
# itself.
ONE_WAY = {
    ("group_keys", "a_version_stays"): "true",
    ("key_envelopes", "an_envelope_stays"): (
        "old.wrapper_device_id <> old.device_id"
        " OR (new.group_id, new.key_version, new.user_id, new.device_id)"
        " IS DISTINCT FROM (old.group_id, old.key_version, old.user_id, old.device_id)"
    ),
}

PROOFS = [
    "ALTER TABLE group_members DROP COLUMN join_proof",
    """
    ALTER TABLE invite_codes
        ADD COLUMN used_by_device_id uuid
            CONSTRAINT fk_invite_codes_used_by_device_id
            REFERENCES devices ON DELETE SET NULL,
        ADD COLUMN join_proof bytea,
        ADD CONSTRAINT ck_invite_codes_join_proof_of_used CHECK (
            join_proof IS NULL OR octet_length(join_proof) = 32 AND used_at IS NOT NULL
        )
    """,
    "CREATE INDEX ix_invite_codes_used_by_device_id ON invite_codes (used_by_device_id)",
]

NO_PROOFS = [
    "ALTER TABLE invite_codes DROP COLUMN used_by_device_id, DROP COLUMN join_proof",
    """
    ALTER TABLE group_members
        ADD COLUMN join_proof bytea,
        ADD CONSTRAINT ck_group_members_join_proof_length CHECK (octet_length(join_proof) = 32)
    """,
]

# What 0011 grants, and these tables.
GRANT = """
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM grant_rights_of_0011();
    IF to_regrole('draugar_api') IS NOT NULL THEN
        GRANT SELECT, INSERT ON group_keys TO draugar_api;
        GRANT SELECT, INSERT, UPDATE, DELETE ON key_envelopes TO draugar_api;
    END IF;
END $$
"""


def upgrade() -> None:
    for statement in (GROUP_KEYS, KEY_ENVELOPES, *INDEXES, *PROOFS):
        op.execute(statement)
    for (table, name), when in ONE_WAY.items():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table}"
            f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
        )
    op.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_0011")
    op.execute(GRANT)
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_rights()")
    op.execute("ALTER FUNCTION grant_rights_of_0011() RENAME TO grant_rights")
    op.execute("DROP TABLE key_envelopes")
    op.execute("DROP TABLE group_keys")
    for statement in NO_PROOFS:
        op.execute(statement)
