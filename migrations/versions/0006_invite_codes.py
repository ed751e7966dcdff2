"""Invite codes, of which only hashes are kept."""

from alembic import op

revision = "0006"
down_revision = "0005"

INVITE_CODES = """
CREATE TABLE invite_codes (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_invite_codes PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    group_id uuid
        CONSTRAINT fk_invite_codes_group_id REFERENCES groups ON DELETE CASCADE,
    code_hash bytea NOT NULL CONSTRAINT uq_invite_codes_code_hash UNIQUE,
    created_by uuid
        CONSTRAINT fk_invite_codes_created_by REFERENCES users ON DELETE CASCADE,
    used_by uuid
        CONSTRAINT fk_invite_codes_used_by REFERENCES users ON DELETE SET NULL,
    used_at timestamptz,
    idempotency_hash bytea,
    expires_at timestamptz,
    revoked_at timestamptz,
    key_package bytea,
    key_version integer,
    for_creator boolean NOT NULL DEFAULT false,
    CONSTRAINT ck_invite_codes_code_hash_length CHECK (octet_length(code_hash) = 32),
    CONSTRAINT ck_invite_codes_founding_has_no_creator
        CHECK ((group_id IS NULL) = (created_by IS NULL)),
    CONSTRAINT ck_invite_codes_used_at_of_used CHECK (used_by IS NULL OR used_at IS NOT NULL),
    CONSTRAINT ck_invite_codes_used_or_revoked CHECK (used_at IS NULL OR revoked_at IS NULL),
    CONSTRAINT ck_invite_codes_expires_after_creation CHECK (expires_at > created_at),
    CONSTRAINT ck_invite_codes_idempotency_of_used CHECK (
        idempotency_hash IS NULL
        OR octet_length(idempotency_hash) = 32 AND used_at IS NOT NULL
    ),
    CONSTRAINT ck_invite_codes_key_package_of_live CHECK (
        key_package IS NULL
        OR octet_length(key_package) BETWEEN 1 AND 20480
        AND group_id IS NOT NULL AND key_version IS NOT NULL
        AND used_at IS NULL AND revoked_at IS NULL
    ),
    CONSTRAINT ck_invite_codes_key_version CHECK (key_version > 0),
    CONSTRAINT ck_invite_codes_for_a_creator CHECK (NOT for_creator OR created_by IS NOT NULL)
)
"""

INDEXES = [
    "CREATE INDEX ix_invite_codes_group_id ON invite_codes (group_id)",
    "CREATE INDEX ix_invite_codes_created_by ON invite_codes (created_by)",
    "CREATE INDEX ix_invite_codes_used_by ON invite_codes (used_by)",
    "CREATE INDEX ix_invite_codes_expires_at ON invite_codes (expires_at) WHERE used_at IS NULL",
]


def upgrade() -> None:
    op.execute(INVITE_CODES)
    for index in INDEXES:
        op.execute(index)


def downgrade() -> None:
    op.execute("DROP TABLE invite_codes")
