"""Who goes: a person removed, a device revoked, a group left. Each ends in a key they do not know.

Whoever is sent away on this member's word is not trusted again on anybody else's.
"""

from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

from draugar.errors import NotAMember, Refused
from draugar.service.api import Api
from draugar.storage import last_known
from draugar.storage.home import Home
from draugar.storage.keyring import Keyring
from draugar.storage.trust_store import Ended, TrustStore
from draugar.usecases import confirm as confirming
from draugar.usecases import pause as pausing
from draugar.usecases import share as outbox
from draugar.usecases.directory import DeviceDirectory


def leave(home: Home, api: Api, group_id: UUID) -> None:
    """Leave a group, and forget it."""
    with suppress(NotAMember):  # it was done, and the answer lost
        api.leave(group_id)
    with home.transaction():
        forget(home, group_id)


def remove(home: Home, api: Api, census: DeviceDirectory, user_id: UUID) -> None:
    """Remove somebody from a group."""
    try:
        api.remove(census.group_id, user_id)
    except Refused as refusal:
        if refusal.code != "member_not_found":  # it was done, and the answer lost
            raise
    circle, ring = TrustStore(home, census.group_id), Keyring(home, census.group_id)
    with home.transaction():
        known = circle.known()
        for device in census.devices():
            if device.user_id == user_id and device.id not in known:
                # Known from now on, so that no roster brings it in.
                confirming.trust(circle, device, version=ring.highest)
        distrust(
            home,
            census.group_id,
            [id_ for id_, device in circle.known().items() if device.user_id == user_id],
        )


def distrust(home: Home, group_id: UUID, device_ids: Collection[UUID]) -> None:
    """End the trust in devices for good, and in every key that they may know."""
    circle, ring = TrustStore(home, group_id), Keyring(home, group_id)
    with home.transaction():
        circle.end(device_ids, Ended.REMOVED, version=ring.highest)
        circle.close_links()
        ring.mark_compromised(ring.at_risk)


def forget(home: Home, group_id: UUID) -> None:
    """Forget a group one is not in any more; not its versions, lest an old key come back."""
    circle, ring, me = TrustStore(home, group_id), Keyring(home, group_id), home.me()
    others = [id_ for id_, device in circle.trusted().items() if device.user_id != me.user_id]
    circle.end(others, Ended.GONE, version=ring.highest)
    pausing.forget(home, group_id)
    last_known.forget(home, group_id)
    home.do("DELETE FROM outbox WHERE group_id = :group", group=group_id)
    outbox.forget_tracks(home, group_id)
    home.do("UPDATE groups SET is_member = 0 WHERE id = :id", id=group_id)
