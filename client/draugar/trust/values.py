"""What the decisions are made of: what this device knows, and what the service answers.

All values are frozen; a decision returns a new state. Ids are UUIDs, times seconds of Unix time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self
from uuid import UUID

from draugar.protocol.secrets import DeviceKey, GroupKey, Secret
from draugar.protocol.statements import Browsers, Card, Device, Introduction
from draugar.text.naming import is_name

NEVER = -1
"""Less than every key version: the end of a device that never ended."""


class Source(StrEnum):
    """By what a device came to be trusted."""

    PROOF = "proof"
    """Of a link that this device made."""
    SAFETY = "safety"
    """A safety number that its person compared."""
    OWN = "own"
    """It is a device of this person."""
    MEMBER = "member"
    """A trusted device introduced it."""


ROOTS = frozenset({Source.PROOF, Source.SAFETY})


@dataclass(frozen=True)
class Notice:
    """What the member is told: a code, and parameters that JSON can hold."""

    code: str
    parameters: tuple[tuple[str, str | int], ...] = ()

    @classmethod
    def of(cls, code: str, **parameters: UUID | str | int) -> Self:
        """Make a notice; ids become texts."""
        plain = (
            (name, str(value) if isinstance(value, UUID) else value)
            for name, value in parameters.items()
        )
        return cls(code, tuple(sorted(plain)))


@dataclass(frozen=True, order=True)
class Name:
    """A name as a card states it."""

    n: int
    name: str = field(repr=False)


# What this device knows of one group


@dataclass(frozen=True, kw_only=True)
class Record:
    """Another device, as long as the group is known; its key, owner and kind never change."""

    device: Device
    since: int
    """The greatest key version from which it was introduced."""
    source: Source
    by: UUID | None = None
    """Of a device that a member introduced: the member's device."""
    observed: int = NEVER
    """The greatest end that this device saw in the list, or that its person stated."""
    said: Mapping[UUID, int] = field(default_factory=dict)
    """The greatest end that each signer has stated."""
    removed: bool = False
    """By this person's word."""
    card: Name | None = None

    @property
    def ended(self) -> int:
        """The greatest end that was accepted."""
        return max(self.observed, *self.said.values(), NEVER)

    @property
    def trusted(self) -> bool:
        """Whether it is trusted."""
        return self.since > self.ended and not self.removed


@dataclass(frozen=True, kw_only=True)
class Held:
    """A group key that this device holds."""

    key: GroupKey
    first_held: float
    last_current: float
    """When it was last seen to be the present one."""
    made: int | None = None
    """As the author says."""
    until: int | None = None
    """The earliest that own devices say of when it ceased to be the present one."""


def taken(
    held: Mapping[int, Held], version: int, key: GroupKey, *, present: int, now: float
) -> Held:
    """Return a key that is held from now on, where `present` is the version of the group."""
    # "A version that was never the present one at an update counts as present when an earlier one
    # was last so" -- else a former member could go on with a key until this device met it.
    earlier = (known.last_current for number, known in held.items() if number < version)
    last_current = now if version == present else max(earlier, default=0.0)
    return Held(key=key, first_held=now, last_current=last_current)


@dataclass(frozen=True, kw_only=True)
class Link:
    """An invite link that this device has made."""

    id: UUID
    for_me: bool
    proof_key: Secret
    code: str = field(repr=False)
    version: int
    """The key version when it was made."""
    expires_at: float
    used_by: UUID | None = None
    """The device that proved it."""
    closed: bool = False
    """Whether no device is recognised by it: two have proved it at once."""

    @property
    def open(self) -> bool:
        """Whether a device can still be recognised by it."""
        return self.used_by is None and not self.closed


@dataclass(frozen=True)
class OwnDevice:
    """A device of this person; known to all groups."""

    public_key: bytes
    groups: frozenset[UUID]
    """Those that list it."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What this device knows of one group, and the devices of its person."""

    me: Device
    key: DeviceKey
    group_id: UUID
    held: Mapping[int, Held] = field(default_factory=dict)
    elsewhere: frozenset[GroupKey] = frozenset()
    """The keys of other groups."""
    highest: int = 0
    """The highest version that was ever held."""
    attempted: int = 0
    """The highest version that this device ever tried to make."""
    compromised: int = 0
    """A device that has gone may know the keys up to this version."""
    records: Mapping[UUID, Record] = field(default_factory=dict)
    unknown_gone: Mapping[UUID, Mapping[UUID, int]] = field(default_factory=dict)
    """Of devices without a record: the end that each signer has stated."""
    links: tuple[Link, ...] = ()
    own: Mapping[UUID, OwnDevice] = field(default_factory=dict)
    card: Name | None = None
    """This device's own."""
    introduced: Mapping[UUID, str] = field(default_factory=dict, repr=False)
    """Names of people of whom no card was ever seen, as they were first introduced."""
    browsers: Browsers = Browsers.ACCEPTED
    """As the service says."""
    stated_browsers: tuple[int, Browsers] = (0, Browsers.ACCEPTED)
    """As the newest believed roster says, with its version."""
    gave: frozenset[tuple[UUID, int]] = frozenset()
    """Devices to which this one has given a version."""
    vouched: frozenset[tuple[UUID, int]] = frozenset()
    """Devices for which this one has vouched in a version."""
    signers: frozenset[UUID] = frozenset()
    """Devices that were seen to sign: unsigned statements of theirs are not believed."""
    compared: Mapping[UUID, frozenset[UUID]] = field(default_factory=dict)
    """Of people whose number was compared: the devices that it covers."""
    met: Mapping[UUID, int] = field(default_factory=dict)
    """Other devices listed as this person's: the day on which they were first seen."""
    greeted: frozenset[UUID] = frozenset()
    """Devices that were there when this person's latest position was shared."""
    told: frozenset[Notice] = frozenset()

    @property
    def at_risk(self) -> int:
        """The highest version that a device that was trusted until now may know."""
        return max(self.highest, self.attempted)

    @property
    def refuses_browsers(self) -> bool:
        """Whether devices of the kind `web` are given no key."""
        return Browsers.REFUSED in (self.browsers, self.stated_browsers[1])

    def trusted(self) -> dict[UUID, Record]:
        """Return the other devices that are trusted."""
        return {id_: record for id_, record in self.records.items() if record.trusted}

    def is_own(self, device: Device) -> bool:
        """Whether a device is this one or another one of its person."""
        return is_own(self.me, self.own, device)

    def name_of(self, user_id: UUID) -> str | None:
        """Return the name that a person states; else, as introduced; else None."""
        best = self.best_card(user_id)
        return best[2] if best else self.introduced.get(user_id)

    def best_card(self, user_id: UUID) -> tuple[int, UUID, str] | None:
        """Return the card of a person that holds: its number, its device and the name."""
        # "The name that is shown is that of the card with the greatest (`n`, device id) among that
        # person's trusted devices."
        cards = [
            (record.trusted, record.card.n, record.device.device_id, record.card.name)
            for record in self.records.values()
            if record.card
            and record.device.user_id == user_id
            and (user_id != self.me.user_id or self.is_own(record.device))
        ]
        if self.card and user_id == self.me.user_id:
            cards.append((True, self.card.n, self.me.device_id, self.card.name))
        return max(cards)[1:] if cards else None

    def superseded_at(self, version: int) -> float | None:
        """Return when a held version ceased to be the present one; None where it has not."""
        # "The version ceased to be the present one at the earliest of" what own devices say, "and"
        # when the next was made, "but not before the last update at which the version was the
        # present one, and not after the moment when it first held the next."
        held, ends = self.held[version], []
        if held.until is not None:
            ends.append(float(held.until))
        later = [number for number in self.held if number > version]
        if later:
            following = self.held[min(later)]
            made = following.first_held if following.made is None else float(following.made)
            ends.append(min(max(made, held.last_current), following.first_held))
        return min(ends, default=None)


FOLLOWED = 2**30
"""Number of a card from which on it is not repeated: no person renames themselves as often. A
stolen device cannot use up the numbers of its person, whose other devices repeat its name."""


def own_name(state: State) -> Name | None:
    """Return the name that this device states: of its person's devices the greatest, repeated."""
    cards = [
        (record.card.n, record.device.device_id, record.card.name)
        for record in state.trusted().values()
        if record.card and record.card.n < FOLLOWED and state.is_own(record.device)
    ]
    if state.card:
        cards.append((state.card.n, state.me.device_id, state.card.name))
    if not cards:
        return None
    n, _, name = max(cards)
    return Name(n, name)


def is_own(me: Device, own: Mapping[UUID, OwnDevice], device: Device) -> bool:
    """Whether a device is this one or, by its id, key and owner, another one of its person."""
    known = own.get(device.device_id)
    return device == me or (
        known is not None and known.public_key == device.public_key and device.user_id == me.user_id
    )


def introduced(known: Mapping[UUID, str], names: Iterable[tuple[UUID, str]]) -> dict[UUID, str]:
    """Return the introduced names of people with new ones: of each person the first one stays."""
    found = dict(known)
    for user_id, name in names:
        if is_name(name):
            found.setdefault(user_id, name)
    return found


def contradicts(me: Device, records: Mapping[UUID, Record], device: Device) -> bool:
    """Whether a device is not what is known of it."""
    # "Key, owner and kind never change: what states another of them is ignored." A key stays with
    # its id, too.
    record = records.get(device.device_id)
    if record is not None:
        return record.device != device
    return device.public_key == me.public_key or any(
        other.device.public_key == device.public_key for other in records.values()
    )


def changed(record: Record, **changes: object) -> Record:
    """Return a record with changes."""
    return replace(record, **changes)  # type: ignore[arg-type]


# What the service answers


@dataclass(frozen=True)
class SealedCard:
    """A device's card."""

    sealed: bytes = field(repr=False)
    version: int


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A device as the service lists it."""

    device: Device
    name: str = field(repr=False)
    """Of its person."""
    confirmed: bool = False
    """Whether the service lets it act: shown to people, never a reason to trust."""
    join_proof: bytes | None = field(default=None, repr=False)
    card: SealedCard | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The devices of a group's members, and which links the service calls used."""

    devices: tuple[Listed, ...]
    used_links: frozenset[UUID] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Version:
    """A key version, with what its author states."""

    version: int
    commitment: bytes
    statement: bytes | None = field(default=None, repr=False)
    roster: bytes | None = field(default=None, repr=False)
    """Of form 1, unsigned."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A key wrapped for this device; of several of one version the oldest stands first."""

    version: int
    wrapped: bytes = field(repr=False)
    wrapper_key: bytes
    wrapper_id: UUID | None = None
    """As the service says."""
    former: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Vouch:
    """An entry beside a device, under the present version."""

    about: UUID
    sealed: bytes = field(repr=False)
    voucher_id: UUID | None = None
    """As the service says."""


@dataclass(frozen=True, kw_only=True)
class UnsignedEntry:
    """An entry of form 1."""

    version: int
    sealed: bytes = field(repr=False)
    author_id: UUID | None
    """As the service says."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What the service has of a group's keys, for this device."""

    form: int = 2
    version: int
    rotation_required: bool = False
    browsers: Browsers = Browsers.ACCEPTED
    versions: tuple[Version, ...] = ()
    envelopes: tuple[Envelope, ...] = ()
    vouches: tuple[Vouch, ...] = ()
    unsigned_entries: tuple[UnsignedEntry, ...] = ()


# What is to be done


@dataclass(frozen=True)
class Gift:
    """A key to give. `until` is of a former version: when it ceased to be the present one."""

    device_id: UUID
    version: int
    until: int | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What an update has led to, and what is to be done."""

    state: State
    holds: bool
    """Whether this device holds the present version."""
    rotate: bool
    """Whether the group needs a new key, and this device can make it."""
    recipients: tuple[UUID, ...]
    """Who would be given a new key, this device not among them."""
    give: tuple[Gift, ...] = ()
    vouch: tuple[Introduction, ...] = ()
    card: Card | None = None
    greet: tuple[UUID, ...] = ()
    """Newcomers, for whom the latest position is shared once more."""
    give_back: tuple[int, ...] = ()
    """Versions whose envelopes are returned, at a service of form 1."""
    needs_form_1: bool = False
    """Whether a client of form 1 may be listed, so that statements are written for it too."""
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Stop:
    """An update that leads to nothing: the state is kept as it was."""

    notices: tuple[Notice, ...]

    @property
    def code(self) -> str:
        """Why."""
        return self.notices[0].code
