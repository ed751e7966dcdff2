"""What this device knows of one group: a value, from which a decision makes the next one.

Trust is of a device's public key, and per group: who vouches in one group says nothing in another.
It comes by invite proof, by safety number, or by the roster of a trusted device. It ends when the
device is gone from the group, when its person is removed, and when a trusted device makes a new key
and leaves it out: that may be how this device hears of a removal that the service hides. What has
ended does not come back by the service's word, only by a member's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from uuid import UUID

from draugar.models import Position, TrustSource
from draugar.protocol.rosters import RosterEntry
from draugar.protocol.secrets import DeviceKey, GroupKey, Secret


class Ended(StrEnum):
    """Why a device is not trusted any more."""

    GONE = "gone"
    """The service lists it no more, or with another key."""
    REMOVED = "removed"
    """By this very member's word, which no roster overrules."""
    LEFT_OUT = "left out"
    """Of a newer key, by a trusted device."""


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """A device that this one trusts, or did."""

    device_id: UUID
    user_id: UUID
    name: str = field(repr=False)
    public_key: bytes
    how: TrustSource
    version: int
    """Of the key that was the newest when it was last vouched for."""
    vouched_by: UUID | None = None
    ended: Ended | None = None
    ended_version: int | None = None

    @property
    def entry(self) -> RosterEntry:
        """It, as this device vouches for it."""
        return RosterEntry(self.user_id, self.name, self.device_id, self.public_key)


@dataclass(frozen=True, kw_only=True)
class HeldKey:
    """A group key that this device holds, and since when in seconds of Unix time."""

    key: GroupKey
    accepted_at: float


@dataclass(frozen=True, kw_only=True)
class OwnLink:
    """An invite link that this device has made."""

    id: UUID
    proof_key: Secret
    code: str = field(repr=False)
    for_me: bool
    expires_at: float
    device_id: UUID | None = None
    """The device that has proved it."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The newest point that this device has seen of another, by the time of its fix."""

    device_id: UUID
    key_version: int
    counter: int
    is_counted: bool
    """Whether any of its points had a counter."""
    point_id: UUID
    recorded_at: float
    """The time in its id, as the service said it; this and the next in seconds of Unix time."""
    fix_at: float

    @property
    def order(self) -> tuple[float, UUID]:
        """As `Position.order`, with the time as a number."""
        return self.fix_at, self.point_id

    def is_newer_than(self, position: Position | None) -> bool:
        """Whether it comes after a position."""
        return position is None or self.order > (position.fix.at.timestamp(), position.point_id)

    def merged(self, before: "Seen | None") -> "Seen":
        """Return the newer of two of one device. The same point is taken as it was read now."""
        if before is None:
            return self
        is_newer = self.point_id == before.point_id or self.order > before.order
        return replace(
            self if is_newer else before, is_counted=self.is_counted or before.is_counted
        )


@dataclass(frozen=True, kw_only=True)
class ThisDevice:
    """The device that decides, and its person."""

    user_id: UUID
    name: str = field(repr=False)
    device_id: UUID
    key: DeviceKey
    is_further: bool = False
    """Whether it came as a further device of a person who had one."""

    @property
    def entry(self) -> RosterEntry:
        """It, as it stands in rosters of its own."""
        return RosterEntry(self.user_id, self.name, self.device_id, self.key.public)


@dataclass(frozen=True, kw_only=True)
class GroupState:
    """One group as this device knows it."""

    group_id: UUID
    me: ThisDevice
    devices: Mapping[UUID, Trusted] = field(default_factory=dict)
    """Every other device that is or was trusted."""
    own_elsewhere: tuple[Trusted, ...] = ()
    """What this device knows, in its other groups, of devices of its person."""
    keys: Mapping[int, HeldKey] = field(default_factory=dict)
    keys_elsewhere: frozenset[GroupKey] = frozenset()
    """The keys of other groups."""
    highest: int = 0
    """The highest version that was ever accepted; 0 when none was."""
    attempted: int = 0
    """The highest version that this device ever tried to make."""
    compromised: int = 0
    """A device that has gone may know the keys up to this version."""
    has_key: bool = False
    """Whether the group has a key by a member's word, before any was accepted."""
    links: Mapping[UUID, OwnLink] = field(default_factory=dict)
    compared: Mapping[UUID, bytes] = field(default_factory=dict)
    """By which keys each person's safety number was compared."""
    seen: Mapping[UUID, Seen] = field(default_factory=dict)
    """The newest point of each device."""
    met: Mapping[UUID, date] = field(default_factory=dict)
    """Other devices and phones of this device's person: when each was first seen."""
    has_met: bool = False
    """Whether this device has looked for those before."""
    told: frozenset[tuple[str, str]] = field(default_factory=frozenset, repr=False)
    """What was told once: kind and subject."""

    # Devices

    def trusted(self) -> dict[UUID, Trusted]:
        """Every device that is trusted, by its id."""
        return {id_: known for id_, known in self.devices.items() if known.ended is None}

    def roster(self) -> list[RosterEntry]:
        """This device, and all it vouches for."""
        return [self.me.entry, *(trusted.entry for trusted in self.trusted().values())]

    def own(self) -> dict[bytes, UUID]:
        """The person's other devices, in whatever group they proved it, by their public keys."""
        # "a further device of one's own comes in by a link made for it, and proves it like anybody
        # else."
        proved, ended = set(), set()
        for known in (*self.devices.values(), *self.own_elsewhere):
            if known.user_id == self.me.user_id:
                device = (known.public_key, known.device_id)
                if known.how is TrustSource.PROOF:
                    proved.add(device)
                if known.ended is not None:
                    ended.add(device)
        return dict(sorted(proved - ended))

    def is_mine(self, entry: RosterEntry) -> bool:
        """Whether a device proved, in whatever group, to be this very person's."""
        is_person = entry.user_id == self.me.user_id
        return is_person and self.own().get(entry.public_key) == entry.device_id

    def contradicts(self, roster: Iterable[RosterEntry], *, is_first: bool) -> bool:
        """Whether others know this device as somebody else than the service told it to be.

        It would speak in their name. Whoever is new in a group (`is_first`) stands in no roster
        yet, but for further devices of theirs.
        """
        me, own = self.me, self.own()
        for entry in roster:
            is_this = (entry.user_id, entry.device_id) == (me.user_id, me.device_id)
            has_this_key = entry.public_key == me.key.public
            if (has_this_key or entry.device_id == me.device_id) and not (is_this and has_this_key):
                return True
            is_further = me.is_further or entry.public_key in own
            if is_first and entry.user_id == me.user_id and not (is_this or is_further):
                return True
        return False

    def is_changed(self, user_id: UUID, public_keys: Iterable[bytes]) -> bool:
        """Whether a person's number was compared when they had other keys."""
        # "When a member's keys change, the former comparison is shown as void."
        compared = self.compared.get(user_id)
        return compared is not None and compared != together(public_keys)

    # Keys

    @property
    def is_compromised(self) -> bool:
        """Whether a device that has gone may know the highest version."""
        return 0 < self.highest <= self.compromised

    @property
    def is_keyed(self) -> bool:
        """Whether the group has a key, whatever the service says."""
        return self.highest > 0 or self.has_key

    @property
    def at_risk(self) -> int:
        """The highest version that a device may know that was trusted until now."""
        # The service may show an attempt later that it has pretended to refuse.
        return max(self.highest, self.attempted)

    def key(self, version: int) -> GroupKey | None:
        """Return the key of a version, if it is held."""
        held = self.keys.get(version)
        return None if held is None else held.key

    def holds(self, key: GroupKey) -> bool:
        """Whether a key is held already, of whatever version and group."""
        return key in self.keys_elsewhere or any(held.key == key for held in self.keys.values())

    def superseded_at(self, version: int) -> float | None:
        """Return when this device first held a higher version, in seconds of Unix time."""
        later = (held.accepted_at for number, held in self.keys.items() if number > version)
        return min(later, default=None)

    def changed_at(self) -> datetime | None:
        """Return when this device first held the highest version, unless that is its first."""
        at = self.superseded_at(self.highest - 1)
        return None if at is None else datetime.fromtimestamp(at, UTC)


def together(public_keys: Iterable[bytes]) -> bytes:
    """Return keys in one value, whatever their order."""
    return b"".join(sorted(public_keys))
