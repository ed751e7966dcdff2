"""Invites by link: the key package behind a link, and the joiner's proof."""

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from draugar.protocol.codes import is_code
from draugar.protocol.errors import NewerFormat, NotAuthentic
from draugar.protocol.json import from_base64url, members, read, text, to_base64url, uuid, written
from draugar.protocol.json import version as checked_version
from draugar.protocol.rosters import RosterEntry, as_json, longest, read_roster
from draugar.protocol.sealing import OVERHEAD, open_sealed, seal
from draugar.protocol.secrets import GroupKey, InviteSecret, Secret, check_public_key
from draugar.protocol.statements import FORM, DeviceKind

PACKAGE_BYTES = 20 * 1024
_PROVED = {DeviceKind.APP: b"", DeviceKind.WEB: b"draugar/join/web/v1"}
"""A browser's proof does not hold as that of another device, nor the other way round."""
_PACKAGE = {
    "groupKey",
    "keyVersion",
    "groupId",
    "inviterUserId",
    "inviterPublicKey",
    "commitment",
    "roster",
}


@dataclass(frozen=True)
class InviteKeys:
    """What both sides of an invite make of its code and its secret."""

    wrap: Secret
    proof: Secret

    @classmethod
    def of(cls, secret: InviteSecret, code: str) -> Self:
        """Derive the keys; `code` is canonical."""
        salt = hashlib.sha256(canonical_code(code)).digest()
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
        check_public_key(self.inviter_public_key)
        if self.commitment != self.group_key.commitment(self.group_id, self.key_version):
            raise NotAuthentic("The group key of this package is not the one it commits to.")


def seal_package(package: Package, keys: InviteKeys) -> bytes:
    """Return at most 20 KiB; raises Unsealable when the roster is too long for that."""
    return seal(_as_json(package), keys.wrap, PACKAGE_BYTES)


def fitted(package: Package) -> Package:
    """Return a package with as many of the first entries of its roster as have room in it."""
    others = len(_as_json(replace(package, roster=[]))) - len("[]")
    room = PACKAGE_BYTES - OVERHEAD - others
    return replace(package, roster=longest(package.roster, room))


def _as_json(package: Package) -> bytes:
    return written(
        {
            "groupKey": package.group_key.value.decode(),
            "keyVersion": package.key_version,
            "groupId": str(package.group_id),
            "inviterUserId": str(package.inviter_user_id),
            "inviterPublicKey": to_base64url(package.inviter_public_key),
            "commitment": to_base64url(package.commitment),
            "roster": as_json(package.roster),
        }
    )


def open_package(sealed: bytes, keys: InviteKeys) -> Package:
    """Return what the inviter put in, which agrees with itself.

    Whether it is about the group that was joined is left to the caller. Raises NotAuthentic, and
    NewerFormat for a package that says that only newer clients can read it.
    """
    value = read(open_sealed(sealed, keys.wrap, PACKAGE_BYTES))
    if isinstance(value, dict) and type(form := value.get("form")) is int and form > FORM:
        raise NewerFormat("This package is of a newer form.")
    opened = members(value, _PACKAGE)
    return Package(
        group_key=GroupKey(text(opened["groupKey"]).encode()),
        key_version=checked_version(opened["keyVersion"]),
        group_id=uuid(opened["groupId"]),
        inviter_user_id=uuid(opened["inviterUserId"]),
        inviter_public_key=from_base64url(text(opened["inviterPublicKey"])),
        commitment=from_base64url(text(opened["commitment"])),
        roster=read_roster(opened["roster"], kinds=True),
    )


def join_proof(
    proof_key: Secret,
    public_key: bytes,
    name: str,
    code: str,
    kind: DeviceKind = DeviceKind.APP,
) -> bytes:
    """Return the 32 bytes that show the inviter that this key is the joiner's own.

    The service stores names without spaces at their ends, so that is what is proved. Raises
    NotAuthentic for what cannot be proved.
    """
    check_public_key(public_key)
    named = hashlib.sha256(text(name).strip().encode()).digest()
    proved = _PROVED[kind] + public_key + named + canonical_code(code)
    return hmac.digest(proof_key.value, proved, "sha256")


def proof_holds(  # noqa: PLR0913, PLR0917 -- a proof, its key, and the four things that it proves
    proof: bytes,
    proof_key: Secret,
    public_key: bytes,
    name: str,
    code: str,
    kind: DeviceKind = DeviceKind.APP,
) -> bool:
    """Whether the maker of the proof held the invite's secret."""
    with suppress(NotAuthentic):
        return hmac.compare_digest(proof, join_proof(proof_key, public_key, name, code, kind))
    return False


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> Secret:
    """HKDF-SHA256 (RFC 5869) for 32 bytes: a single block of its second step."""
    extracted = hmac.digest(salt, secret, "sha256")
    return Secret(hmac.digest(extracted, info + b"\x01", "sha256"))


def canonical_code(code: str) -> bytes:
    """Return the bytes of a code in canonical form. Raises NotAuthentic."""
    if not is_code(code):
        raise NotAuthentic("This is not a code in its canonical form.")
    return code.encode()
