"""Phones that must be set up again: since when, and telling their owner.

After a change of the group's key a phone goes on posting, and the service keeps nothing of it. The
phone cannot know, so the owner is told at each command, also at those that need no service.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from draugar.models import Code, Notice, Phone
from draugar.storage import phones
from draugar.storage.home import Home
from draugar.trust.state import GroupState
from draugar.usecases.context import Context


def note(
    home: Home, state: GroupState, listed: Iterable[Phone], *, is_rotation_due: bool
) -> dict[UUID, datetime]:
    """Remember which phones of a group wait; return since when, as far as this device knows.

    `is_rotation_due`: the group is about to get a new key, and takes no phone's post until then.
    """
    changed_at, now = state.changed_at(), datetime.now(UTC)
    waiting = {}
    for phone in listed:
        is_waiting = phone.needs_setup or is_rotation_due
        begun = changed_at if phone.needs_setup else None
        since = phones.since(home, phone.id, is_waiting=is_waiting, begun=begun, now=now)
        if since is not None:
            waiting[phone.id] = since
    return waiting


def remind(context: Context) -> None:
    """Tell which of this member's phones wait; the service is asked only if there are phones."""
    home = context.home
    begun = phones.unfinished(home)
    if not phones.are_known(home) and begun is None:
        return
    mine = [device for device in context.api.devices() if device.kind == phones.KIND]
    if begun is not None and not any(map(begun.is_it, mine)):
        phones.finish(home)  # it was never made, or is revoked
        begun = None
    rotating = {
        group.id
        for group in (context.api.groups() if mine else ())
        if group.rotation_required and group.key_version
    }
    waiting = []
    for phone in mine:
        is_begun = begun is not None and begun.is_it(phone)
        is_waiting = phone.needs_setup or phone.group_id in rotating or is_begun
        group_id = phone.group_id if phone.needs_setup else None
        changed_at = context.group(group_id).changed_at() if group_id else None
        since = phones.since(
            home, phone.id, is_waiting=is_waiting, begun=changed_at, now=datetime.now(UTC)
        )
        if since is not None:
            waiting.append((phone.name, phone.tid or "", since))
    if mine:
        phones.keep_waiting(home, waiting)
    else:
        phones.forget_own(home)
    context.notifier.collect(from_memory(home))


def from_memory(home: Home) -> list[Notice]:
    """Return what tells which of this member's phones waited when the service was last asked."""
    waiting = phones.waiting(home)
    return [Notice(code=Code.PHONES_WAIT, parameters={"phones": waiting})] if waiting else []
