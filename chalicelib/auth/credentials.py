"""Tokens: what a device shows, what is kept of it, and who it turns out to be.

256 random bits need no slow hash: SHA-256 is all that stands at rest, and a lookup by it tells
nothing through its timing.
"""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from uuid import UUID

TOKEN_PREFIX = "draugar_"  # noqa: S105 -- how people and secret scanners recognise a token
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{43}}")


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What a request brought to say who is calling: not yet anybody."""

    kind: str
    token_hash: bytes = field(repr=False)

    @property
    def parameters(self) -> dict[str, object]:
        """The values that `auth.queries.caller()` waits for."""
        return {"caller_kind": self.kind, "caller_token_hash": self.token_hash}


@dataclass(frozen=True, kw_only=True)
class PhoneCredential(Credential):
    """What a phone with OwnTracks brings: as which device it signs in, and that device's token."""

    device_id: UUID

    @property
    def parameters(self) -> dict[str, object]:
        """The values that `auth.queries.phone()` waits for."""
        return super().parameters | {"caller_device_id": self.device_id}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who is calling, by which device. Only `auth.authenticate` makes one."""

    user_id: UUID
    device_id: UUID
    credential: Credential


def make_token() -> str:
    """Return a new token, the only copy there will be."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """Return the 32 bytes under which a token is found."""
    return hashlib.sha256(token.encode()).digest()


def app_credential(token: str) -> Credential | None:
    """Return the credential of an app's token, or None when it cannot be one."""
    if _TOKEN.fullmatch(token) is None:
        return None
    return Credential(kind="app", token_hash=hash_token(token))


def phone_credential(basic: str) -> PhoneCredential | None:
    """Return the credential of what follows `Basic`, or None when it cannot be one."""
    try:
        username, _, password = base64.b64decode(basic, validate=True).decode().partition(":")
        device_id = UUID(username)
    except (binascii.Error, ValueError):
        return None
    if _TOKEN.fullmatch(password) is None:
        return None
    return PhoneCredential(kind="owntracks", token_hash=hash_token(password), device_id=device_id)
