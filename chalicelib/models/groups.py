"""Groups and who is in them."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chalicelib.db.base import Entity
from chalicelib.models.users import NAME_CHARACTERS

if TYPE_CHECKING:
    from chalicelib.models.invites import InviteCode
    from chalicelib.models.users import User


class Group(Entity):
    """People who share their locations with each other.

    `key_version` 0 means that no member has made a group key yet; `encryption` says whether
    plaintext is accepted, and once `required` stays so; `browsers`, whether devices that run in
    one may join.
    """

    __tablename__ = "groups"
    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_CHARACTERS}", name="name_length"),
        CheckConstraint("key_version >= 0", name="key_version"),
        CheckConstraint("NOT rotation_required OR key_version > 0", name="rotation_of_a_key"),
        CheckConstraint("encryption IN ('required', 'optional')", name="encryption"),
        CheckConstraint("retention_days BETWEEN 1 AND 365", name="retention_days"),
        CheckConstraint("browsers IN ('accepted', 'refused')", name="browsers"),
    )

    name: Mapped[str]
    key_version: Mapped[int] = mapped_column(server_default=text("0"))
    rotation_required: Mapped[bool] = mapped_column(server_default=false())
    encryption: Mapped[str] = mapped_column(server_default="required")
    retention_days: Mapped[int] = mapped_column(server_default=text("30"))
    browsers: Mapped[str] = mapped_column(server_default="accepted")

    members: Mapped[list["Member"]] = relationship(back_populates="group", lazy="raise")
    invites: Mapped[list["InviteCode"]] = relationship(back_populates="group", lazy="raise")


class Member(Entity):
    """One person's membership of one group; their points go when it goes.

    Sharing is paused while `sharing_paused` holds and `sharing_resumes_at` has not come.
    """

    __tablename__ = "group_members"
    __table_args__ = (
        UniqueConstraint("group_id", "user_id"),
        CheckConstraint("role IN ('admin', 'member')", name="role"),
        CheckConstraint("sharing_resumes_at IS NULL OR sharing_paused", name="resumes_if_paused"),
        Index(None, "user_id"),
    )

    group_id: Mapped[UUID] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    role: Mapped[str]
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sharing_paused: Mapped[bool] = mapped_column(server_default=false())
    sharing_resumes_at: Mapped[datetime | None]

    group: Mapped[Group] = relationship(back_populates="members", lazy="raise")
    user: Mapped["User"] = relationship(back_populates="memberships", lazy="raise")
