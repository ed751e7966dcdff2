"""Groups of people who share their locations."""

from alembic import op

revision = "0004"
down_revision = "0003"

GROUPS = """
CREATE TABLE groups (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_groups PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    name varchar NOT NULL,
    key_version integer NOT NULL DEFAULT 0,
    rotation_required boolean NOT NULL DEFAULT false,
    encryption varchar NOT NULL DEFAULT 'required',
    retention_days integer NOT NULL DEFAULT 30,
    CONSTRAINT ck_groups_name_length CHECK (char_length(name) BETWEEN 1 AND 64),
    CONSTRAINT ck_groups_key_version CHECK (key_version >= 0),
    CONSTRAINT ck_groups_rotation_of_a_key CHECK (NOT rotation_required OR key_version > 0),
    CONSTRAINT ck_groups_encryption CHECK (encryption IN ('required', 'optional')),
    CONSTRAINT ck_groups_retention_days CHECK (retention_days BETWEEN 1 AND 365)
)
"""


def upgrade() -> None:
    op.execute(GROUPS)


def downgrade() -> None:
    op.execute("DROP TABLE groups")
