"""What the limiter remembers, in a table that no crash has to bring back."""

from alembic import op

revision = "0009"
down_revision = "0008"

RATE_LIMITS = """
CREATE UNLOGGED TABLE rate_limits (
    bucket varchar NOT NULL CONSTRAINT pk_rate_limits PRIMARY KEY,
    theoretical_arrival_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    op.execute(RATE_LIMITS)


def downgrade() -> None:
    op.execute("DROP TABLE rate_limits")
