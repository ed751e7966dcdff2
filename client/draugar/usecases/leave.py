"""Departures: a person removed, a device revoked, a group left. Each needs a new key.

A device that is sent away on this member's word is not trusted again on another member's.
"""

from contextlib import suppress
from uuid import UUID

from draugar.errors import NotAMember, Refused
from draugar.storage import groups, last_known, last_shared, outbox, pauses
from draugar.trust import words
from draugar.trust.directory import DeviceDirectory
from draugar.usecases.confirm import known
from draugar.usecases.context import Context


def leave(context: Context, group_id: UUID) -> None:
    """Leave a group, and forget it."""
    with suppress(NotAMember):  # it was done, and the answer lost
        context.api.leave(group_id)
    with context.home.transaction():
        forget(context, group_id)


def remove(context: Context, directory: DeviceDirectory, user_id: UUID) -> None:
    """Remove a person from a group."""
    group_id = directory.group_id
    try:
        context.api.remove(group_id, user_id)
    except Refused as refusal:
        if refusal.code != "member_not_found":  # it was done, and the answer lost
            raise
    listed = [known(one) for one in directory.devices() if one.user_id == user_id]
    with context.changing(group_id) as change:
        trust = change.state.trust
        # Those that are not trusted yet are known from now on, so that no statement brings them in.
        theirs = [one.device for one in trust.records.values() if one.device.user_id == user_id]
        ids = {device.device_id for device in theirs}
        new = [device for device in listed if device.device_id not in ids]
        change.trust(words.removed(trust, [*theirs, *new]))


def distrust(context: Context, group_id: UUID, device_id: UUID) -> None:
    """Trust a device of this member's own no more, and none of the keys that it may know."""
    with context.changing(group_id) as change:
        change.trust(words.revoked(change.state.trust, device_id))


def expose(context: Context, group_id: UUID) -> None:
    """Use no key on that a phone of this member's may know."""
    with context.changing(group_id) as change:
        change.trust(words.exposed(change.state.trust))


def forget(context: Context, group_id: UUID) -> None:
    """Forget a group that the member is not in any more; not its versions: no old key returns."""
    home = context.home
    with context.changing(group_id) as change:
        change.trust(words.left(change.state.trust))
    pauses.forget(home, group_id)
    last_known.forget(home, group_id)
    last_shared.forget(home, group_id)
    outbox.forget(home, group_id)
    groups.leave(home, group_id)
