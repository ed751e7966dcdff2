"""Departures: a person removed, a device revoked, a group left. Each needs a new key.

A device that is sent away on this member's word is not trusted again on another member's.
"""

from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

from draugar.errors import NotAMember, Refused
from draugar.models import TrustSource
from draugar.storage import groups, last_known, outbox, pauses
from draugar.trust import decide
from draugar.trust.directory import DeviceDirectory
from draugar.usecases.confirm import entry
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
    with context.changing(group_id) as change:
        known = change.state.devices
        for device in directory.devices():
            if device.user_id == user_id and device.id not in known:
                # Known from now on, so that no roster brings it in.
                change.state = decide.trust(change.state, entry(device), TrustSource.SAFETY)
        theirs = [id_ for id_, one in change.state.devices.items() if one.user_id == user_id]
        change.state = decide.distrust(change.state, theirs)


def distrust(context: Context, group_id: UUID, device_ids: Collection[UUID]) -> None:
    """End the trust in devices for good, and in every key that they may know."""
    with context.changing(group_id) as change:
        change.state = decide.distrust(change.state, device_ids)


def forget(context: Context, group_id: UUID) -> None:
    """Forget a group that the member is not in any more; not its versions: no old key returns."""
    home = context.home
    with context.changing(group_id) as change:
        change.state = decide.forget_others(change.state)
    pauses.forget(home, group_id)
    last_known.forget(home, group_id)
    outbox.forget(home, group_id)
    groups.leave(home, group_id)
