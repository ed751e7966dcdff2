"""Validate the bound of 0016, under a lock that lets everyone read and post."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("ALTER TABLE locations VALIDATE CONSTRAINT ck_locations_encrypted_data_length")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE locations DROP CONSTRAINT ck_locations_encrypted_data_length,"
        " ADD CONSTRAINT ck_locations_encrypted_data_length"
        " CHECK (octet_length(encrypted_data) BETWEEN 41 AND 20480) NOT VALID"
    )
