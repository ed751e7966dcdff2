"""People and the devices that act for them."""

from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chalicelib.db.base import HASH_BYTES, Entity

if TYPE_CHECKING:
    from chalicelib.models.groups import Member

NAME_CHARACTERS = 64

TID_PATTERN = "^[A-Za-z0-9]{2}$"
"""Android cuts longer ones."""


class User(Entity):
    """A person, known by a name that the members of their groups see."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_CHARACTERS}", name="name_length"),
    )

    name: Mapped[str]

    devices: Mapped[list["Device"]] = relationship(back_populates="user", lazy="raise")
    memberships: Mapped[list["Member"]] = relationship(back_populates="user", lazy="raise")


class Device(Entity):
    """One phone, tablet or program that acts for a person, with a token of its own.

    `last_used_on` is a date, so that it says no more than the idle limit needs. A phone with
    OwnTracks has one group, in which its `tid` is all that it is known by; `key_version` is that
    of the group's key it was set up with, 0 for none. An app may run `in_browser`.
    """

    __tablename__ = "devices"
    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_CHARACTERS}", name="name_length"),
        CheckConstraint("kind IN ('app', 'owntracks')", name="kind"),
        CheckConstraint("NOT in_browser OR kind = 'app'", name="in_browser_is_app"),
        CheckConstraint("octet_length(public_key) = 32", name="public_key_length"),
        CheckConstraint(f"octet_length(token_hash) = {HASH_BYTES}", name="token_hash_length"),
        CheckConstraint("(tid IS NOT NULL) = (kind = 'owntracks')", name="tid_of_owntracks"),
        CheckConstraint("(group_id IS NOT NULL) = (kind = 'owntracks')", name="group_of_owntracks"),
        CheckConstraint(
            "(key_version IS NOT NULL) = (kind = 'owntracks')", name="key_version_of_owntracks"
        ),
        CheckConstraint("key_version >= 0", name="key_version"),
        CheckConstraint(f"tid ~ '{TID_PATTERN}'", name="tid"),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        Index(None, "user_id"),
        Index(None, "group_id", "user_id"),
        Index(None, "group_id", "tid", unique=True, postgresql_where=text("revoked_at IS NULL")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    kind: Mapped[str]
    public_key: Mapped[bytes | None]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    tid: Mapped[str | None]
    last_used_on: Mapped[date] = mapped_column(server_default=func.current_date())
    revoked_at: Mapped[datetime | None]
    group_id: Mapped[UUID | None]
    key_version: Mapped[int | None]
    in_browser: Mapped[bool] = mapped_column(server_default=false())

    user: Mapped[User] = relationship(back_populates="devices", lazy="raise")
