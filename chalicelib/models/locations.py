"""Where people were, in the clear or sealed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint, func
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.db.base import HASH_BYTES, Base

CIPHERTEXT_BYTES = (41, 20 * 1024)
"""The least is nonce 24 + authentication tag 16 + one byte.

The most is that of an OwnTracks message: as much as an app's point, and a picture of 12 KiB, which
is 16 KiB of base64. iOS attaches one to a point of interest.
"""

ACCURACY_METRES = 20_037_508
"""Half of the Earth's girth: nobody can be further from where they are said to be."""


class ErasedPoint(Base):
    """That a point was erased, so that a device that repeats it does not bring it back.

    `digest` is the SHA-256 of the point's id, or of what a phone with OwnTracks sealed. It says
    neither when nor where the person was.
    """

    __tablename__ = "erased_points"
    __table_args__ = (
        PrimaryKeyConstraint("group_id", "user_id", "digest"),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint(f"octet_length(digest) = {HASH_BYTES}", name="digest_length"),
    )

    group_id: Mapped[UUID]
    user_id: Mapped[UUID]
    digest: Mapped[bytes]
    erased_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Location(Base):
    """One point of one person in one group: either plaintext whole or ciphertext.

    Partitioned by month of `recorded_at`, which is the time in the UUID v7 `id`. The one foreign
    key makes a person's points leave with them. `latitude` and `longitude` are WGS 84 degrees,
    `accuracy` is a radius in metres.
    """

    __tablename__ = "locations"
    __table_args__ = (
        # In this order one index serves uniqueness, latest, history and spreading by group.
        PrimaryKeyConstraint("group_id", "user_id", "recorded_at", "id"),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint(
            "CASE WHEN encrypted_data IS NULL"
            " THEN latitude IS NOT NULL AND longitude IS NOT NULL AND accuracy IS NOT NULL"
            " AND key_version IS NULL"
            " ELSE latitude IS NULL AND longitude IS NULL AND accuracy IS NULL"
            " AND key_version IS NOT NULL END",
            name="plaintext_or_ciphertext",
        ),
        CheckConstraint("latitude BETWEEN -90 AND 90", name="latitude"),
        CheckConstraint("longitude BETWEEN -180 AND 180", name="longitude"),
        CheckConstraint(f"accuracy BETWEEN 0 AND {ACCURACY_METRES}", name="accuracy"),
        CheckConstraint(
            "octet_length(encrypted_data) BETWEEN {} AND {}".format(*CIPHERTEXT_BYTES),
            name="encrypted_data_length",
        ),
        CheckConstraint("key_version > 0", name="key_version"),
        CheckConstraint("recorded_at = uuid_time(id)", name="time_of_id"),
        {"postgresql_partition_by": "RANGE (recorded_at)"},
    )

    group_id: Mapped[UUID]
    user_id: Mapped[UUID]
    recorded_at: Mapped[datetime]
    id: Mapped[UUID]
    device_id: Mapped[UUID]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    latitude: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    longitude: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    accuracy: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    encrypted_data: Mapped[bytes | None]
    key_version: Mapped[int | None]
