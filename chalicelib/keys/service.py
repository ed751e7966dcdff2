"""Group keys: made, wrapped and opened by members' devices alone.

The service checks versions, lengths and who may do what. It computes no cryptography, and whom it
calls confirmed is never a reason for a client to wrap a key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chalicelib import auth
from chalicelib.auth import Caller, Credential
from chalicelib.db import OneStatement, Session
from chalicelib.errors import Conflict, Invalid, NotFound, TooManyRequests, Unauthenticated
from chalicelib.groups import service as groups
from chalicelib.groups.service import GroupKeyMissing, KeyVersionConflict, NotConfirmed
from chalicelib.keys import queries


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A group key, wrapped for one device, and what its wrapper says of that device, sealed."""

    device_id: UUID
    wrapped_key: bytes = field(repr=False)
    roster_entry: bytes | None = None
    former: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class NewVersion:
    """A key that a member's device has made, as far as the service may know it."""

    expected_version: int
    commitment: bytes
    roster: bytes | None
    statement: bytes | None
    envelopes: Sequence[Envelope]


class KeyPending(NotFound):
    """Nobody has wrapped the group's key for the calling device yet."""

    code = "key_pending"
    detail = "Nobody has confirmed this device yet. Ask a member of the group to."


class PublicKeySet(Conflict):
    """A device's public key is written once; a new key is a new device."""

    code = "public_key_set"
    detail = "This device has another public key already. A new key is a new device."


class SurplusDevices(Invalid):
    """Envelopes go to valid devices of current members that have a public key."""

    code = "surplus_devices"

    def __init__(self, device_ids: Sequence[UUID]) -> None:
        super().__init__(
            "envelopes: not for these devices, which are no member's, revoked or without a public"
            f" key: {', '.join(map(str, device_ids))}"
        )


class OwnEnvelopeMissing(Invalid):
    """Whoever makes a key keeps it."""

    code = "own_envelope_missing"
    detail = "envelopes: one of them should be for the calling device."


class KeyVersionNotFound(NotFound):
    """The group's key never had this version."""

    code = "key_version_not_found"
    detail = "This group's key has no such version."


class RecipientNotFound(NotFound):
    """No valid device with a public key, or none of a member."""

    code = "recipient_not_found"
    detail = "There is no such device with a public key in this group."


class EnvelopeExists(Conflict):
    """The device has an envelope of this version, which stays."""

    code = "envelope_exists"
    detail = "This device has been given the key already."


class EnvelopeNotFound(NotFound):
    """The calling device has no such envelope; another's cannot be deleted."""

    code = "envelope_not_found"
    detail = "This device has no such envelope."


def rotate(session: Session, *, caller: Caller, group_id: UUID, version: NewVersion) -> int:
    """Give a group its next key; return its version.

    Of several at once one wins. Devices without an envelope are pending from then on. A device
    that was ever given a version may make the next, so that no member shuts all others out for
    long. Where no confirmed device is left, an admin's may begin anew. One that is required is
    never too many.

    Raises GroupNotFound, KeyVersionConflict, NotConfirmed, OwnEnvelopeMissing, SurplusDevices,
    TooManyRequests, Unauthenticated.
    """
    membership = groups.enter(session, caller=caller, group_id=group_id)
    if membership.key_version != version.expected_version:
        raise KeyVersionConflict.with_present(membership.key_version)
    devices = queries.list_recipients(session, group_id=group_id)
    may_begin_anew = membership.is_admin and not any(
        device.is_confirmed for device in devices.values()
    )
    was_given = caller.device_id in devices and devices[caller.device_id].was_given
    if not (membership.is_confirmed or was_given or may_begin_anew):
        raise NotConfirmed
    counted_for = None if membership.rotation_required else caller.user_id
    if counted_for is not None:
        wait = queries.wait_for_version(session, group_id=group_id, user_id=counted_for)
        if wait:
            raise TooManyRequests(retry_after=wait)
    sent = {envelope.device_id: envelope.wrapped_key for envelope in version.envelopes}
    surplus = [id_ for id_ in sent if id_ not in devices or devices[id_].public_key is None]
    if surplus:
        raise SurplusDevices(surplus)
    if caller.device_id not in sent:
        raise OwnEnvelopeMissing
    queries.create_version(
        session,
        group_id=group_id,
        key_version=membership.key_version + 1,
        commitment=version.commitment,
        roster=version.roster,
        statement=version.statement,
        counted_for=counted_for,
        envelopes=[
            {
                "user_id": devices[id_].user_id,
                "device_id": id_,
                "wrapped_key": wrapped_key,
                "wrapper_public_key": devices[caller.device_id].public_key,
                "wrapper_device_id": caller.device_id,
            }
            for id_, wrapped_key in sent.items()
        ],
    )
    return membership.key_version + 1


def list_keys(
    connection: OneStatement, *, credential: Credential, group_id: UUID, newest: int | None
) -> Any:
    """Return a group's versions, and what the calling device was given: a row of `LIST_KEYS`.

    With `newest` a page of them in form 2, from that version down: of `LIST_KEYS_IN_FORM_2`.
    Raises GroupNotFound, Unauthenticated.
    """
    statement = queries.LIST_KEYS if newest is None else queries.LIST_KEYS_IN_FORM_2
    asked = {"asked_group_id": group_id, "newest_shown": newest}
    row = auth.read(connection, statement, credential, asked)[0]
    if row.group_id is None:
        raise groups.GroupNotFound
    return row


def list_pending(
    connection: OneStatement, *, credential: Credential, group_id: UUID
) -> list[dict[str, Any]]:
    """Return the devices that wait for the group's present key.

    Raises GroupNotFound, NotConfirmed, Unauthenticated.
    """
    row = auth.read(connection, queries.LIST_PENDING, credential, {"asked_group_id": group_id})[0]
    groups.resolve_named(row)
    return row.devices or []


def put_envelope(  # noqa: PLR0913 -- each by its name
    session: Session,
    *,
    caller: Caller,
    group_id: UUID,
    key_version: int,
    envelope: Envelope,
    beside_others: bool,
) -> None:
    """Give a device a key that the calling device holds; the same again does no harm.

    A device has one envelope of each wrapper, if it stands `beside_others`; if not, the first one
    stays the only one. A device that came by key package gives it to itself, once; then another
    member may do it again, with a roster entry.

    Raises EnvelopeExists, GroupNotFound, KeyVersionNotFound, NotConfirmed, RecipientNotFound,
    Unauthenticated.
    """
    groups.enter_confirmed(session, caller=caller, group_id=group_id)
    found = queries.find_wrapping(
        session,
        group_id=group_id,
        key_version=key_version,
        wrapper_id=caller.device_id,
        recipient_id=envelope.device_id,
    )
    if not found.version_exists:
        raise KeyVersionNotFound
    if not found.holds_key:
        raise NotConfirmed
    if found.user_id is None or found.public_key is None:
        raise RecipientNotFound
    if found.wrapped_key == envelope.wrapped_key:
        return
    if beside_others and found.further_key == envelope.wrapped_key:
        return
    has_wrapped = caller.device_id == found.wrapper_device_id or found.further_key is not None
    # What a device has wrapped for itself gives way to a member who vouches for it: its roster
    # entry is how the others learn whom the inviter has recognised.
    is_vouched_for = found.is_own and envelope.roster_entry is not None
    if found.wrapped_key is not None and (has_wrapped or not (beside_others or is_vouched_for)):
        raise EnvelopeExists
    keep = queries.put_envelope
    if beside_others and found.wrapped_key is not None:
        keep = queries.add_envelope
    keep(
        session,
        group_id=group_id,
        key_version=key_version,
        user_id=found.user_id,
        device_id=envelope.device_id,
        wrapped_key=envelope.wrapped_key,
        wrapper_public_key=found.public_key,
        wrapper_device_id=caller.device_id,
        roster_entry=envelope.roster_entry,
        former=envelope.former,
    )


def vouch(  # noqa: PLR0913 -- each by its name
    session: Session,
    *,
    caller: Caller,
    group_id: UUID,
    key_version: int,
    device_id: UUID,
    entry: bytes,
) -> None:
    """Keep what the calling device states of another one, under the group's present key.

    Raises GroupNotFound, KeyVersionConflict, NotConfirmed, RecipientNotFound, Unauthenticated.
    """
    _enter_with_key(session, caller=caller, group_id=group_id, key_version=key_version)
    if not queries.put_vouch(
        session,
        group_id=group_id,
        key_version=key_version,
        device_id=device_id,
        voucher_device_id=caller.device_id,
        voucher_id=caller.user_id,
        entry=entry,
    ):
        raise RecipientNotFound


def put_card(
    session: Session, *, caller: Caller, group_id: UUID, key_version: int, sealed: bytes
) -> None:
    """Keep what the calling device states of its person, under the group's present key.

    Raises GroupNotFound, KeyVersionConflict, NotConfirmed, Unauthenticated.
    """
    _enter_with_key(session, caller=caller, group_id=group_id, key_version=key_version)
    queries.put_card(
        session,
        group_id=group_id,
        user_id=caller.user_id,
        device_id=caller.device_id,
        key_version=key_version,
        sealed=sealed,
    )


def _enter_with_key(session: Session, *, caller: Caller, group_id: UUID, key_version: int) -> None:
    """Lock a group for a confirmed device that has the present key in hand.

    Raises GroupNotFound, KeyVersionConflict, NotConfirmed, Unauthenticated.
    """
    membership = groups.enter_confirmed(session, caller=caller, group_id=group_id)
    if membership.key_version != key_version:
        raise KeyVersionConflict.with_present(membership.key_version)


def delete_envelope(
    session: Session, *, caller: Caller, group_id: UUID, key_version: int, device_id: UUID
) -> None:
    """Give back an envelope that does not open, the oldest of its version.

    The next takes its place; without one the calling device is pending again.

    Raises EnvelopeNotFound, GroupNotFound, Unauthenticated.
    """
    groups.enter(session, caller=caller, group_id=group_id)
    if device_id != caller.device_id or not queries.delete_envelope(
        session, group_id=group_id, key_version=key_version, device_id=device_id
    ):
        raise EnvelopeNotFound


def register_key(session: Session, *, caller: Caller, public_key: bytes) -> None:
    """Set the public key, once, of a calling device that was authenticated `alone`.

    Raises PublicKeySet, TooManyDevices, TooManyDevicesInGroup, Unauthenticated.
    """
    written = queries.set_public_key(session, caller=caller, public_key=public_key)
    if written is None:
        raise Unauthenticated
    if written.public_key != public_key:
        raise PublicKeySet
    if written.is_new:
        groups.check_devices(written, more=1)


def find_newest(connection: OneStatement, *, credential: Credential) -> Any:
    """Return the newest envelope of the calling device that carries a present key.

    A row with `wrapped_key`, `wrapper_public_key` and `key_version`.
    Raises GroupKeyMissing, KeyPending, Unauthenticated.
    """
    row = auth.read(connection, queries.FIND_NEWEST, credential)[0]
    if row.wrapped_key is None:
        raise KeyPending if row.is_pending else GroupKeyMissing
    return row
