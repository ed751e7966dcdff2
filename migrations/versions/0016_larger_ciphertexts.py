"""Keep sealed messages of up to 20 KiB: OwnTracks for iOS attaches a picture to a point.

The bound of 4096 bytes is that of an app's own points, whose route refuses larger ones; a phone is
refused nothing, so its larger messages were lost. The new bound is not validated here: that reads
all points, which would keep everyone from posting meanwhile. 0017 does it.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

BOUND = """
ALTER TABLE locations
    DROP CONSTRAINT ck_locations_encrypted_data_length,
    ADD CONSTRAINT ck_locations_encrypted_data_length
        CHECK (octet_length(encrypted_data) BETWEEN 41 AND {}) {}
"""


def upgrade() -> None:
    op.execute(BOUND.format(20480, "NOT VALID"))


def downgrade() -> None:
    # The former release can read none of them.
    op.execute("DELETE FROM locations WHERE octet_length(encrypted_data) > 4096")
    op.execute(BOUND.format(4096, ""))
