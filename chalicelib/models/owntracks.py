"""What phones with OwnTracks say beside where they are, and what they have been told."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.db.base import Base, Entity, Timestamp
from chalicelib.models.locations import ACCURACY_METRES
from chalicelib.models.users import NAME_CHARACTERS, TID_PATTERN

FACE_CHARACTERS = 64 * 1024
DESCRIPTION_CHARACTERS = 256


class OwntracksCard(Base):
    """How a phone wants its person to be shown: a name and a picture, as base64."""

    __tablename__ = "owntracks_cards"
    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_CHARACTERS}", name="name_length"),
        CheckConstraint(f"octet_length(face) BETWEEN 1 AND {FACE_CHARACTERS}", name="face_length"),
    )

    device_id: Mapped[UUID] = mapped_column(
        ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str | None]
    face: Mapped[str | None]
    updated_at: Mapped[Timestamp]


class OwntracksTransition(Entity):
    """That a phone entered or left a region of its own, told to the others for a day."""

    __tablename__ = "owntracks_transitions"
    __table_args__ = (
        UniqueConstraint(
            "device_id",
            "occurred_at",
            "event",
            "description",
            name="uq_owntracks_transitions_told_once",
        ),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("event IN ('enter', 'leave')", name="event"),
        CheckConstraint(
            f"char_length(description) <= {DESCRIPTION_CHARACTERS}", name="description_length"
        ),
        CheckConstraint("latitude BETWEEN -90 AND 90", name="latitude"),
        CheckConstraint("longitude BETWEEN -180 AND 180", name="longitude"),
        CheckConstraint(f"accuracy BETWEEN 0 AND {ACCURACY_METRES}", name="accuracy"),
        Index(None, "group_id", "user_id"),
    )

    group_id: Mapped[UUID]
    user_id: Mapped[UUID]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    event: Mapped[str]
    description: Mapped[str]
    occurred_at: Mapped[datetime]
    waypoint_at: Mapped[datetime]
    latitude: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    longitude: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    accuracy: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)


class DepartedTid(Base):
    """The tid of a phone whose person is not in the group any more, kept from others for a time."""

    __tablename__ = "departed_tids"
    __table_args__ = (
        PrimaryKeyConstraint("group_id", "tid"),
        CheckConstraint(f"tid ~ '{TID_PATTERN}'", name="tid"),
    )

    group_id: Mapped[UUID] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"))
    tid: Mapped[str]
    departed_at: Mapped[Timestamp]


class OwntracksServed(Base):
    """What of a person a phone was given last, so that the next answer brings something else.

    `transition_id` is the newest transition of that person that the phone was told of.
    """

    __tablename__ = "owntracks_served"
    __table_args__ = (PrimaryKeyConstraint("device_id", "user_id"), Index(None, "user_id"))

    device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    sealed_served_at: Mapped[datetime | None]
    card_served_at: Mapped[datetime | None]
    transition_id: Mapped[UUID | None]
