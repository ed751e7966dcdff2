"""Rosters of form 1: the devices that a member has confirmed, sealed under the group key.

Their entries also stand in the key package of a link.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from draugar.protocol.errors import NotAuthentic, Unsealable
from draugar.protocol.json import from_base64url, members, read, text, to_base64url, uuid, written
from draugar.protocol.sealing import OVERHEAD, open_sealed, seal
from draugar.protocol.secrets import GroupKey, check_public_key
from draugar.protocol.statements import DeviceKind

ROSTER_BYTES = 16 * 1024
_ENTRY = {"userId", "name", "deviceId", "publicKey"}


@dataclass(frozen=True)
class RosterEntry:
    """A device that a member has confirmed, and whose it is."""

    user_id: UUID
    name: str = field(repr=False)
    device_id: UUID
    public_key: bytes
    kind: DeviceKind = DeviceKind.APP

    def __post_init__(self) -> None:
        """Raises NotAuthentic for what could not be a device's."""
        text(self.name)
        check_public_key(self.public_key)


def seal_roster(entries: Iterable[RosterEntry], key: GroupKey) -> bytes:
    """Return at most 16 KiB; raises Unsealable when there are too many for that.

    Browsers are left out: clients that read this form could not tell them from other devices.
    """
    apps = [entry for entry in entries if entry.kind is DeviceKind.APP]
    return seal(written(as_json(apps)), key, ROSTER_BYTES)


def open_roster(sealed: bytes, key: GroupKey) -> list[RosterEntry]:
    """Return whom its author has confirmed; raises NotAuthentic."""
    return read_roster(read(open_sealed(sealed, key, ROSTER_BYTES)), kinds=False)


def cut(entries: Iterable[RosterEntry]) -> list[RosterEntry]:
    """Return as many of the first entries as a sealed roster has room for."""
    apps = (entry for entry in entries if entry.kind is DeviceKind.APP)
    return longest(apps, ROSTER_BYTES - OVERHEAD)


def longest(entries: Iterable[RosterEntry], most: int) -> list[RosterEntry]:
    """Return as many of the first entries as have room in so many bytes of JSON."""
    found: list[RosterEntry] = []
    left = most - len("[]")
    for entry in entries:
        left -= len(written(as_json([entry]))) - len("[]") + (len(",") if found else 0)
        if left < 0:
            break
        found.append(entry)
    return found


def as_json(entries: Iterable[RosterEntry]) -> list[dict[str, str]]:
    """Return entries as the members of a roster. Raises Unsealable."""
    roster = list(entries)
    if len({entry.device_id for entry in roster}) != len(roster):
        raise Unsealable("A device stands in this roster more than once.")
    return [
        {
            "userId": str(entry.user_id),
            "name": entry.name,
            "deviceId": str(entry.device_id),
            "publicKey": to_base64url(entry.public_key),
        }
        | ({} if entry.kind is DeviceKind.APP else {"kind": entry.kind.value})
        for entry in roster
    ]


def read_roster(value: object, *, kinds: bool) -> list[RosterEntry]:
    """Return the entries of a roster that opened. Raises NotAuthentic.

    `kinds`: an entry may say that a device is a browser.
    """
    if not isinstance(value, list):
        raise NotAuthentic("This is not a roster.")
    entries = [_read_entry(item, kinds=kinds) for item in value]
    if len({entry.device_id for entry in entries}) != len(entries):
        raise NotAuthentic("A device stands in this roster more than once.")
    return entries


def _read_entry(value: object, *, kinds: bool) -> RosterEntry:
    is_web = kinds and isinstance(value, dict) and value.get("kind") == DeviceKind.WEB
    entry: dict[str, Any] = members(value, _ENTRY | {"kind"} if is_web else _ENTRY)
    return RosterEntry(
        user_id=uuid(entry["userId"]),
        name=text(entry["name"]),
        device_id=uuid(entry["deviceId"]),
        public_key=from_base64url(text(entry["publicKey"])),
        kind=DeviceKind.WEB if is_web else DeviceKind.APP,
    )
