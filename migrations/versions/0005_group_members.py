"""Who is in which group."""

from alembic import op

revision = "0005"
down_revision = "0004"

GROUP_MEMBERS = """
CREATE TABLE group_members (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_group_members PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    group_id uuid NOT NULL
        CONSTRAINT fk_group_members_group_id REFERENCES groups ON DELETE CASCADE,
    user_id uuid NOT NULL
        CONSTRAINT fk_group_members_user_id REFERENCES users ON DELETE CASCADE,
    role varchar NOT NULL,
    join_proof bytea,
    joined_at timestamptz NOT NULL DEFAULT now(),
    sharing_paused boolean NOT NULL DEFAULT false,
    sharing_resumes_at timestamptz,
    CONSTRAINT uq_group_members_group_id_user_id UNIQUE (group_id, user_id),
    CONSTRAINT ck_group_members_role CHECK (role IN ('admin', 'member')),
    CONSTRAINT ck_group_members_join_proof_length CHECK (octet_length(join_proof) = 32),
    CONSTRAINT ck_group_members_resumes_if_paused
        CHECK (sharing_resumes_at IS NULL OR sharing_paused)
)
"""


def upgrade() -> None:
    op.execute(GROUP_MEMBERS)
    op.execute("CREATE INDEX ix_group_members_user_id ON group_members (user_id)")


def downgrade() -> None:
    op.execute("DROP TABLE group_members")
