"""What a member meets: values without behaviour, whose reprs show no place, name or secret."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from draugar.errors import Failure

PLACE_RADIUS = 150
"""Metres within which a person is at a place, unless its owner says otherwise."""


class Located(Protocol):
    """Whatever has a place on the earth."""

    @property
    def latitude(self) -> float:
        """Degrees, -90 to 90."""

    @property
    def longitude(self) -> float:
        """Degrees, -180 to 180."""


class Coordinates(NamedTuple):
    """A latitude and a longitude."""

    latitude: float
    longitude: float

    def __repr__(self) -> str:
        return "Coordinates(...)"


@dataclass(frozen=True, kw_only=True)
class Fix:
    """Where a device was, and when.

    Degrees of WGS 84; accuracy (a radius) and altitude in metres; velocity in km/h; course in
    degrees from north; battery in percent.
    """

    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    accuracy: float | None = field(repr=False)
    """None: unknown."""
    at: datetime
    altitude: float | None = field(default=None, repr=False)
    velocity: float | None = field(default=None, repr=False)
    course: float | None = field(default=None, repr=False)
    battery: int | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Place:
    """A circle with a name; the radius in metres."""

    name: str = field(repr=False)
    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    radius: float = PLACE_RADIUS


@dataclass(frozen=True, kw_only=True)
class Position:
    """A point as a member may believe it."""

    point_id: UUID
    group_id: UUID
    user_id: UUID
    device_id: UUID
    name: str = field(repr=False)
    fix: Fix
    received_at: datetime
    key_version: int | None
    """None: it came unsealed, in a group that never had a key."""
    is_confirmed: bool
    """Whether this device trusts the sender's; otherwise `name` is what the service says."""
    is_old: bool = False
    """Of a present position: this device has seen a newer one, which the service shows no more."""
    is_mine: bool = False
    phone: "Phone | None" = None
    """The phone with OwnTracks that it came from."""
    silent: tuple["Phone", ...] = ()
    """Of a present position: the person's other phones that must be set up again."""
    mark: str = ""
    """What tells the person from others of the same name; empty where no other has it."""
    is_repeat: bool = False
    """Whether the device says that it had shared this fix before, and shared it for a newcomer."""

    @property
    def order(self) -> tuple[datetime, UUID]:
        """What orders the positions of a person, in whatever order they arrived.

        Of one second, the ids decide: those of a device ascend as it takes fixes.
        """
        return self.fix.at, self.point_id


def newest(positions: Iterable[Position]) -> dict[UUID, Position]:
    """Return the present position of each person: the newest by its own time."""
    present: dict[UUID, Position] = {}
    for position in positions:
        known = present.get(position.user_id)
        if known is None or position.order > known.order:
            present[position.user_id] = position
    return present


class KeyState(StrEnum):
    """What this device can do in a group."""

    READY = "ready"
    PENDING = "pending"
    """Nobody has given this device the present key."""
    MISSING = "missing"
    """The group has no key at all."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group, and what the member is in it."""

    id: UUID
    name: str = field(repr=False)
    role: str
    encryption: str
    key_version: int
    rotation_required: bool
    retention_days: int
    joined_at: datetime
    is_paused: bool
    resumes_at: datetime | None
    key_state: KeyState

    @property
    def is_admin(self) -> bool:
        """Whether the member may run the group."""
        return self.role == "admin"


class TrustState(StrEnum):
    """What this device holds of another one, in one group."""

    THIS = "this device"
    TRUSTED = "trusted"
    PENDING = "pending"
    """Not confirmed by anybody whom this device trusts."""
    ENDED = "ended"
    """Was trusted; removed, gone for a while, or left out of a newer key. Confirm it again."""


class TrustSource(StrEnum):
    """By what a device is trusted."""

    PROOF = "invite proof"
    SAFETY = "safety number"
    ROSTER = "another member"


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device with a public key, in a group."""

    id: UUID
    user_id: UUID
    name: str = field(repr=False)
    """Of the person: as confirmed, or, of a device that is not trusted, as the service says."""
    public_key: bytes = field(repr=False)
    kind: str = "app"
    """What it runs: `app` or `web`."""
    standing: TrustState
    how: TrustSource | None
    mark: str = ""
    """What tells the person from others of the same name; empty where no other has it."""
    can_act: bool
    """Whether the service lets it read and write. For display: never a reason to trust."""


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A phone with OwnTracks, in a group."""

    id: UUID
    tid: str
    """By what the apps tell friends apart."""
    needs_setup: bool
    """Whether the group's key has changed since the phone was set up."""
    waits_since: datetime | None = None
    """Of a phone that must be set up again: since when, as far as this device knows."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody in a group. `name` is as confirmed, or, where nobody has, as the service says."""

    user_id: UUID
    name: str = field(repr=False)
    role: str
    joined_at: datetime
    is_me: bool
    is_changed: bool
    """Whether their keys are others than when their safety number was compared: compare again."""
    devices: tuple[Device, ...]
    phones: tuple[Phone, ...] = ()
    mark: str = ""
    """What tells them from others of the same name; empty where no other has it."""
    listed_name: str = field(default="", repr=False)
    """What the service calls them: another name than `name` once they have renamed themselves."""


@dataclass(frozen=True, kw_only=True)
class OwnDevice:
    """A device that can act for the member; `standing` is None for one without a public key."""

    id: UUID
    name: str = field(repr=False)
    kind: str
    created_at: datetime
    last_used_on: date
    is_this_one: bool
    has_key: bool
    group_id: UUID | None = None
    """The one group of a phone with OwnTracks."""
    tid: str | None = None
    needs_setup: bool = False
    """Of such a phone: whether the group's key has changed since it was set up."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Somebody to compare a safety number with, and what confirming them would trust.

    Two people see the same number when no stranger's key stands in either's place. `confirm` takes
    this very value, so that what is trusted is what was compared.
    """

    group_id: UUID
    user_id: UUID
    name: str = field(repr=False)
    """As the service says, where nobody has confirmed it."""
    devices: tuple[Device, ...]
    """All their devices with public keys; those that are not trusted yet would be."""
    safety_number: str | None = field(repr=False)
    """12 groups of 5 digits. None for one's own devices: those come in by a link made for them."""
    is_mine: bool
    was_shown: bool
    """Whether just this number was shown before: a word on a number of earlier is on this one."""
    gives_key: bool
    """Whether one of them has given this device the key, which it takes on its member's word."""
    mark: str = ""
    """What tells them from others of the same name; empty where no other has it."""
    tokens: frozenset[bytes] = field(default=frozenset(), repr=False)
    """What stands in the number for each device of both."""


@dataclass(frozen=True, kw_only=True)
class OpenInvite:
    """An invite as the service lists it, without its code."""

    id: UUID
    group_id: UUID
    created_by: UUID
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    used_by: UUID | None
    revoked_at: datetime | None
    for_me: bool = False
    """Whether it admits a further device of its maker."""


@dataclass(frozen=True)
class NamedPerson:
    """A person as a notice names them; by `name` every command finds them."""

    name: str = field(repr=False)
    is_known: bool
    """Whether a trusted device states the name; otherwise it is what the service says."""


@dataclass(frozen=True, kw_only=True)
class NamedDevice:
    """A device as a notice names it."""

    id: UUID
    owner: NamedPerson | None
    """None: neither known nor listed."""
    is_this_one: bool = False
    is_mine: bool = False


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """A new key, and whom it was wrapped for. Those left out wait until somebody confirms them."""

    group_id: UUID
    key_version: int
    is_mine: bool
    """False where somebody else was faster; then the two lists are empty."""
    wrapped_for: tuple[Device, ...]
    left_out: tuple[Device, ...]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What became of the queue."""

    stored: int
    dropped: int
    """Refused for good; each was told as a notice."""
    waiting: int
    """Still in the queue; they go at the next flush."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """The codes for which points were dropped, with how many."""
    obstacle: Failure | None = None
    """Why some of them wait, though the service has answered."""


# What the service answers, as decisions see it: `service.responses` reads it, and whether it is
# believed is decided in `trust`.


class Version(Protocol):
    """That the group's key had a version."""

    @property
    def key_version(self) -> int:
        """Its number."""

    @property
    def commitment(self) -> bytes:
        """By which all see that they have the same key."""

    @property
    def roster(self) -> bytes | None:
        """Whom its author trusts, sealed."""


class Envelope(Protocol):
    """A group key, wrapped for this device."""

    @property
    def key_version(self) -> int:
        """Of the key."""

    @property
    def wrapped_key(self) -> bytes:
        """The key, in a box."""

    @property
    def wrapper_public_key(self) -> bytes:
        """By which the box opens."""

    @property
    def wrapper_device_id(self) -> UUID | None:
        """Whose that is, says the service."""


class Entry(Protocol):
    """Whom a member has confirmed, sealed."""

    @property
    def key_version(self) -> int:
        """Of the key that seals it."""

    @property
    def sealed(self) -> bytes:
        """A roster of one."""

    @property
    def wrapper_device_id(self) -> UUID | None:
        """Who has put it there, says the service."""


class Keys(Protocol):
    """What the service has of a group's keys, for this device."""

    @property
    def key_version(self) -> int:
        """The present one."""

    @property
    def rotation_required(self) -> bool:
        """Whether the group needs a new key."""

    @property
    def listed(self) -> Sequence[Version]:
        """All of them."""

    @property
    def envelopes(self) -> Sequence[Envelope]:
        """By ascending versions."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Of all versions."""


class ListedDevice(Protocol):
    """A device with a public key."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def public_key(self) -> bytes:
        """Its X25519 key."""

    @property
    def kind(self) -> str:
        """What it runs: `app` or `web`."""

    @property
    def can_act(self) -> bool:
        """Whether the service lets it act: never a reason to trust."""

    @property
    def join_proof(self) -> bytes | None:
        """That it holds the secret of a link."""


class ListedPerson(Protocol):
    """A person in a group."""

    @property
    def user_id(self) -> UUID:
        """The person's id."""

    @property
    def name(self) -> str:
        """As the service says."""

    @property
    def role(self) -> str:
        """`admin` or `member`."""

    @property
    def joined_at(self) -> datetime:
        """Since when."""

    @property
    def devices(self) -> Sequence[ListedDevice]:
        """Those with a public key."""

    @property
    def phones(self) -> Sequence[Phone]:
        """Those with OwnTracks."""


class StoredPoint(Protocol):
    """A point as the service has it: sealed, or else with a place in the clear."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def group_id(self) -> UUID:
        """Of which group."""

    @property
    def user_id(self) -> UUID:
        """Whose."""

    @property
    def device_id(self) -> UUID:
        """Of which device."""

    @property
    def recorded_at(self) -> datetime:
        """The time in its id."""

    @property
    def received_at(self) -> datetime:
        """When it arrived."""

    @property
    def sealed(self) -> bytes | None:
        """What only members read."""

    @property
    def key_version(self) -> int:
        """Of the key that seals it; 0: none."""

    @property
    def latitude(self) -> float | None:
        """In the clear."""

    @property
    def longitude(self) -> float | None:
        """In the clear."""

    @property
    def accuracy(self) -> float | None:
        """In the clear."""


# What a member is told


class Kind(StrEnum):
    """What a notice is about."""

    SECRETS_IN_FILE = "secrets_in_file"
    JOINED = "joined"
    """Somebody came in by a link of this member's, and proved it; they were given the key."""
    NEW_DEVICE = "new_device"
    """For a week: a device or a phone has come to act for this member."""
    CONFIRMED = "confirmed"
    """A device that somebody trusted vouched for was given the key."""
    PROOF_FAILED = "proof_failed"
    """Somebody used a link's code without knowing the link's secret."""
    UNCONFIRMED_DEVICE = "unconfirmed_device"
    """A device may act, says the service, and nobody trusted has confirmed it."""
    KEY_CHANGED = "key_changed"
    """A device is not what it was, or somebody has others than when numbers were compared."""
    TRUST_ENDED = "trust_ended"
    """A device that was trusted is gone, or left out of a newer key."""
    VOUCHED_BY_GONE = "vouched_by_gone"
    """A device that is trusted because of somebody who has gone since."""
    KEYS_DIFFER = "keys_differ"
    """The service shows another commitment of a key than that of the key this device holds."""
    RENAMED = "renamed"
    """The service gives a person another name than the one that was confirmed."""
    ENVELOPE_REFUSED = "envelope_refused"
    """A key that did not open, match or come from somebody trusted; this device is pending."""
    ROTATED = "rotated"
    """The key was changed; the text says for whom it was wrapped."""
    POINTS_DROPPED = "points_dropped"
    """Points that were not what the service said they were."""
    POINTS_UNREADABLE = "points_unreadable"
    """Points under a key that this device never had."""
    PLAINTEXT_REFUSED = "plaintext_refused"
    """Unsealed points in a group that has a key."""
    OLDER_THAN_SEEN = "older_than_seen"
    """The service shows less of somebody than it did: they deleted points, or it withholds them."""
    SEARCH_ENDED = "search_ended"
    """There were more late points or other messages of a person than are looked through."""
    NOT_SHARED = "not_shared"
    """A point of one's own was refused for good, or shared while sharing was paused."""
    PHONE_WAITS = "phone_waits"
    """A phone of this member's must be set up again, and shares nothing until then."""
    PAUSE_ENDED = "pause_ended"
    """The service shares what this member has paused."""
    WAITING = "waiting"
    """A device waits for this member's word."""
    WAITING_FOR = "waiting_for"
    """This device waits for the key, and for whom."""
    BROWSER = "browser"
    """A device is a browser, or was refused as one."""
    LINK_CLOSED = "link_closed"
    """A link of this member's is open no more."""


class Code(StrEnum):
    """What happened, exactly: a notice of one code has always the same parameters."""

    SECRETS_IN_FILE = "secrets_in_file"
    OWN_PHONE_PRESENT = "own_phone_present"
    ROTATED = "rotated"
    POINTS_DROPPED = "points_dropped"
    POINTS_UNREADABLE = "points_unreadable"
    PLAINTEXT_REFUSED = "plaintext_refused"
    EXPORT_UNVERIFIED = "export_unverified"
    OLDER_THAN_SEEN = "older_than_seen"
    SEARCH_ENDED = "search_ended"
    NOT_SHARED = "not_shared"
    PHONES_WAIT = "phones_wait"
    PAUSE_ENDED = "pause_ended"
    # Of the trust core
    BROWSER = "browser"
    BROWSER_REFUSED = "browser_refused"
    DEVICE_ADDED = "device_added"
    DUPLICATE_KEY = "duplicate_key"
    ENVELOPE_REFUSED = "envelope_refused"
    JOINED = "joined"
    KEY_CHANGED = "key_changed"
    KEYS_DIFFER = "keys_differ"
    LINK_CLOSED = "link_closed"
    LINK_USED_TWICE = "link_used_twice"
    LINK_USED_UNPROVED = "link_used_unproved"
    NEWER_FORM = "newer_form"
    NEW_OWN_DEVICE = "new_own_device"
    NUMBER_VOID = "number_void"
    OWN_UNKNOWN = "own_unknown"
    PACKAGE_REFUSED = "package_refused"
    PERSON_DEVICE_ADDED = "person_device_added"
    RENAMED = "renamed"
    SERVICE_NAME_DIFFERS = "service_name_differs"
    STATEMENT_REFUSED = "statement_refused"
    TRUST_ENDED = "trust_ended"
    UNCONFIRMED_DEVICE = "unconfirmed_device"
    UNUSABLE_KEY = "unusable_key"
    VERSION_NAMES_GONE = "version_names_gone"
    VOUCHER_GONE = "voucher_gone"
    WAITING = "waiting"
    WAITING_FOR = "waiting_for"


_KINDS = {
    Code.BROWSER_REFUSED: Kind.BROWSER,
    Code.DEVICE_ADDED: Kind.CONFIRMED,
    Code.DUPLICATE_KEY: Kind.KEY_CHANGED,
    Code.EXPORT_UNVERIFIED: Kind.POINTS_DROPPED,
    Code.LINK_USED_TWICE: Kind.PROOF_FAILED,
    Code.LINK_USED_UNPROVED: Kind.PROOF_FAILED,
    Code.NEWER_FORM: Kind.ENVELOPE_REFUSED,
    Code.NEW_OWN_DEVICE: Kind.NEW_DEVICE,
    Code.NUMBER_VOID: Kind.KEY_CHANGED,
    Code.OWN_PHONE_PRESENT: Kind.NEW_DEVICE,
    Code.OWN_UNKNOWN: Kind.NEW_DEVICE,
    Code.PACKAGE_REFUSED: Kind.ENVELOPE_REFUSED,
    Code.PERSON_DEVICE_ADDED: Kind.CONFIRMED,
    Code.PHONES_WAIT: Kind.PHONE_WAITS,
    Code.SERVICE_NAME_DIFFERS: Kind.RENAMED,
    Code.STATEMENT_REFUSED: Kind.ENVELOPE_REFUSED,
    Code.UNUSABLE_KEY: Kind.KEY_CHANGED,
    Code.VERSION_NAMES_GONE: Kind.TRUST_ENDED,
    Code.VOUCHER_GONE: Kind.VOUCHED_BY_GONE,
}
"""The codes that share a kind; every other code has the kind of its own name."""

WARNINGS = frozenset(Code) - {
    Code.BROWSER,
    Code.DEVICE_ADDED,
    Code.JOINED,
    Code.LINK_CLOSED,
    Code.NEWER_FORM,
    Code.NEW_OWN_DEVICE,
    Code.NOT_SHARED,
    Code.OWN_PHONE_PRESENT,
    Code.PERSON_DEVICE_ADDED,
    Code.PHONES_WAIT,
    Code.RENAMED,
    Code.ROTATED,
    Code.SEARCH_ENDED,
    Code.SECRETS_IN_FILE,
    Code.SERVICE_NAME_DIFFERS,
    Code.TRUST_ENDED,
    Code.VOUCHER_GONE,
    Code.WAITING,
    Code.WAITING_FOR,
}
"""The codes of what may be an attack."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something the member must be told. `draugar.cli.notices.text` puts it into words."""

    code: Code
    group_id: UUID | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Names, numbers and ids; no secret."""
    once: str | None = field(default=None, repr=False)
    """What the notice is about, where it is told once about that, in its group and of its kind."""

    @property
    def kind(self) -> Kind:
        """What it is about: several codes may be of one kind."""
        return _KINDS.get(self.code) or Kind(self.code)

    @property
    def is_warning(self) -> bool:
        """Whether it may be an attack."""
        return self.code in WARNINGS

    @property
    def subject(self) -> str | None:
        """What a home keeps of a notice that is told once."""
        return None if self.once is None else f"{self.group_id} {self.once}"
