"""What the service says, read into values. Whether it is believed is decided elsewhere.

The service may be malicious. Each member is read by its type and bounds, and nothing else of an
answer reaches the rest of the client. Unknown members are left alone: the contract may grow. What
does not fit is one failure, AnswerNotUnderstood, which repeats nothing of it.
"""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from draugar.errors import AnswerNotUnderstood
from draugar.models import OpenInvite, Phone
from draugar.protocol.envelopes import ENVELOPE_BYTES
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.invites import PACKAGE_BYTES
from draugar.protocol.json import LAST_VERSION, from_base64url
from draugar.protocol.locations import LARGEST_MESSAGE
from draugar.protocol.rosters import ROSTER_BYTES
from draugar.protocol.secrets import Token
from draugar.protocol.statements import MOST_BYTES, Browsers, Card, DeviceKind, Entry, Former
from draugar.protocol.statements import Roster as Statement

LONGEST_TEXT = 200  # characters, of names, codes and cursors
MOST_ITEMS = 20_000

_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, breaks or turns a line, or cannot be written at all."""

_YEARS = range(1970, 3000)
"""In which a service can be; sums and time zones lead beyond the first and the last there is."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})")
_LEAST_SEALED = 41
_ENTRY_BYTES = 4 * 1024
_MOST_VOUCHES = 600
_HASH = _KEY = 32


def _harmless(value: str) -> str:
    if _HARMFUL.search(value):
        raise ValueError
    return value


def _made_harmless(value: object) -> str:
    """Cut a name that a member has chosen, who is not to shut all others out by it."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 -- pydantic's own failure
    return _HARMFUL.sub("\N{REPLACEMENT CHARACTER}", value)[:LONGEST_TEXT]


def _moment(value: object) -> datetime:
    """Read a time with its offset; it is returned in UTC."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        with suppress(OverflowError):
            at = datetime.fromisoformat(value).astimezone(UTC)
            if at.year in _YEARS:
                return at
    raise ValueError


def _day(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return date.fromisoformat(value)
    raise ValueError


def _token(value: object) -> Token:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError
    try:
        return Token(value.encode())
    except NotAuthentic:
        raise ValueError from None


def _opaque(least: int, most: int) -> PlainValidator:
    """Read base64url of so many bytes."""

    def read(value: object) -> bytes:
        if not isinstance(value, str):
            raise ValueError  # noqa: TRY004 -- pydantic's own failure
        try:
            # Standard base64 is the same but for two letters and the padding.
            found = from_base64url(value.rstrip("=").replace("+", "-").replace("/", "_"))
        except NotAuthentic:
            raise ValueError from None
        if not least <= len(found) <= most:
            raise ValueError
        return found

    return PlainValidator(read)


def _or(default: object) -> BeforeValidator:
    """Take null for a default, as an absent member."""
    return BeforeValidator(lambda value: default if value is None else value)


def _is_there(value: object) -> bool:
    return value is not None


_Item = TypeVar("_Item")

Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_harmless)]
"""A text that programs read."""
Name = Annotated[str, BeforeValidator(_made_harmless)]
Id = Annotated[UUID, Field(strict=False)]
"""JSON has it as a text."""
Moment = Annotated[datetime, PlainValidator(_moment)]
Day = Annotated[date, PlainValidator(_day)]
Role = Literal["admin", "member"]
Kind = Annotated[DeviceKind, Field(strict=False), _or(DeviceKind.APP)]
"""Form 1 lists every device as an app."""
BrowserRule = Annotated[Browsers, Field(strict=False)]
Flag = Annotated[bool, _or(False)]  # noqa: FBT003 -- of a member that older services leave out
Number = Annotated[int, Field(ge=0, le=LAST_VERSION)]
KeyVersion = Annotated[int, Field(ge=1, le=LAST_VERSION)]
Password = Annotated[Token, PlainValidator(_token)]
"""A token, which is shown once."""
Hash = Annotated[bytes, _opaque(_HASH, _HASH)]
PublicKey = Annotated[bytes, _opaque(_KEY, _KEY)]
WrappedKey = Annotated[bytes, _opaque(ENVELOPE_BYTES, ENVELOPE_BYTES)]
KeyPackage = Annotated[bytes, _opaque(_LEAST_SEALED, PACKAGE_BYTES)]
Roster = Annotated[bytes, _opaque(_LEAST_SEALED, ROSTER_BYTES)]
RosterEntry = Annotated[bytes, _opaque(_LEAST_SEALED, _ENTRY_BYTES)]
SealedStatement = Annotated[bytes, _opaque(_LEAST_SEALED, MOST_BYTES[Statement])]
SealedEntry = Annotated[bytes, _opaque(_LEAST_SEALED, MOST_BYTES[Entry])]
SealedCard = Annotated[bytes, _opaque(_LEAST_SEALED, MOST_BYTES[Card])]
SealedFormer = Annotated[bytes, _opaque(_LEAST_SEALED, MOST_BYTES[Former])]
Message = Annotated[bytes, _opaque(_LEAST_SEALED, LARGEST_MESSAGE)]
Items = Annotated[list[_Item], Field(max_length=MOST_ITEMS), FailFast()]


class Response(BaseModel):
    """A JSON object of the service's."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        """Read an answer. Raises AnswerNotUnderstood."""
        try:
            return cls.model_validate(answer)
        except ValidationError:
            raise AnswerNotUnderstood from None


class Problem(Response):
    """Why the service has refused."""

    code: Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$")]
    detail: Any = Field(default=None, repr=False)


class Joined(Response):
    """Who came in, and the key package, which comes once only."""

    token: Password
    user_id: Id = Field(validation_alias=AliasPath("user", "id"))
    name: Name = Field(validation_alias=AliasPath("user", "name"), repr=False)
    device_id: Id = Field(validation_alias=AliasPath("device", "id"))
    group_id: Id = Field(validation_alias=AliasPath("group", "id"))
    group_name: Name = Field(validation_alias=AliasPath("group", "name"), repr=False)
    key_package: KeyPackage | None = Field(default=None, repr=False)
    key_version: KeyVersion | None = None
    """Of the package."""


class CodeKind(Response):
    """What a code is for."""

    founds_group: Flag = False


class ListedGroup(Response):
    """A group, and what the caller is in it."""

    id: Id
    name: Name = Field(repr=False)
    role: Role
    encryption: Literal["required", "optional"]
    key_version: Number
    rotation_required: bool
    retention_days: Annotated[int, Field(ge=1, le=LAST_VERSION)]
    joined_at: Moment
    is_paused: bool = Field(validation_alias=AliasPath("sharing", "paused"))
    resumes_at: Moment | None = Field(
        default=None, validation_alias=AliasPath("sharing", "resumesAt")
    )
    browsers: Annotated[BrowserRule, _or(Browsers.ACCEPTED)] = Browsers.ACCEPTED
    key_package: KeyPackage | None = Field(default=None, repr=False)


class Groups(Response):
    """The caller's groups."""

    groups: Items[ListedGroup]


class NewInvite(Response):
    """An invite just made."""

    id: Id
    code: Text = Field(repr=False)
    expires_at: Moment | None = None


class ListedInvite(Response):
    """An invite."""

    id: Id
    group_id: Id
    created_by: Id
    created_at: Moment
    expires_at: Moment | None = None
    used_at: Moment | None = None
    used_by: Id | None = None
    revoked_at: Moment | None = None
    for_me: Flag = False

    def value(self) -> OpenInvite:
        """Return it as the member meets it."""
        return OpenInvite(**dict(self))


class Invites(Response):
    """The invites that the caller may see."""

    invites: Items[ListedInvite]


class Version(Response):
    """That the group's key had a version."""

    key_version: KeyVersion
    commitment: Hash
    statement: SealedStatement | None = Field(default=None, repr=False)
    roster: Roster | None = Field(default=None, repr=False)
    """Of form 1."""


class Envelope(Response):
    """A group key, wrapped for this device."""

    key_version: KeyVersion
    wrapped_key: WrappedKey = Field(repr=False)
    wrapper_public_key: PublicKey
    wrapper_device_id: Id | None = None
    former: SealedFormer | None = Field(default=None, repr=False)


class UnsignedEntry(Response):
    """Whom a member has confirmed, sealed: of form 1."""

    key_version: KeyVersion
    sealed: RosterEntry = Field(alias="rosterEntry", repr=False)
    wrapper_device_id: Id | None = None


class Vouch(Response):
    """What a device states of another one, under the present version."""

    device_id: Id
    entry: SealedEntry = Field(repr=False)
    voucher_device_id: Id | None = None


def _ascending(envelopes: list[Envelope]) -> list[Envelope]:
    # Of one version they keep their order: the oldest stands first.
    return sorted(envelopes, key=lambda envelope: envelope.key_version)


class Keys(Response):
    """What the service has of a group's keys, for this device: one page, or all of them."""

    key_version: Annotated[int, Field(ge=0, le=LAST_VERSION - 1)]  # so that there is a next
    rotation_required: bool
    browsers: BrowserRule | None = None
    """None: the service does not know form 2."""
    listed: Items[Version] = Field(alias="versions")
    envelopes: Annotated[Items[Envelope], AfterValidator(_ascending)]
    entries: Items[UnsignedEntry] = Field(alias="rosterEntries")
    vouches: Annotated[list[Vouch], Field(max_length=_MOST_VOUCHES), FailFast(), _or([])] = []
    next_before: Annotated[int, Field(ge=2, le=LAST_VERSION)] | None = None
    """Where there are older versions: those below it are asked for next."""

    @model_validator(mode="after")
    def _has_each_version_once(self) -> Self:
        numbers = [version.key_version for version in self.listed]
        if len(set(numbers)) < len(numbers):
            raise ValueError  # which commitment holds would be a guess
        if self.next_before is not None and self.next_before > min(numbers, default=LAST_VERSION):
            raise ValueError  # the next page would show one again
        return self

    @property
    def highest(self) -> int:
        """The highest version that is named."""
        numbers = [version.key_version for version in self.listed]
        numbers += [envelope.key_version for envelope in self.envelopes]
        numbers += [entry.key_version for entry in self.entries]
        return max([*numbers, self.next_before or 0])

    def with_older(self, page: Self) -> Self:
        """Return these with the page of older versions that follows it."""
        older = {
            "listed": [*page.listed, *self.listed],
            "envelopes": [*page.envelopes, *self.envelopes],
            "entries": [*page.entries, *self.entries],
            "next_before": page.next_before,
        }
        return self.model_copy(update=older)


class Rotated(Response):
    """The version that a group's key has now."""

    key_version: KeyVersion


class ListedCard(Response):
    """What a device states of its person, sealed under a version of the group's key."""

    sealed: SealedCard = Field(repr=False)
    key_version: KeyVersion


class ListedDevice(Response):
    """A device with a public key."""

    id: Id
    public_key: PublicKey
    can_act: bool = Field(alias="confirmed")
    join_proof: Hash | None = Field(default=None, repr=False)
    kind: Kind = DeviceKind.APP
    card: ListedCard | None = Field(default=None, repr=False)


class _ListedPhone(Response):
    id: Id
    tid: Text
    needs_setup: bool


class _Membership(Response):
    group_id: Id
    role: Role
    joined_at: Moment
    devices: Items[ListedDevice]
    phones: Annotated[Items[_ListedPhone], _or([])] = []


@dataclass(frozen=True, kw_only=True)
class ListedPerson:
    """A person in a group."""

    user_id: UUID
    name: str = field(repr=False)
    role: str
    joined_at: datetime
    devices: list[ListedDevice]
    phones: list[Phone] = field(default_factory=list)


class _User(Response):
    id: Id
    name: Name = Field(repr=False)
    groups: Items[_Membership]


class People(Response):
    """The people in the caller's groups."""

    users: Items[_User]

    def of(self, group_id: UUID) -> list[ListedPerson]:
        """Return the people in one group."""
        return [
            ListedPerson(
                user_id=user.id,
                name=user.name,
                role=membership.role,
                joined_at=membership.joined_at,
                devices=membership.devices,
                phones=[Phone(**dict(phone)) for phone in membership.phones],
            )
            for user in self.users
            for membership in [group for group in user.groups if group.group_id == group_id][:1]
        ]


class ListedOwnDevice(Response):
    """A device that can act for the caller."""

    id: Id
    name: Name = Field(repr=False)
    kind: Text
    created_at: Moment
    last_used_on: Day
    is_this_one: bool
    has_key: Annotated[bool, BeforeValidator(_is_there)] = Field(default=False, alias="publicKey")
    group_id: Id | None = None
    tid: Text | None = None
    needs_setup: Flag = False


class OwnDevices(Response):
    """The devices that can act for the caller."""

    devices: Items[ListedOwnDevice]


class NewPhone(Response):
    """A phone with OwnTracks just set up, and how it signs in."""

    id: Id
    username: Id
    name: Name = Field(repr=False)
    password: Password
    tid: Text

    @model_validator(mode="after")
    def _signs_in_by_its_id(self) -> Self:
        if self.username != self.id:
            raise ValueError
        return self


class StoredPoint(Response):
    """A point as the service has it: sealed, or else with a place in the clear."""

    id: Id
    group_id: Id
    user_id: Id
    device_id: Id
    recorded_at: Moment
    received_at: Moment
    sealed: Message | None = Field(default=None, alias="encryptedData", repr=False)
    key_version: Annotated[Number, _or(0)] = 0
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = Field(default=None, repr=False)
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = Field(default=None, repr=False)
    accuracy: Annotated[float, Field(ge=0, le=sys.float_info.max)] | None = Field(
        default=None, repr=False
    )

    @model_validator(mode="after")
    def _is_sealed_or_in_the_clear(self) -> Self:
        if (self.sealed is None) != (self.key_version == 0) or (
            self.sealed is None and self.place is None
        ):
            raise ValueError
        return self

    @property
    def place(self) -> tuple[float, float, float] | None:
        """Latitude, longitude and accuracy of a point in the clear."""
        if self.latitude is None or self.longitude is None or self.accuracy is None:
            return None
        return self.latitude, self.longitude, self.accuracy


class Points(Response):
    """A page of points, and where the next one begins."""

    locations: Items[StoredPoint]
    next_cursor: Text | None = None


OUTDATED = frozenset({"key_version_conflict", "rotation_required", "group_key_missing"})
"""Why a point is refused that can be sealed anew, once the group has another key."""


class Verdict(Response):
    """What became of a point that was sent."""

    id: Id
    status: Literal["stored", "rejected"]
    refusal: Text | None = Field(default=None, alias="code")

    @model_validator(mode="after")
    def _has_a_reason(self) -> Self:
        if self.status == "rejected" and self.refusal is None:
            raise ValueError
        return self

    @property
    def code(self) -> str | None:
        """Why it was not stored; None where it was."""
        return None if self.status == "stored" else self.refusal


class Verdicts(Response):
    """What became of the points that were sent, in their order."""

    results: Items[Verdict]


class Deleted(Response):
    """How many points there were."""

    deleted: Annotated[int, Field(ge=0, le=2**53)]
