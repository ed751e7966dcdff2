"""Group keys, which the service never sees, and the envelopes that carry them."""

from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.db.base import HASH_BYTES, Base, Entity

WRAPPED_KEY_BYTES = 72
"""Nonce 24 + authentication tag 16 + key 32."""

ROSTER_BYTES = (41, 16 * 1024)
ROSTER_ENTRY_BYTES = (41, 4 * 1024)
"""Sealed: nonce 24 + authentication tag 16 + at least one byte."""


class GroupKey(Entity):
    """That a group's key had a version, made by a member's device.

    The commitment lets every member check that all hold the same key. The roster, sealed under
    that key, says which devices its author has confirmed.
    """

    __tablename__ = "group_keys"
    __table_args__ = (
        UniqueConstraint("group_id", "key_version"),
        CheckConstraint("key_version > 0", name="key_version"),
        CheckConstraint(f"octet_length(commitment) = {HASH_BYTES}", name="commitment_length"),
        CheckConstraint(
            "octet_length(roster) BETWEEN {} AND {}".format(*ROSTER_BYTES), name="roster_length"
        ),
    )

    group_id: Mapped[UUID] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"))
    key_version: Mapped[int]
    commitment: Mapped[bytes]
    roster: Mapped[bytes | None]


class KeyEnvelope(Entity):
    """That a device is confirmed in a version of a group's key, and the key wrapped for it.

    There is no wrapped key while a device that came by a key package has not wrapped the key to
    itself yet. The wrapper's public key is a copy, for the wrapper may delete its account. An
    envelope goes with its device, or with the membership that it belongs to.
    """

    __tablename__ = "key_envelopes"
    __table_args__ = (
        # In this order one index serves uniqueness, the foreign key and the question who may act.
        UniqueConstraint("device_id", "group_id", "key_version"),
        ForeignKeyConstraint(
            ["group_id", "key_version"],
            ["group_keys.group_id", "group_keys.key_version"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint(
            f"octet_length(wrapped_key) = {WRAPPED_KEY_BYTES}", name="wrapped_key_length"
        ),
        CheckConstraint("octet_length(wrapper_public_key) = 32", name="wrapper_public_key_length"),
        CheckConstraint(
            "octet_length(roster_entry) BETWEEN {} AND {}".format(*ROSTER_ENTRY_BYTES),
            name="roster_entry_length",
        ),
        CheckConstraint(
            "(wrapped_key IS NULL) = (wrapper_public_key IS NULL)"
            " AND (wrapped_key IS NULL) = (wrapper_device_id IS NULL)"
            " AND (roster_entry IS NULL OR wrapped_key IS NOT NULL)",
            name="wrapper_of_wrapped",
        ),
        Index(None, "group_id", "key_version"),
        Index(None, "group_id", "user_id"),
    )

    group_id: Mapped[UUID]
    key_version: Mapped[int]
    user_id: Mapped[UUID]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    wrapped_key: Mapped[bytes | None]
    wrapper_public_key: Mapped[bytes | None]
    wrapper_device_id: Mapped[UUID | None]
    roster_entry: Mapped[bytes | None]


class GivenKey(Base):
    """That a device was given a version of a group's key, whether it still has the envelope or not.

    The database writes it with each envelope, also with one that a redeemed key package makes. It
    decides whether a departure requires a new key, and which devices may make one. It goes with its
    device, or with the membership that it belongs to.
    """

    __tablename__ = "given_keys"
    __table_args__ = (
        PrimaryKeyConstraint("device_id", "group_id", "key_version"),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("key_version > 0", name="key_version"),
        Index(None, "group_id", "user_id"),
    )

    device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    group_id: Mapped[UUID]
    key_version: Mapped[int]
    user_id: Mapped[UUID]
