"""People."""

from alembic import op

revision = "0002"
down_revision = "0001"

USERS = """
CREATE TABLE users (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_users PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    name varchar NOT NULL,
    CONSTRAINT ck_users_name_length CHECK (char_length(name) BETWEEN 1 AND 64)
)
"""


def upgrade() -> None:
    op.execute(USERS)


def downgrade() -> None:
    op.execute("DROP TABLE users")
