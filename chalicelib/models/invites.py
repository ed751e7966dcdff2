"""Invite codes, kept only as hashes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chalicelib.db.base import HASH_BYTES, Entity
from chalicelib.models.groups import Group
from chalicelib.models.users import User

KEY_PACKAGE_BYTES = 20 * 1024


class InviteCode(Entity):
    """A code that admits one person, once.

    Without a group it is a founding invite, whose redeemer founds one. `used_by` is emptied
    when its redeemer deletes the account, `used_at` never: a spent code stays spent. Made
    `for_creator` it admits a further device of whoever made it.
    """

    __tablename__ = "invite_codes"
    __table_args__ = (
        CheckConstraint(f"octet_length(code_hash) = {HASH_BYTES}", name="code_hash_length"),
        CheckConstraint(
            "(group_id IS NULL) = (created_by IS NULL)", name="founding_has_no_creator"
        ),
        CheckConstraint("used_by IS NULL OR used_at IS NOT NULL", name="used_at_of_used"),
        CheckConstraint("used_at IS NULL OR revoked_at IS NULL", name="used_or_revoked"),
        CheckConstraint("expires_at > created_at", name="expires_after_creation"),
        CheckConstraint(
            "idempotency_hash IS NULL"
            f" OR octet_length(idempotency_hash) = {HASH_BYTES} AND used_at IS NOT NULL",
            name="idempotency_of_used",
        ),
        CheckConstraint(
            "key_package IS NULL"
            f" OR octet_length(key_package) BETWEEN 1 AND {KEY_PACKAGE_BYTES}"
            " AND group_id IS NOT NULL AND key_version IS NOT NULL"
            " AND used_at IS NULL AND revoked_at IS NULL",
            name="key_package_of_live",
        ),
        CheckConstraint("key_version > 0", name="key_version"),
        CheckConstraint(
            "join_proof IS NULL"
            f" OR octet_length(join_proof) = {HASH_BYTES} AND used_at IS NOT NULL",
            name="join_proof_of_used",
        ),
        CheckConstraint("NOT for_creator OR created_by IS NOT NULL", name="for_a_creator"),
        Index(None, "group_id"),
        Index(None, "created_by"),
        Index(None, "used_by"),
        Index(None, "used_by_device_id"),
        Index(None, "expires_at", postgresql_where=text("used_at IS NULL")),
    )

    group_id: Mapped[UUID | None] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"))
    code_hash: Mapped[bytes] = mapped_column(unique=True)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    used_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    used_by_device_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("devices.id", ondelete="SET NULL")
    )
    used_at: Mapped[datetime | None]
    join_proof: Mapped[bytes | None]
    idempotency_hash: Mapped[bytes | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    key_package: Mapped[bytes | None]
    key_version: Mapped[int | None]
    for_creator: Mapped[bool] = mapped_column(server_default=false())

    group: Mapped[Group | None] = relationship(back_populates="invites", lazy="raise")
    creator: Mapped[User | None] = relationship(foreign_keys=[created_by], lazy="raise")
    redeemer: Mapped[User | None] = relationship(foreign_keys=[used_by], lazy="raise")
