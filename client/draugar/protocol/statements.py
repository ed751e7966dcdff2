"""Statements: what a device says of devices, sealed under a group key and signed by its own key.

    sealed    = nonce (24) || secretbox(JSON || signature (64), nonce, group key of the version)
    signature = XEdDSA(device key, "draugar/statement/v2" || group id || version || `by` || JSON)

Every form has this frame and the members `form`, `is` and `by`, so that a reader knows the author
of a statement that it cannot read otherwise.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from draugar.protocol import json, signing
from draugar.protocol.errors import NotAuthentic, Unsealable
from draugar.protocol.sealing import OVERHEAD, open_sealed, seal
from draugar.protocol.secrets import KEY_BYTES, DeviceKey, GroupKey
from draugar.text.naming import is_name

FORM = 2
MOST_PEOPLE = 50
MOST_DEVICES = 150
MOST_GONE = 200
MOST_OWN = 16
LAST_NUMBER = json.LAST_VERSION
LAST_SECOND = 253_402_300_799
"""The last second of the year 9999: the greatest time that every language can show."""
_PREFIX = b"draugar/statement/v2"
_Choice = TypeVar("_Choice", bound=StrEnum)


class DeviceKind(StrEnum):
    """What a device runs."""

    APP = "app"
    WEB = "web"


class Browsers(StrEnum):
    """Whether a group gives its key to devices of the kind `web`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, order=True)
class Device:
    """A device; these four never change."""

    user_id: UUID
    device_id: UUID
    public_key: bytes
    kind: DeviceKind


@dataclass(frozen=True)
class Introduction:
    """A device as another one introduces it, from a key version on."""

    device: Device
    since: int
    name: str | None = field(default=None, repr=False)
    """The name of its person; None where the statement leaves it out, and in a card."""


@dataclass(frozen=True)
class Roster:
    """What the author of a key version says: who gets the key, and which devices have gone."""

    by: UUID
    commitment: bytes
    made: int
    """When the version was made, in seconds of Unix time by the author's clock."""
    browsers: Browsers
    complete: bool
    """False where more devices have gone than `gone` holds."""
    introductions: tuple[Introduction, ...]
    """Of one person all with the same name."""
    gone: tuple[tuple[UUID, int], ...] = ()
    """Devices, each with the version up to which it may know the keys."""


@dataclass(frozen=True)
class Entry:
    """What a device says of another one that it trusts, while a version is the present one."""

    by: UUID
    introduction: Introduction


@dataclass(frozen=True)
class Card:
    """What a device says of its own person: the name, and which other devices are theirs."""

    by: UUID
    user_id: UUID
    n: int
    """Of several names of a person the one with the greatest (n, by) holds."""
    name: str = field(repr=False)
    kind: DeviceKind
    own: tuple[Introduction, ...] = ()
    """Devices of `user_id`, without a name."""


@dataclass(frozen=True)
class Former:
    """Until when, in seconds of Unix time, a version was the present one; to own devices."""

    by: UUID
    until: int


@dataclass(frozen=True)
class NewerForm:
    """A statement that only a newer client can read."""

    by: UUID
    form: int


@dataclass(frozen=True)
class Unreadable:
    """What does not open, or breaks a rule; `by` is who it says made it, where that is readable."""

    by: UUID | None = None


Statement = Roster | Entry | Card | Former

MOST_BYTES: Mapping[type[Statement], int] = {
    Roster: 56 * 1024,
    Entry: 768,
    Card: 3 * 1024,
    Former: 256,
}
"""Bytes of a sealed statement that the service takes."""


@dataclass(frozen=True)
class Opened:
    """A statement that was sealed under a group key; who signed it is still to be verified."""

    statement: Statement | NewerForm | Unreadable
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    def is_signed_by(self, public_key: bytes, *, group_id: UUID, version: int) -> bool:
        """Whether the device `statement.by`, with this public key, signed it for that version."""
        by = self.statement.by
        if by is None or not 0 <= version <= LAST_NUMBER:
            return False
        message = _message(self.signed, group_id=group_id, version=version, by=by)
        return signing.verify(public_key, message, self.signature)


def seal_statement(
    statement: Statement, *, group_id: UUID, version: int, device_key: DeviceKey, key: GroupKey
) -> bytes:
    """Sign a statement by the device `by` and seal it under the key of a version.

    Raises Unsealable for one that breaks a bound: readers would refuse it.
    """
    text = json.written(_as_json(statement))
    try:
        _check(statement)
        json.version(version)
    except NotAuthentic as wrong:
        raise Unsealable(str(wrong)) from None
    signature = signing.sign(
        device_key, _message(text, group_id=group_id, version=version, by=statement.by)
    )
    return seal(text + signature, key, MOST_BYTES[type(statement)])


def open_statement(sealed: bytes, *, key: GroupKey) -> Opened:
    """Return what was sealed under a version's key; never raises.

    Its `statement` is Unreadable where it does not open or breaks a rule, and NewerForm where it
    takes a newer client to read it. Neither says anything about a device.
    """
    try:
        plain = open_sealed(sealed, key, max(MOST_BYTES.values()))
        text, signature = _split(plain)
        value, by = _authored(json.read(text))
    except NotAuthentic:
        return Opened(Unreadable())
    try:
        statement = _read(value, by)
    except NotAuthentic:
        return Opened(Unreadable(by=by), text, signature)
    fits = isinstance(statement, NewerForm) or len(sealed) <= MOST_BYTES[type(statement)]
    return Opened(statement if fits else Unreadable(by=by), text, signature)


def fitted(roster: Roster) -> Roster | None:
    """Return a roster within its bounds, or None where leaving out names is not enough.

    A public key that no device can have goes, as does a name that breaks the rules; then all
    names. Of the devices that have gone the newest stay, and the roster is not complete.
    """
    gone, complete = roster.gone, roster.complete
    if len(gone) > MOST_GONE:
        newest = sorted(gone, key=lambda one: (-one[1], one[0]))
        gone, complete = tuple(newest[:MOST_GONE]), False
    named = tuple(
        one if one.name is None or is_name(one.name) else replace(one, name=None)
        for one in roster.introductions
        if signing.is_device_key(one.device.public_key)
    )
    nameless = tuple(replace(one, name=None) for one in named)
    for introductions in (named, nameless):
        found = replace(roster, introductions=introductions, gone=gone, complete=complete)
        if _fits(found):
            return found
    return None


def _fits(statement: Statement) -> bool:
    try:
        _check(statement)
        size = OVERHEAD + len(json.written(_as_json(statement))) + signing.SIGNATURE_BYTES
    except (NotAuthentic, Unsealable):
        return False
    return size <= MOST_BYTES[type(statement)]


# The frame


def _message(text: bytes, *, group_id: UUID, version: int, by: UUID) -> bytes:
    return _PREFIX + group_id.bytes + version.to_bytes(4, "big") + by.bytes + text


def _split(plain: bytes) -> tuple[bytes, bytes]:
    end = len(plain) - signing.SIGNATURE_BYTES
    if end < 0:
        raise NotAuthentic("This holds no signature.")
    return plain[:end], plain[end:]


def _authored(value: object) -> tuple[dict[str, Any], UUID]:
    """Return a statement of any form and the device that it says to be of."""
    if not isinstance(value, dict):
        raise NotAuthentic("This is not a statement.")
    return value, json.uuid(value.get("by"))


def _read(value: dict[str, Any], by: UUID) -> Statement | NewerForm:
    form = _number(value.get("form"), LAST_NUMBER)
    if form > FORM:
        return NewerForm(by=by, form=form)
    reader = _READERS.get(value["is"]) if isinstance(value.get("is"), str) else None
    if form < FORM or reader is None:
        raise NotAuthentic("This is not a statement of form 2.")
    statement = reader(value, by)
    _check(statement)
    return statement


# Members


def _as_json(statement: Statement) -> dict[str, Any]:
    frame = {"form": FORM, "is": type(statement).__name__.lower(), "by": str(statement.by)}
    match statement:
        case Roster():
            return frame | {
                "commitment": json.to_base64url(statement.commitment),
                "made": statement.made,
                "browsers": statement.browsers,
                "complete": statement.complete,
                "people": _people(statement.introductions),
                "gone": [[str(device_id), ended] for device_id, ended in statement.gone],
            }
        case Entry(introduction=one):
            named = {} if one.name is None else {"name": one.name}
            return frame | {"userId": str(one.device.user_id)} | named | {"device": _device(one)}
        case Card():
            return frame | {
                "userId": str(statement.user_id),
                "n": statement.n,
                "name": statement.name,
                "kind": statement.kind,
                "own": [_device(one) for one in statement.own],
            }
        case Former():
            return frame | {"until": statement.until}


def _people(introductions: Iterable[Introduction]) -> list[dict[str, Any]]:
    """Group devices by person. Raises Unsealable for a person with several names."""
    people: dict[UUID, list[Introduction]] = {}
    for one in introductions:
        people.setdefault(one.device.user_id, []).append(one)
    if any(len({one.name for one in theirs}) > 1 for theirs in people.values()):
        raise Unsealable("A person in this roster has several names.")
    return [
        {"userId": str(user_id)}
        | ({} if theirs[0].name is None else {"name": theirs[0].name})
        | {"devices": [_device(one) for one in theirs]}
        for user_id, theirs in people.items()
    ]


def _device(introduction: Introduction) -> dict[str, Any]:
    return {
        "deviceId": str(introduction.device.device_id),
        "publicKey": json.to_base64url(introduction.device.public_key),
        "kind": introduction.device.kind,
        "since": introduction.since,
    }


_FRAME = {"form", "is", "by"}


def _read_roster(value: object, by: UUID) -> Roster:
    names = {*_FRAME, "commitment", "made", "browsers", "complete", "people", "gone"}
    found = json.members(value, names)
    people = [_read_person(person) for person in _items(found["people"], MOST_PEOPLE)]
    if _repeats(theirs[0].device.user_id for theirs in people):
        raise NotAuthentic("A person stands in this roster twice.")
    return Roster(
        by=by,
        commitment=json.from_base64url(json.text(found["commitment"])),
        made=_number(found["made"], LAST_SECOND),
        browsers=_one_of(Browsers, found["browsers"]),
        complete=_truth(found["complete"]),
        introductions=tuple(one for theirs in people for one in theirs),
        gone=tuple(_read_gone(item) for item in _items(found["gone"], MOST_GONE)),
    )


def _read_entry(value: object, by: UUID) -> Entry:
    found = _optionally_named(value, {*_FRAME, "userId", "device"})
    return Entry(by, _read_device(found["device"], json.uuid(found["userId"]), found.get("name")))


def _read_card(value: object, by: UUID) -> Card:
    found = json.members(value, {*_FRAME, "userId", "n", "name", "kind", "own"})
    user_id = json.uuid(found["userId"])
    return Card(
        by=by,
        user_id=user_id,
        n=_number(found["n"], LAST_NUMBER),
        name=json.text(found["name"]),
        kind=_one_of(DeviceKind, found["kind"]),
        own=tuple(_read_device(one, user_id, None) for one in _items(found["own"], MOST_OWN)),
    )


def _read_former(value: object, by: UUID) -> Former:
    found = json.members(value, {*_FRAME, "until"})
    return Former(by=by, until=_number(found["until"], LAST_SECOND))


_READERS: Mapping[str, Callable[[object, UUID], Statement]] = {
    "roster": _read_roster,
    "entry": _read_entry,
    "card": _read_card,
    "former": _read_former,
}


def _read_person(value: object) -> list[Introduction]:
    found = _optionally_named(value, {"userId", "devices"})
    user_id, theirs = json.uuid(found["userId"]), _items(found["devices"], MOST_DEVICES)
    if not theirs:
        raise NotAuthentic("A person in this roster has no device.")
    return [_read_device(one, user_id, found.get("name")) for one in theirs]


def _optionally_named(value: object, names: set[str]) -> dict[str, Any]:
    has_name = isinstance(value, dict) and "name" in value
    found = json.members(value, names | {"name"} if has_name else names)
    if has_name:
        json.text(found["name"])
    return found


def _read_device(value: object, user_id: UUID, name: str | None) -> Introduction:
    found = json.members(value, {"deviceId", "publicKey", "kind", "since"})
    device = Device(
        user_id=user_id,
        device_id=json.uuid(found["deviceId"]),
        public_key=json.from_base64url(json.text(found["publicKey"])),
        kind=_one_of(DeviceKind, found["kind"]),
    )
    return Introduction(device, _number(found["since"], LAST_NUMBER), name)


def _read_gone(value: object) -> tuple[UUID, int]:
    match value:
        case [device_id, ended]:
            return json.uuid(device_id), _number(ended, LAST_NUMBER)
    raise NotAuthentic("This is not a device that has gone.")


def _items(value: object, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise NotAuthentic("This is not a list, or one that is too long.")
    return value


def _number(value: object, last: int) -> int:
    if type(value) is not int or not 0 <= value <= last:
        raise NotAuthentic("This is not a whole number, or one that is too large.")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise NotAuthentic("This is neither true nor false.")
    return value


def _one_of(choices: type[_Choice], value: object) -> _Choice:
    for choice in choices:
        if value == choice.value:
            return choice
    raise NotAuthentic("This is none of the values that it may have.")


# Bounds, the same for writing and for reading


def _check(statement: Statement) -> None:
    """Raises NotAuthentic for a statement that breaks a bound."""
    match statement:
        case Roster():
            _check_roster(statement)
        case Entry(introduction=one):
            _check_introductions([one], most=1)
        case Card():
            _check_name(statement.name)
            _number(statement.n, LAST_NUMBER)
            _check_introductions(statement.own, most=MOST_OWN)
            if any(one.device.user_id != statement.user_id or one.name for one in statement.own):
                raise NotAuthentic("A card introduces devices of its own person, without names.")
        case Former():
            _number(statement.until, LAST_SECOND)


def _check_roster(roster: Roster) -> None:
    if len(roster.commitment) != KEY_BYTES:
        raise NotAuthentic("A commitment has 32 bytes.")
    _number(roster.made, LAST_SECOND)
    _check_introductions(roster.introductions, most=MOST_DEVICES)
    if len({one.device.user_id for one in roster.introductions}) > MOST_PEOPLE:
        raise NotAuthentic("There are too many people in this roster.")
    if len(roster.gone) > MOST_GONE or _repeats(device_id for device_id, _ in roster.gone):
        raise NotAuthentic("Too many devices have gone by this roster, or one of them twice.")
    for _, ended in roster.gone:
        _number(ended, LAST_NUMBER)


def _check_introductions(introductions: Iterable[Introduction], *, most: int) -> None:
    found = list(introductions)
    if len(found) > most:
        raise NotAuthentic("There are too many devices in this statement.")
    if _repeats(one.device.device_id for one in found) or _repeats(
        one.device.public_key for one in found
    ):
        raise NotAuthentic("A device or a public key stands in this statement twice.")
    for one in found:
        _number(one.since, LAST_NUMBER)
        if one.name is not None:
            _check_name(one.name)
        if not signing.is_device_key(one.device.public_key):
            raise NotAuthentic("This is not a public key that a device can have.")


def _check_name(name: str) -> None:
    if not is_name(name):
        raise NotAuthentic("This is not a name.")


def _repeats(values: Iterable[object]) -> bool:
    found = list(values)
    return len({*found}) != len(found)
