"""The devices that act for people, each with a token of its own."""

from alembic import op

revision = "0003"
down_revision = "0002"

DEVICES = """
CREATE TABLE devices (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_devices PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    user_id uuid NOT NULL
        CONSTRAINT fk_devices_user_id REFERENCES users ON DELETE CASCADE,
    name varchar NOT NULL,
    kind varchar NOT NULL,
    public_key bytea,
    token_hash bytea NOT NULL CONSTRAINT uq_devices_token_hash UNIQUE,
    tid varchar,
    last_used_on date NOT NULL DEFAULT CURRENT_DATE,
    revoked_at timestamptz,
    CONSTRAINT ck_devices_name_length CHECK (char_length(name) BETWEEN 1 AND 64),
    CONSTRAINT ck_devices_kind CHECK (kind IN ('app', 'owntracks')),
    CONSTRAINT ck_devices_public_key_length CHECK (octet_length(public_key) = 32),
    CONSTRAINT ck_devices_token_hash_length CHECK (octet_length(token_hash) = 32),
    CONSTRAINT ck_devices_tid_of_owntracks CHECK ((tid IS NOT NULL) = (kind = 'owntracks'))
)
"""


def upgrade() -> None:
    op.execute(DEVICES)
    op.execute("CREATE INDEX ix_devices_user_id ON devices (user_id)")


def downgrade() -> None:
    op.execute("DROP TABLE devices")
