"""Phones with OwnTracks: which must be set up again, as far as this device knows."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from draugar.storage.home import Home

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
    home.forget(_UNFINISHED)


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


def are_known(home: Home) -> bool:
    """Whether this member has phones, so that the service is asked for them."""
    return home.recall(_OWN) is not None


def note_own(home: Home) -> None:
    """Remember that this member has phones."""
    if not are_known(home):
        home.remember(_OWN, "[]")


def keep_waiting(home: Home, waiting: list[tuple[str, str, datetime]]) -> None:
    """Keep which of this member's phones wait: name, tid, since when."""
    said = [[name, tid, since.isoformat()] for name, tid, since in waiting]
    home.remember(_OWN, json.dumps(said))


def waiting(home: Home) -> tuple[tuple[str, str, datetime], ...]:
    """Return which of this member's phones waited when the service was last asked."""
    said = json.loads(home.recall(_OWN) or "[]")
    return tuple((name, tid, datetime.fromisoformat(since)) for name, tid, since in said)


def forget_own(home: Home) -> None:
    """Forget that this member had phones."""
    home.forget(_OWN)


def since(
    home: Home, device_id: UUID, *, is_waiting: bool, begun: datetime | None, now: datetime
) -> datetime | None:
    """Return since when a phone waits; from the first sight of it on the answer is the same."""
    name = f"{_SINCE}{device_id}"
    if not is_waiting:
        home.forget(name)
        return None
    kept = home.recall(name)
    if kept is not None:
        return datetime.fromisoformat(kept)
    first = begun or now
    home.remember(name, first.isoformat())
    return first
