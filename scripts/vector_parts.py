"""What the test vectors are made of: ids, keys and nonces that are the same each time."""

import base64
import hashlib
import json
from typing import Any
from uuid import UUID

from nacl import bindings

Json = dict[str, Any]

GROUP = UUID("019f1ccc-9f40-7c1a-9c5e-5d9a4f1f0a77")
OTHER_GROUP = UUID("019f1ccc-9f40-7c1a-9c5e-5d9a4f1f0a78")
UNA = UUID("019f1ccc-9f41-7aaa-8001-000000000001")
UNAS_PHONE = UUID("019f1ccc-9f41-7bbb-8001-000000000001")
ARI = UUID("019f1ccc-9f42-7aaa-8002-000000000002")
ARIS_PHONE = UUID("019f1ccc-9f42-7bbb-8002-000000000002")
CODE = "RT5WLJ8BK2MNP4QX"
OTHER_CODE = "RT5WLJ8BK2MNP4QY"
KEY = base64.urlsafe_b64encode(bytes(range(24)))
OTHER_KEY = base64.urlsafe_b64encode(bytes(range(100, 124)))
SECRET = bytes(range(200, 216))
LOW_ORDER = {
    "all zero": bytes(32),
    "the point of order 1": b"\x01" + bytes(31),
    "a point of order 8": bytes.fromhex(
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
    ),
}


def key_pair(name: str) -> tuple[bytes, bytes]:
    """Return the secret and the public key of one of the devices here."""
    secret = hashlib.sha256(f"draugar/vectors/{name}".encode()).digest()
    return secret, bindings.crypto_scalarmult_base(secret)


def nonce_for(purpose: str) -> bytes:
    """Return a nonce, each used once."""
    return hashlib.sha256(f"draugar/vectors/nonce/{purpose}".encode()).digest()[:24]


def random_for(purpose: str) -> bytes:
    """Return 64 bytes that are random for a signature."""
    return hashlib.sha512(f"draugar/vectors/random/{purpose}".encode()).digest()


def sealed_as(plain: bytes, purpose: str, key: bytes) -> bytes:
    """Return nonce and secretbox."""
    nonce = nonce_for(purpose)
    return nonce + bindings.crypto_secretbox_easy(plain, nonce, key)


def tampered(value: bytes, position: int = -1) -> bytes:
    """Return bytes of which one has another bit."""
    changed = bytearray(value)
    changed[position] ^= 1
    return bytes(changed)


def base64url(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def compact(value: Any) -> str:
    """Return JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without(value: Json, name: str) -> Json:
    """Return an object without one of its members."""
    return {other: member for other, member in value.items() if other != name}


def commitment_to(group_id: UUID, version: int, key: bytes) -> bytes:
    """Return the commitment to the group key of a version."""
    said = b"draugar/group-key/v1" + group_id.bytes + version.to_bytes(4, "big") + key
    return hashlib.sha256(said).digest()
