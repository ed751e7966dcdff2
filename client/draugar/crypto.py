"""Every construction of the protocol, as docs/protocol.md describes it: pure functions on bytes.

    keys        DeviceKey, GroupKey, InviteSecret: what only members' devices hold
    envelopes   a group key in an authenticated box, from one device to another
    rosters     whom a member has confirmed, sealed under the group key
    invites     the key package behind a link, and the joiner's proof
    locations   a JSON object, padded and sealed under the group key
    safety      the number that two people compare

All that is opened was in a stranger's hands: whatever is wrong with it raises NotAuthentic and
nothing else. The text of an exception says what does not hold, never what was in it.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, Self
from uuid import UUID

from nacl import bindings
from nacl.exceptions import CryptoError

ENVELOPE_BYTES = 72
ROSTER_BYTES = 16 * 1024
PACKAGE_BYTES = 20 * 1024
LOCATION_BYTES = 4096
LARGEST_MESSAGE = 20 * 1024
"""Bytes of a sealed message that another app posts: OwnTracks attaches pictures."""

_NONCE = bindings.crypto_secretbox_NONCEBYTES
_OVERHEAD = _NONCE + bindings.crypto_secretbox_MACBYTES
_KEY = 32
_BLOCK = 128
_LAST_VERSION = 2**31 - 1
_ROUNDS = 5200
_LARGEST_NUMBER = 2**53 - 1
_DEEPEST_NESTING = 16
_CODE = re.compile("[A-HJ-NP-Z2-9]{8,32}")
_ENTRY = {"userId", "name", "deviceId", "publicKey"}
_PACKAGE = {
    "groupKey",
    "keyVersion",
    "groupId",
    "inviterUserId",
    "inviterPublicKey",
    "commitment",
    "roster",
}


class NotAuthentic(Exception):
    """Something does not open, does not match, or does not have the form it should have."""


class NotALocation(NotAuthentic):
    """It opens, so a holder of the key sealed it; but it is no JSON object that all read alike."""


class Unsealable(Exception):
    """What should be sealed is too large, or not JSON that everybody reads alike."""


class Secret:
    """Bytes that are shown nowhere and compared in constant time."""

    __slots__ = ("_value",)
    _form: ClassVar[re.Pattern[bytes]] = re.compile(rb"(?s:.*)")

    def __init__(self, value: bytes) -> None:
        """Raises NotAuthentic for bytes that cannot be such a secret."""
        if self._form.fullmatch(value) is None:
            raise NotAuthentic(f"This is not the form of a {type(self).__name__}.")
        self._value = value

    @property
    def value(self) -> bytes:
        """The bytes themselves."""
        return self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is stored on purpose or not at all.")


class GroupKey(Secret):
    """A group's key of one version: 32 characters, so that it can also be typed or scanned."""

    __slots__ = ()
    _form = re.compile(rb"[A-Za-z0-9_-]{32}")

    @classmethod
    def make(cls) -> Self:
        """Make a new key: 192 random bits as base64url."""
        return cls(secrets.token_urlsafe(24).encode())

    def commitment(self, group_id: UUID, version: int) -> bytes:
        """Return the 32 bytes that show, without showing it, which key a version has."""
        number = _version(version).to_bytes(4, "big")
        said = b"draugar/group-key/v1" + group_id.bytes + number + self.value
        return hashlib.sha256(said).digest()


class DeviceKey(Secret):
    """A device's X25519 secret key, which never leaves it."""

    __slots__ = ()
    _form = re.compile(rb"(?s:.{32})")

    @classmethod
    def make(cls) -> Self:
        """Make the key pair of a new device."""
        return cls(bindings.crypto_box_keypair()[1])

    @property
    def public(self) -> bytes:
        """The public half: 32 bytes."""
        return bindings.crypto_scalarmult_base(self.value)


class InviteSecret(Secret):
    """What stands in an invite link and nowhere else."""

    __slots__ = ()
    _form = re.compile(rb"(?s:.{16})")

    @classmethod
    def make(cls) -> Self:
        """Make the secret of a new invite."""
        return cls(secrets.token_bytes(16))

    @classmethod
    def read(cls, text: str) -> Self:
        """Read it as a link has it; raises NotAuthentic."""
        return cls(from_base64url(text))

    @property
    def text(self) -> str:
        """As a link has it: 22 characters."""
        return to_base64url(self.value)


# Envelopes: authenticated boxes. A sealed box would not say who sealed it, so whoever passes it
# on could put another key in its place.


def wrap(key: GroupKey, recipient_public: bytes, wrapper: DeviceKey) -> bytes:
    """Return the 72 bytes by which one device hands another a group key.

    Raises NotAuthentic for a public key that agrees on the same secret with everybody.
    """
    nonce = secrets.token_bytes(_NONCE)
    with suppress(CryptoError):
        return nonce + bindings.crypto_box_easy(key.value, nonce, recipient_public, wrapper.value)
    raise NotAuthentic("Nothing can be wrapped for this public key.")


def unwrap(wrapped: bytes, wrapper_public: bytes, recipient: DeviceKey) -> GroupKey:
    """Return the key that the wrapper put in; raises NotAuthentic.

    Whether the wrapper is trusted, and whether the key matches the version's commitment, is left
    to the caller.
    """
    if len(wrapped) == ENVELOPE_BYTES:
        nonce, box = wrapped[:_NONCE], wrapped[_NONCE:]
        with suppress(CryptoError):
            value = bindings.crypto_box_open_easy(box, nonce, wrapper_public, recipient.value)
            return GroupKey(value)
    raise NotAuthentic("This envelope was not made for this device by that wrapper.")


# Rosters


@dataclass(frozen=True)
class RosterEntry:
    """A device that somebody has confirmed, and whose it is."""

    user_id: UUID
    name: str = field(repr=False)
    device_id: UUID
    public_key: bytes

    def __post_init__(self) -> None:
        """Raises NotAuthentic for what could not be a device's."""
        _text(self.name)
        _public(self.public_key)


def seal_roster(entries: Iterable[RosterEntry], key: GroupKey) -> bytes:
    """Return at most 16 KiB; raises Unsealable when there are too many for that."""
    return _seal(_written(_as_json(entries)), key, ROSTER_BYTES)


def open_roster(sealed: bytes, key: GroupKey) -> list[RosterEntry]:
    """Return whom its author has confirmed; raises NotAuthentic."""
    return _read_roster(_read(_open(sealed, key, ROSTER_BYTES)))


def _as_json(entries: Iterable[RosterEntry]) -> list[dict[str, str]]:
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
        for entry in roster
    ]


def _read_roster(value: object) -> list[RosterEntry]:
    if not isinstance(value, list):
        raise NotAuthentic("This is not a roster.")
    entries = [_read_entry(_members(item, _ENTRY)) for item in value]
    if len({entry.device_id for entry in entries}) != len(entries):
        raise NotAuthentic("A device stands in this roster more than once.")
    return entries


def _read_entry(members: dict[str, Any]) -> RosterEntry:
    return RosterEntry(
        user_id=_uuid(members["userId"]),
        name=_text(members["name"]),
        device_id=_uuid(members["deviceId"]),
        public_key=from_base64url(_text(members["publicKey"])),
    )


# Invites by link


@dataclass(frozen=True)
class InviteKeys:
    """What both sides of an invite make of its code and its secret."""

    wrap: Secret
    proof: Secret

    @classmethod
    def of(cls, secret: InviteSecret, code: str) -> Self:
        """Derive the keys; `code` is canonical."""
        salt = hashlib.sha256(_canonical(code)).digest()
        return cls(
            wrap=_hkdf(secret.value, salt, b"draugar/invite/wrap"),
            proof=_hkdf(secret.value, salt, b"draugar/invite/proof"),
        )


@dataclass(frozen=True)
class Package:
    """All that a joiner needs to read at once, while the inviter is away."""

    group_key: GroupKey
    key_version: int
    group_id: UUID
    inviter_user_id: UUID
    inviter_public_key: bytes
    commitment: bytes
    roster: list[RosterEntry]

    def __post_init__(self) -> None:
        """Raises NotAuthentic for a package that does not agree with itself."""
        _public(self.inviter_public_key)
        if self.commitment != self.group_key.commitment(self.group_id, self.key_version):
            raise NotAuthentic("The group key of this package is not the one it commits to.")


def seal_package(package: Package, keys: InviteKeys) -> bytes:
    """Return at most 20 KiB; raises Unsealable when the roster is too long for that."""
    text = _written(
        {
            "groupKey": package.group_key.value.decode(),
            "keyVersion": package.key_version,
            "groupId": str(package.group_id),
            "inviterUserId": str(package.inviter_user_id),
            "inviterPublicKey": to_base64url(package.inviter_public_key),
            "commitment": to_base64url(package.commitment),
            "roster": _as_json(package.roster),
        }
    )
    return _seal(text, keys.wrap, PACKAGE_BYTES)


def open_package(sealed: bytes, keys: InviteKeys) -> Package:
    """Return what the inviter put in, which agrees with itself; raises NotAuthentic.

    Whether it is about the group that was joined is left to the caller.
    """
    members = _members(_read(_open(sealed, keys.wrap, PACKAGE_BYTES)), _PACKAGE)
    return Package(
        group_key=GroupKey(_text(members["groupKey"]).encode()),
        key_version=_version(members["keyVersion"]),
        group_id=_uuid(members["groupId"]),
        inviter_user_id=_uuid(members["inviterUserId"]),
        inviter_public_key=from_base64url(_text(members["inviterPublicKey"])),
        commitment=from_base64url(_text(members["commitment"])),
        roster=_read_roster(members["roster"]),
    )


def join_proof(proof_key: Secret, public_key: bytes, name: str, code: str) -> bytes:
    """Return the 32 bytes that show the inviter that this key is the joiner's own.

    The service stores names without spaces at their ends, so that is what is proved. Raises
    NotAuthentic for what cannot be proved.
    """
    _public(public_key)
    named = hashlib.sha256(_text(name).strip().encode()).digest()
    return hmac.digest(proof_key.value, public_key + named + _canonical(code), "sha256")


def proof_holds(proof: bytes, proof_key: Secret, public_key: bytes, name: str, code: str) -> bool:
    """Say whether whoever made the proof held the invite's secret."""
    with suppress(NotAuthentic):
        return hmac.compare_digest(proof, join_proof(proof_key, public_key, name, code))
    return False


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> Secret:
    """HKDF-SHA256 (RFC 5869) for 32 bytes: a single block of its second step."""
    extracted = hmac.digest(salt, secret, "sha256")
    return Secret(hmac.digest(extracted, info + b"\x01", "sha256"))


def _canonical(code: str) -> bytes:
    if _CODE.fullmatch(code) is None:
        raise NotAuthentic("This is not a code in its canonical form.")
    return code.encode()


# Locations


def seal_location(location: Mapping[str, Any], key: GroupKey) -> bytes:
    """Return 41 to 4096 bytes, whose number says little about the location.

    Raises Unsealable.
    """
    text = _written(location)
    return _seal(text + b" " * (-len(text) % _BLOCK), key, LOCATION_BYTES)


def open_location(sealed: bytes, key: GroupKey, *, largest: int = LOCATION_BYTES) -> dict[str, Any]:
    """Return the JSON object that a holder of the key sealed, of at most so many sealed bytes.

    OwnTracks and the first Draugar app seal the same way, with members of their own; a phone with
    OwnTracks posts up to LARGEST_MESSAGE. Raises NotAuthentic, and NotALocation for what does open.
    """
    opened = _open(sealed, key, largest)
    with suppress(NotAuthentic):
        value = _read(opened)
        if isinstance(value, dict):
            return value
    raise NotALocation("This opens, but is not a location.")


# The safety number


def safety_number(
    one: tuple[UUID, Collection[bytes]], other: tuple[UUID, Collection[bytes]]
) -> str:
    """Return 12 groups of 5 digits for two people and the public keys of their devices.

    The order of the two is all the same. Raises NotAuthentic when there is nothing to compare.
    """
    if one[0] == other[0] or any({len(key) for key in keys} != {_KEY} for _, keys in (one, other)):
        raise NotAuthentic("A safety number takes two people, each with a device that has a key.")
    halves = sorted(user_id.bytes + b"".join(sorted({*keys})) for user_id, keys in (one, other))
    said = b"draugar/safety/v1" + b"".join(halves)
    digests = _iterated(said), _iterated(b"\x01" + said)
    fives = (digest[start : start + 5] for digest in digests for start in range(0, 30, 5))
    return " ".join(f"{int.from_bytes(five, 'big') % 100_000:05}" for five in fives)


def _iterated(said: bytes) -> bytes:
    digest = b""
    for _ in range(_ROUNDS):
        digest = hashlib.sha512(digest + said).digest()
    return digest


# Sealing


def _seal(plain: bytes, key: Secret, most: int) -> bytes:
    if len(plain) + _OVERHEAD > most:
        raise Unsealable("This is larger than the service takes.")
    nonce = secrets.token_bytes(_NONCE)
    return nonce + bindings.crypto_secretbox_easy(plain, nonce, key.value)


def _open(sealed: bytes, key: Secret, most: int) -> bytes:
    if len(sealed) <= most:
        with suppress(CryptoError):
            return bindings.crypto_secretbox_open_easy(sealed[_NONCE:], sealed[:_NONCE], key.value)
    raise NotAuthentic("This was not sealed with that key, or not as it is now.")


# JSON: every reader, in whatever language, has to understand the same by it.


def _written(value: object) -> bytes:
    with suppress(TypeError, ValueError, RecursionError):
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        _parsed(text)
        return text.encode()
    raise Unsealable("This is not JSON that everybody reads alike.")


def _read(text: bytes) -> object:
    with suppress(ValueError, RecursionError):
        return _parsed(text.decode())
    raise NotAuthentic("This opens, but is not JSON that everybody reads alike.")


def _parsed(text: str) -> object:
    value = _READER.decode(text)
    _check(value, _DEEPEST_NESTING)
    return value


def _check(value: object, levels: int) -> None:
    if isinstance(value, str):
        value.encode()  # a lone surrogate has no UTF-8
    elif isinstance(value, int | float):
        if not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:  # nor is NaN between them
            raise ValueError
    elif isinstance(value, list | dict):
        if not levels:
            raise ValueError
        for item in value:
            _check(item, levels - 1)
        if isinstance(value, dict):
            for item in value.values():
                _check(item, levels - 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


_READER = json.JSONDecoder(object_pairs_hook=_object)


def _members(value: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        raise NotAuthentic("This opens, but a member of it is missing or unknown.")
    return value


def _text(value: object) -> str:
    with suppress(UnicodeEncodeError):
        if isinstance(value, str) and value.encode():
            return value
    raise NotAuthentic("This is not a text, or an empty one.")


def _uuid(value: object) -> UUID:
    with suppress(ValueError):
        if isinstance(value, str) and str(found := UUID(value)) == value:
            return found
    raise NotAuthentic("This is not an id.")


def _version(value: object) -> int:
    if type(value) is not int or not 1 <= value <= _LAST_VERSION:
        raise NotAuthentic("This is not the version of a key.")
    return value


def _public(value: bytes) -> None:
    if len(value) != _KEY:
        raise NotAuthentic("A public key has 32 bytes.")


def to_base64url(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Read base64url without padding, the one way there is to write it; raises NotAuthentic."""
    with suppress(ValueError):
        found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if to_base64url(found) == text:
            return found
    raise NotAuthentic("This is not base64url without padding.")
