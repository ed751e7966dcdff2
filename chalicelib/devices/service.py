"""Devices: list, add, revoke one's own."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from string import ascii_lowercase, digits
from typing import Any
from uuid import UUID

from chalicelib import auth
from chalicelib.auth import Caller, Credential
from chalicelib.auth import queries as people
from chalicelib.auth.credentials import hash_token, make_token
from chalicelib.db import OneStatement, Session
from chalicelib.devices import queries
from chalicelib.errors import Conflict, NotFound, Unavailable
from chalicelib.groups import queries as groups
from chalicelib.groups import service as memberships
from chalicelib.groups.service import RotationRequired


@dataclass(frozen=True, kw_only=True)
class NewPhone:
    """What is asked for beside the name when the device is a phone with OwnTracks."""

    group_id: UUID | None
    tid: str | None


@dataclass(frozen=True, kw_only=True)
class NewDevice:
    """A device just added, with the only copy of its token. A phone has a `tid`."""

    id: UUID
    name: str
    token: str = field(repr=False)
    tid: str | None = None


class DeviceNotFound(NotFound):
    """The caller has no such device."""

    code = "device_not_found"
    detail = "You have no such device."


class TidTaken(Conflict):
    """Another phone of the group has this tid, or one of another person had it of late."""

    code = "tid_taken"
    detail = "Another phone in this group has this tid, or had it. Choose another."


def list_devices(connection: OneStatement, *, credential: Credential) -> Sequence[Any]:
    """Return every device that can act for the caller: rows of `LIST_DEVICES`.

    Raises Unauthenticated.
    """
    return auth.read(connection, queries.LIST_DEVICES, credential)


def add(session: Session, *, caller: Caller, name: str, phone: NewPhone | None) -> NewDevice:
    """Add a device of the caller's own.

    Raises Unauthenticated; for a phone GroupNotFound, GroupRequired, NotConfirmed,
    RotationRequired, TidTaken too.
    """
    if phone is not None:
        return _add_phone(session, caller=caller, name=name, phone=phone)
    auth.hold(session, caller)
    token = make_token()
    device_id = people.create_device(
        session,
        user_id=caller.user_id,
        device_name=name,
        public_key=None,
        token_hash=hash_token(token),
    )
    return NewDevice(id=device_id, name=name, token=token)


def _add_phone(session: Session, *, caller: Caller, name: str, phone: NewPhone) -> NewDevice:
    group_id = phone.group_id or memberships.only_group(session, caller=caller)
    key_version = _key_for_phone(session, caller=caller, group_id=group_id)
    taken = queries.list_tids_of_others(session, group_id=group_id, user_id=caller.user_id)
    person = queries.find_name(session, user_id=caller.user_id)
    tid = choose_tid(person, taken) if phone.tid is None else phone.tid
    if tid is None or _in_one_case(tid) in set(map(_in_one_case, taken)):
        raise TidTaken
    token = make_token()
    device_id = queries.create_phone(
        session,
        user_id=caller.user_id,
        name=name,
        group_id=group_id,
        key_version=key_version,
        tid=tid,
        token_hash=hash_token(token),
    )
    return NewDevice(id=device_id, name=name, token=token, tid=tid)


def renew(session: Session, *, caller: Caller, device_id: UUID) -> NewDevice:
    """Give a phone of the caller's own a new token, to be set up with the group's present key.

    Raises DeviceNotFound, NotConfirmed, RotationRequired, Unauthenticated.
    """
    group_id = queries.find_group_of_phone(session, user_id=caller.user_id, device_id=device_id)
    if group_id is None:
        raise DeviceNotFound
    key_version = _key_for_phone(session, caller=caller, group_id=group_id)
    token = make_token()
    phone = queries.renew_phone(
        session, device_id=device_id, token_hash=hash_token(token), key_version=key_version
    )
    if phone is None:
        raise DeviceNotFound
    return NewDevice(id=device_id, name=phone.name, token=token, tid=phone.tid)


def _key_for_phone(session: Session, *, caller: Caller, group_id: UUID) -> int:
    """Lock the group, and return the version of the key that a phone is set up with.

    A phone that was given a key which is to be replaced would have to be set up twice.
    """
    membership = memberships.enter_confirmed(session, caller=caller, group_id=group_id)
    if membership.rotation_required:
        raise RotationRequired
    return membership.key_version


def choose_tid(name: str, taken: Collection[str]) -> str | None:
    """Return two letters or digits for somebody of this name, or None if all are taken."""
    known = set(map(_in_one_case, taken))
    return next((tid for tid in _tids_for(name) if tid not in known), None)


def _tids_for(name: str) -> Iterator[str]:
    """From `un` for Una, over `ua`, to what has nothing of the name."""
    plain = unicodedata.normalize("NFKD", name).lower()
    known = [character for character in plain if character in ascii_lowercase + digits]
    for characters in ([known[:1], known[1:]], [known[:1], digits], [ascii_lowercase + digits] * 2):
        yield from map("".join, product(*characters))


def _in_one_case(tid: str) -> str:
    """Nobody should have to tell two friends apart by the case of a letter."""
    return tid.lower()


def release_tids(session: Session) -> int:
    """Let the tids of phones be chosen again whose people left 30 days ago; return how many."""
    return queries.release_tids(session)


def note_use_by_posting(session: Session) -> int:
    """Bring devices' last use up to date with what they posted; return how many have changed.

    The hot statements do not note it: they would have to write to a row they hold a lock on.
    """
    return queries.note_use_by_posting(session)


def revoke(session: Session, *, caller: Caller, device_id: UUID) -> None:
    """Revoke one of the caller's own devices; once more does no harm.

    Groups whose present key it was given need a new one. The person's open invites are revoked.
    Raises DeviceNotFound, Unauthenticated; Unavailable when it is just entering another group.
    """
    group_ids = groups.lock_groups_of(session, user_id=caller.user_id)
    # Under the lock, where no other revocation can be under way.
    auth.authenticate(session, caller.credential)
    # The device may have made one, by which it would come back. Invites before devices.
    groups.revoke_invites_with(session, device_id=device_id, user_id=caller.user_id)
    is_first = queries.revoke_device(session, user_id=caller.user_id, device_id=device_id)
    if is_first is None:
        raise DeviceNotFound
    # From here on it enters no group. One that it has entered meanwhile may have an invite by now.
    if groups.list_group_ids(session, user_id=caller.user_id) != group_ids:
        raise Unavailable(retry_after=1)
    if is_first:
        groups.replace_keys_known_to(session, group_ids=group_ids, device_id=device_id)
