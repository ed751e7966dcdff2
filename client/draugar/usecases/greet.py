"""Greeting: a newcomer sees nothing from before joining, so the latest position is shared again."""

from datetime import timedelta
from uuid import UUID

from draugar.errors import AskedTooOften, Refused
from draugar.protocol.json import to_base64url
from draugar.service.responses import OUTDATED
from draugar.storage import last_shared, outbox, pauses
from draugar.trust import points
from draugar.usecases.context import Context

_LONGEST = timedelta(minutes=60)


def show_latest(context: Context, group_id: UUID, key_version: int, *, is_marked: bool) -> bool:
    """Share once more what this device has shared last in a group, unless it is old or paused.

    `is_marked`: whether the point says so. Return whether that is done: not where the service
    refuses it for now. Raises ServiceAway.
    """
    now, home = context.clock(), context.home
    if pauses.is_on(home, group_id):
        return True
    # "the last fix that it has shared there, if that is at most 60 minutes old"
    fix = last_shared.latest(home, group_id)
    state = context.group(group_id)
    key = state.key(key_version)
    if fix is None or key is None or now - fix.at > _LONGEST:
        return True
    # "a new point with the fix's own `tst`, the time of queueing in its id"
    with home.transaction():
        counter, id_ = outbox.next_counter(home, group_id), outbox.new_id(home, now)
    me = state.me
    author = points.Author(
        group_id=group_id, user_id=me.user_id, device_id=me.device_id, name=state.name
    )
    sealed = points.seal(fix, author, counter, key, is_repeat=is_marked)
    try:
        [verdict] = context.api.store(
            [
                {
                    "id": str(id_),
                    "groupId": str(group_id),
                    "encryptedData": to_base64url(sealed),
                    "keyVersion": key_version,
                }
            ]
        )
    except (Refused, AskedTooOften):
        return False
    return verdict.code not in OUTDATED
