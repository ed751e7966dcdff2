"""Devices: list, add, revoke one's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chalicelib import auth
from chalicelib.auth import Caller, Credential
from chalicelib.auth import queries as people
from chalicelib.auth.credentials import hash_token, make_token
from chalicelib.db import OneStatement, Session
from chalicelib.devices import queries
from chalicelib.errors import NotFound
from chalicelib.groups import queries as groups


@dataclass(frozen=True, kw_only=True)
class NewDevice:
    """A device just added, with the only copy of its token."""

    id: UUID
    name: str
    token: str = field(repr=False)


class DeviceNotFound(NotFound):
    """The caller has no such device."""

    code = "device_not_found"
    detail = "You have no such device."


def list_devices(connection: OneStatement, *, credential: Credential) -> Sequence[Any]:
    """Return every device that can act for the caller: rows of `LIST_DEVICES`.

    Raises Unauthenticated.
    """
    return auth.read(connection, queries.LIST_DEVICES, credential)


def add(session: Session, *, caller: Caller, name: str) -> NewDevice:
    """Add a device of the caller's own. Raises Unauthenticated."""
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


def note_use_by_posting(session: Session) -> int:
    """Bring devices' last use up to date with what they posted; return how many have changed.

    The hot statements do not note it: they would have to write to a row they hold a lock on.
    """
    return queries.note_use_by_posting(session)


def revoke(session: Session, *, caller: Caller, device_id: UUID) -> None:
    """Make one of the caller's own devices worthless; once more does no harm.

    A device with a public key may know the keys of its groups, so they need new ones.
    Raises DeviceNotFound, Unauthenticated.
    """
    group_ids = groups.lock_groups_of(session, user_id=caller.user_id)
    # Under the lock, where no other revocation can be under way.
    auth.authenticate(session, caller.credential)
    revoked = queries.revoke_device(session, user_id=caller.user_id, device_id=device_id)
    if revoked is None:
        raise DeviceNotFound
    if revoked.knew_keys:
        groups.require_rotation(session, group_ids=group_ids)
