"""Phones that must be set up again: since when, and telling their owner.

After a change of the group's key a phone goes on posting, and the service keeps nothing of it. The
phone cannot know, so the owner is told at each command, also at those that need no service.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from draugar.models import Code, Phone
from draugar.service.api import Api
from draugar.storage.home import Home
from draugar.storage.keyring import Keyring
from draugar.usecases.notify import Notifier

KIND = "owntracks"
_OWN = "phones"
_UNFINISHED = "unfinished phone"
_SINCE = "waits "


@dataclass(frozen=True)
class Unfinished:
    """A phone that is being made or renewed, and whose file is not written yet."""

    group_id: UUID
    name: str = field(repr=False)
    tid: str | None
    known: tuple[UUID, ...]
    """The phones that there were before."""
    device_id: UUID | None = None
    """None while it is not known whether the service has made it."""

    def is_it(self, device: Any) -> bool:
        """Whether a device that the service lists is this phone."""
        if self.device_id is not None:
            return bool(device.id == self.device_id)
        is_new = device.kind == KIND and device.id not in self.known
        return is_new and (device.group_id, device.name) == (self.group_id, self.name)


def begin(home: Home, phone: Unfinished) -> None:
    """Remember that a phone is being set up, before the service is asked for it."""
    said = {
        "group": str(phone.group_id),
        "name": phone.name,
        "tid": phone.tid,
        "known": [str(id_) for id_ in phone.known],
        "device": phone.device_id and str(phone.device_id),
    }
    home.remember(_UNFINISHED, json.dumps(said))


def finish(home: Home) -> None:
    """Forget it: the phone is set up, or was never made."""
    home.do("DELETE FROM facts WHERE name = :name", name=_UNFINISHED)


def unfinished(home: Home) -> Unfinished | None:
    """Return the phone that was not set up to the end, if there is one."""
    kept = home.recall(_UNFINISHED)
    if kept is None:
        return None
    said = json.loads(kept)
    return Unfinished(
        group_id=UUID(said["group"]),
        name=said["name"],
        tid=said["tid"],
        known=tuple(map(UUID, said["known"])),
        device_id=said["device"] and UUID(said["device"]),
    )


def note(
    home: Home, group_id: UUID, phones: Iterable[Phone], *, is_rotation_due: bool
) -> dict[UUID, datetime]:
    """Remember which phones of a group wait; return since when, as far as this device knows.

    `is_rotation_due`: the group is about to get a new key, and takes no phone's post until then.
    """
    changed_at = Keyring(home, group_id).changed_at()
    waiting = {}
    for phone in phones:
        is_waiting = phone.needs_setup or is_rotation_due
        begun = changed_at if phone.needs_setup else None
        since = _since(home, phone.id, is_waiting=is_waiting, begun=begun)
        if since is not None:
            waiting[phone.id] = since
    return waiting


def note_own(home: Home, *, has_phones: bool) -> None:
    """Remember that this member has phones, so that the service is asked for them."""
    if has_phones and home.recall(_OWN) is None:
        home.remember(_OWN, "[]")


def remind(home: Home, api: Api, teller: Notifier) -> None:
    """Tell which of this member's phones wait; the service is asked only if there are phones."""
    begun = unfinished(home)
    if home.recall(_OWN) is None and begun is None:
        return
    mine = [device for device in api.devices() if device.kind == KIND]
    if begun is not None and not any(map(begun.is_it, mine)):
        finish(home)  # it was never made, or is revoked
        begun = None
    rotating = {
        group.id
        for group in (api.groups() if mine else ())
        if group.rotation_required and group.key_version
    }
    waiting = []
    for phone in mine:
        is_begun = begun is not None and begun.is_it(phone)
        is_waiting = phone.needs_setup or phone.group_id in rotating or is_begun
        group_id = phone.group_id if phone.needs_setup else None
        changed_at = Keyring(home, group_id).changed_at() if group_id else None
        since = _since(home, phone.id, is_waiting=is_waiting, begun=changed_at)
        if since is not None:
            waiting.append([phone.name, phone.tid, since.isoformat()])
    if mine:
        home.remember(_OWN, json.dumps(waiting))
    else:
        home.do("DELETE FROM facts WHERE name = :name", name=_OWN)
    remind_from_memory(home, teller)


def remind_from_memory(home: Home, teller: Notifier) -> None:
    """Tell which of this member's phones waited when the service was last asked."""
    waiting = json.loads(home.recall(_OWN) or "[]")
    if not waiting:
        return
    teller.tell(
        Code.PHONES_WAIT,
        phones=tuple((name, tid, datetime.fromisoformat(since)) for name, tid, since in waiting),
    )


def _since(
    home: Home, device_id: UUID, *, is_waiting: bool, begun: datetime | None
) -> datetime | None:
    """Return since when a phone waits; from the first sight of it on the answer is the same."""
    name = f"{_SINCE}{device_id}"
    if not is_waiting:
        home.do("DELETE FROM facts WHERE name = :name", name=name)
        return None
    kept = home.recall(name)
    if kept is not None:
        return datetime.fromisoformat(kept)
    since = begun or datetime.now(UTC)
    home.remember(name, since.isoformat())
    return since
