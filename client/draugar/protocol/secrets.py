"""Keys and secrets, which only members' devices hold."""

import hashlib
import hmac
import re
import secrets
from typing import ClassVar, NoReturn, Self
from uuid import UUID

from nacl import bindings

from draugar.protocol.errors import NotAuthentic
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.json import version as checked_version

KEY_BYTES = 32


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
        number = checked_version(version).to_bytes(4, "big")
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


class Token(Secret):
    """A token or password by which the service knows a device."""

    __slots__ = ()
    _form = re.compile(rb"[A-Za-z0-9._~-]{16,256}")


def check_public_key(value: bytes) -> None:
    """Check the length of a public key. Raises NotAuthentic."""
    if len(value) != KEY_BYTES:
        raise NotAuthentic("A public key has 32 bytes.")
