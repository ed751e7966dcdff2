"""What the service says, read into values. Whether it is believed is decided elsewhere."""

import sys
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from draugar.errors import AnswerNotUnderstood
from draugar.models import OpenInvite, Phone
from draugar.protocol.envelopes import ENVELOPE_BYTES
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.invites import PACKAGE_BYTES
from draugar.protocol.locations import LARGEST_MESSAGE
from draugar.protocol.rosters import ROSTER_BYTES
from draugar.protocol.secrets import Token
from draugar.service.json_reader import JsonObject

_LEAST_SEALED = 41
_HASH = _KEY = 32


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Who came in, and the key package, which comes once only."""

    token: Token
    user_id: UUID
    name: str = field(repr=False)
    device_id: UUID
    group_id: UUID
    group_name: str = field(repr=False)
    key_package: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ListedGroup:
    """A group, and what the caller is in it."""

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
    key_package: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Version:
    """That the group's key had a version."""

    key_version: int
    commitment: bytes
    roster: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A group key, wrapped for this device."""

    key_version: int
    wrapped_key: bytes = field(repr=False)
    wrapper_public_key: bytes
    wrapper_device_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Whom somebody has confirmed, sealed."""

    key_version: int
    sealed: bytes = field(repr=False)
    wrapper_device_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What the service has of a group's keys, for this device."""

    key_version: int
    rotation_required: bool
    versions: dict[int, Version]
    envelopes: list[Envelope]
    entries: list[Entry]

    def entries_of(self, key_version: int) -> list[bytes]:
        """The entries sealed under one version."""
        return [entry.sealed for entry in self.entries if entry.key_version == key_version]


@dataclass(frozen=True, kw_only=True)
class ListedDevice:
    """A device with a public key."""

    id: UUID
    public_key: bytes
    can_act: bool
    join_proof: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ListedPerson:
    """Somebody in a group."""

    user_id: UUID
    name: str = field(repr=False)
    role: str
    joined_at: datetime
    devices: list[ListedDevice]
    phones: list[Phone] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ListedOwnDevice:
    """A device that can act for the caller."""

    id: UUID
    name: str = field(repr=False)
    kind: str
    created_at: datetime
    last_used_on: date
    is_this_one: bool
    has_key: bool
    group_id: UUID | None
    tid: str | None
    needs_setup: bool


@dataclass(frozen=True, kw_only=True)
class NewPhone:
    """A phone with OwnTracks, and how it signs in."""

    id: UUID
    name: str = field(repr=False)
    password: Token
    tid: str


@dataclass(frozen=True, kw_only=True)
class StoredPoint:
    """A point as the service has it: sealed, or else with a place in the clear."""

    id: UUID
    group_id: UUID
    user_id: UUID
    device_id: UUID
    recorded_at: datetime
    received_at: datetime
    sealed: bytes | None = field(repr=False)
    key_version: int
    place: tuple[float, float, float] | None = field(repr=False)
    """Latitude, longitude, accuracy."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a point that was sent; `code` is None where it was stored."""

    id: UUID
    code: str | None


def token(answer: JsonObject) -> Token:
    """Read a token, which is shown once."""
    try:
        return Token(answer.text("token").encode())
    except NotAuthentic:
        raise AnswerNotUnderstood from None


def key_package(answer: JsonObject) -> bytes | None:
    """Read a key package, where there is one."""
    return answer.maybe(answer.opaque, "keyPackage", least=_LEAST_SEALED, most=PACKAGE_BYTES)


def listed_group(answer: JsonObject) -> ListedGroup:
    """Read a group."""
    sharing = answer.child("sharing")
    return ListedGroup(
        id=answer.uuid("id"),
        name=answer.name("name"),
        role=answer.choice("role", "admin", "member"),
        encryption=answer.choice("encryption", "required", "optional"),
        key_version=answer.whole("keyVersion"),
        rotation_required=answer.truth("rotationRequired"),
        retention_days=answer.whole("retentionDays", least=1),
        joined_at=answer.moment("joinedAt"),
        is_paused=sharing.truth("paused"),
        resumes_at=sharing.maybe(sharing.moment, "resumesAt"),
        key_package=key_package(answer),
    )


def open_invite(answer: JsonObject) -> OpenInvite:
    """Read an invite."""
    return OpenInvite(
        id=answer.uuid("id"),
        group_id=answer.uuid("groupId"),
        created_by=answer.uuid("createdBy"),
        created_at=answer.moment("createdAt"),
        expires_at=answer.maybe(answer.moment, "expiresAt"),
        used_at=answer.maybe(answer.moment, "usedAt"),
        used_by=answer.maybe(answer.uuid, "usedBy"),
        revoked_at=answer.maybe(answer.moment, "revokedAt"),
        for_me=answer.maybe(answer.truth, "forMe") or False,
    )


def version(answer: JsonObject) -> Version:
    """Read a version."""
    return Version(
        key_version=answer.whole("keyVersion", least=1),
        commitment=answer.opaque("commitment", least=_HASH),
        roster=answer.maybe(answer.opaque, "roster", least=_LEAST_SEALED, most=ROSTER_BYTES),
    )


def envelope(answer: JsonObject) -> Envelope:
    """Read an envelope."""
    return Envelope(
        key_version=answer.whole("keyVersion", least=1),
        wrapped_key=answer.opaque("wrappedKey", least=ENVELOPE_BYTES),
        wrapper_public_key=answer.opaque("wrapperPublicKey", least=_KEY),
        wrapper_device_id=answer.maybe(answer.uuid, "wrapperDeviceId"),
    )


def entry(answer: JsonObject) -> Entry:
    """Read a roster entry."""
    return Entry(
        key_version=answer.whole("keyVersion", least=1),
        sealed=answer.opaque("rosterEntry", least=_LEAST_SEALED, most=ROSTER_BYTES),
        wrapper_device_id=answer.maybe(answer.uuid, "wrapperDeviceId"),
    )


def listed_person(answer: JsonObject, group_id: UUID) -> ListedPerson | None:
    """Read somebody, if they are in the group."""
    shared = answer.children("groups", lambda group: (group.uuid("groupId"), group))
    for shared_id, group in shared:
        if shared_id == group_id:
            return ListedPerson(
                user_id=answer.uuid("id"),
                name=answer.name("name"),
                role=group.choice("role", "admin", "member"),
                joined_at=group.moment("joinedAt"),
                devices=group.children("devices", listed_device),
                phones=group.children("phones", phone) if "phones" in group else [],
            )
    return None


def listed_device(answer: JsonObject) -> ListedDevice:
    """Read a device."""
    return ListedDevice(
        id=answer.uuid("id"),
        public_key=answer.opaque("publicKey", least=_KEY),
        can_act=answer.truth("confirmed"),
        join_proof=answer.maybe(answer.opaque, "joinProof", least=_HASH),
    )


def phone(answer: JsonObject) -> Phone:
    """Read a phone with OwnTracks."""
    return Phone(
        id=answer.uuid("id"), tid=answer.text("tid"), needs_setup=answer.truth("needsSetup")
    )


def new_phone(answer: JsonObject) -> NewPhone:
    """Read a phone just set up, with its password, which is shown once."""
    id_ = answer.uuid("id")
    try:
        password = Token(answer.text("password").encode())
    except NotAuthentic:
        raise AnswerNotUnderstood from None
    if answer.uuid("username") != id_:
        raise AnswerNotUnderstood
    return NewPhone(id=id_, name=answer.name("name"), password=password, tid=answer.text("tid"))


def own_device(answer: JsonObject) -> ListedOwnDevice:
    """Read a device of the caller's."""
    return ListedOwnDevice(
        id=answer.uuid("id"),
        name=answer.name("name"),
        kind=answer.text("kind"),
        created_at=answer.moment("createdAt"),
        last_used_on=answer.day("lastUsedOn"),
        is_this_one=answer.truth("isThisOne"),
        has_key="publicKey" in answer,
        group_id=answer.maybe(answer.uuid, "groupId"),
        tid=answer.maybe(answer.text, "tid"),
        needs_setup=answer.maybe(answer.truth, "needsSetup") or False,
    )


def stored_point(answer: JsonObject) -> StoredPoint:
    """Read a point as every answer has it."""
    is_sealed = "encryptedData" in answer
    return StoredPoint(
        id=answer.uuid("id"),
        group_id=answer.uuid("groupId"),
        user_id=answer.uuid("userId"),
        device_id=answer.uuid("deviceId"),
        recorded_at=answer.moment("recordedAt"),
        received_at=answer.moment("receivedAt"),
        sealed=answer.opaque("encryptedData", least=_LEAST_SEALED, most=LARGEST_MESSAGE)
        if is_sealed
        else None,
        key_version=answer.whole("keyVersion", least=1) if is_sealed else 0,
        place=None
        if is_sealed
        else (
            answer.number("latitude", -90, 90),
            answer.number("longitude", -180, 180),
            answer.number("accuracy", 0, sys.float_info.max),
        ),
    )


def verdict(answer: JsonObject) -> Verdict:
    """Read a verdict."""
    is_stored = answer.choice("status", "stored", "rejected") == "stored"
    return Verdict(id=answer.uuid("id"), code=None if is_stored else answer.text("code"))
