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

from chalicelib.db.base import HASH_BYTES, Base, Entity, Timestamp

WRAPPED_KEY_BYTES = 72
"""Nonce 24 + authentication tag 16 + key 32."""

ROSTER_BYTES = (41, 16 * 1024)
ROSTER_ENTRY_BYTES = (41, 4 * 1024)
STATEMENT_BYTES = (41, 56 * 1024)
VOUCH_BYTES = (41, 768)
CARD_BYTES = (41, 3 * 1024)
FORMER_BYTES = (41, 256)
"""Sealed: nonce 24 + authentication tag 16 + at least one byte."""


class GroupKey(Entity):
    """That a group's key had a version, made by a member's device.

    The commitment lets every member check that all hold the same key. The roster, and the
    statement, which is signed too, say under that key which devices its author has confirmed.
    `counted_for` is the person in whose number of versions a day it counts: nobody where it was
    required, or that person has deleted the account.
    """

    __tablename__ = "group_keys"
    __table_args__ = (
        UniqueConstraint("group_id", "key_version"),
        CheckConstraint("key_version > 0", name="key_version"),
        CheckConstraint(f"octet_length(commitment) = {HASH_BYTES}", name="commitment_length"),
        CheckConstraint(
            "octet_length(roster) BETWEEN {} AND {}".format(*ROSTER_BYTES), name="roster_length"
        ),
        CheckConstraint(
            "octet_length(statement) BETWEEN {} AND {}".format(*STATEMENT_BYTES),
            name="statement_length",
        ),
        Index(None, "counted_for", "group_id", "key_version"),
    )

    group_id: Mapped[UUID] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"))
    key_version: Mapped[int]
    commitment: Mapped[bytes]
    roster: Mapped[bytes | None]
    statement: Mapped[bytes | None]
    counted_for: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class KeyEnvelope(Entity):
    """That a device is confirmed in a version of a group's key, and the key wrapped for it.

    Of several envelopes for one device and version this is the oldest. There is no wrapped key
    while a device that came by a key package has not wrapped the key to itself yet. The wrapper's
    public key is a copy, for the wrapper may delete its account. An envelope goes with its device,
    or with the membership that it belongs to.
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
        CheckConstraint(
            "former IS NULL OR octet_length(former) BETWEEN {} AND {}"
            " AND wrapped_key IS NOT NULL".format(*FORMER_BYTES),
            name="former_of_wrapped",
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
    former: Mapped[bytes | None]


class FurtherEnvelope(Entity):
    """A key wrapped once more for a device, by another device than the one that did so first.

    So that no wrapper keeps a device out by wrapping rubbish. Each wrapper has one envelope.
    """

    __tablename__ = "further_envelopes"
    __table_args__ = (
        UniqueConstraint(
            "device_id",
            "group_id",
            "key_version",
            "wrapper_device_id",
            name="uq_further_envelopes_of_each_wrapper",
        ),
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
            "octet_length(former) BETWEEN {} AND {}".format(*FORMER_BYTES), name="former_length"
        ),
        Index(None, "group_id", "key_version"),
        Index(None, "group_id", "user_id"),
    )

    group_id: Mapped[UUID]
    key_version: Mapped[int]
    user_id: Mapped[UUID]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    wrapped_key: Mapped[bytes]
    wrapper_public_key: Mapped[bytes]
    wrapper_device_id: Mapped[UUID]
    roster_entry: Mapped[bytes | None]
    former: Mapped[bytes | None]


class Vouch(Entity):
    """What a member's device states of another one that it has confirmed, signed and sealed.

    It is of the group's present version: the next one has a statement of its own.
    """

    __tablename__ = "vouches"
    __table_args__ = (
        UniqueConstraint("device_id", "group_id", "voucher_device_id"),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["group_id", "voucher_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("key_version > 0", name="key_version"),
        CheckConstraint(
            "octet_length(entry) BETWEEN {} AND {}".format(*VOUCH_BYTES), name="entry_length"
        ),
        Index(None, "voucher_device_id"),
        Index(None, "group_id", "user_id"),
        Index(None, "group_id", "voucher_id"),
    )

    group_id: Mapped[UUID]
    key_version: Mapped[int]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    user_id: Mapped[UUID]
    voucher_device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    voucher_id: Mapped[UUID]
    entry: Mapped[bytes]


class DeviceCard(Base):
    """What a device states of its person in a group, signed and sealed under a key version."""

    __tablename__ = "device_cards"
    __table_args__ = (
        PrimaryKeyConstraint("device_id", "group_id"),
        ForeignKeyConstraint(
            ["group_id", "user_id"],
            ["group_members.group_id", "group_members.user_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("key_version > 0", name="key_version"),
        CheckConstraint(
            "octet_length(sealed) BETWEEN {} AND {}".format(*CARD_BYTES), name="sealed_length"
        ),
        Index(None, "group_id", "user_id"),
    )

    device_id: Mapped[UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    group_id: Mapped[UUID]
    user_id: Mapped[UUID]
    key_version: Mapped[int]
    sealed: Mapped[bytes]
    updated_at: Mapped[Timestamp]


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
