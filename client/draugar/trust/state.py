"""What a home knows of one group: whom this device trusts, and what it has seen there.

The decisions are made on the first alone, `trust.values.State`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from uuid import UUID

from draugar.models import Position
from draugar.protocol.secrets import DeviceKey, GroupKey
from draugar.protocol.statements import Device
from draugar.trust.values import Record, State


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
class GroupState:
    """One group as this device knows it."""

    trust: State
    name: str = field(repr=False)
    """Of this person, as this device shows it."""
    is_further: bool = False
    """Whether this device came as a further one of its person."""
    revision: int = 0
    """How often `trust` was saved."""
    has_key: bool = False
    """Whether the group has a key by a member's word, before any was accepted."""
    seen: Mapping[UUID, Seen] = field(default_factory=dict)
    """The newest point of each device."""
    met: Mapping[UUID, date] = field(default_factory=dict)
    """Phones of this device's person: when each was first seen."""
    has_met: bool = False
    """Whether this device has looked for those before."""
    told: frozenset[tuple[str, str]] = field(default_factory=frozenset, repr=False)
    """What was told or shown once: kind and subject."""

    @property
    def group_id(self) -> UUID:
        """The group."""
        return self.trust.group_id

    @property
    def me(self) -> Device:
        """This device."""
        return self.trust.me

    @property
    def device_key(self) -> DeviceKey:
        """This device's own."""
        return self.trust.key

    @property
    def highest(self) -> int:
        """The highest version that was ever held; 0 when none was."""
        return self.trust.highest

    def trusted(self) -> dict[UUID, Record]:
        """Every other device that is trusted, by its id."""
        return self.trust.trusted()

    @property
    def is_keyed(self) -> bool:
        """Whether the group has a key, whatever the service says."""
        return self.trust.highest > 0 or self.has_key

    def key(self, version: int) -> GroupKey | None:
        """Return the key of a version, if it is held."""
        held = self.trust.held.get(version)
        return None if held is None else held.key

    def superseded_at(self, version: int) -> float | None:
        """Return when a held version ceased to be the present one, in seconds of Unix time."""
        return self.trust.superseded_at(version) if version in self.trust.held else None

    def changed_at(self) -> datetime | None:
        """Return when this device first held the highest version, if it holds it."""
        held = self.trust.held.get(self.trust.highest)
        return None if held is None else datetime.fromtimestamp(held.first_held, UTC)

    def was_shown(self, user_id: UUID, tokens: Iterable[bytes]) -> bool:
        """Whether just this number of a person was shown before."""
        return (_NUMBER, _shown(user_id, tokens)) in self.told

    def with_shown(self, user_id: UUID, tokens: Iterable[bytes]) -> "GroupState":
        """Note that a number of a person was shown; `tokens` are of all devices that are in it."""
        return replace(self, told=self.told | {(_NUMBER, _shown(user_id, tokens))})


_NUMBER = "number"


def _shown(user_id: UUID, tokens: Iterable[bytes]) -> str:
    return f"{user_id} {b''.join(sorted(tokens)).hex()}"
