"""The safety number that two people compare."""

import hashlib
from collections.abc import Collection
from uuid import UUID

from draugar.protocol.errors import NotAuthentic
from draugar.protocol.secrets import KEY_BYTES, check_public_key
from draugar.protocol.statements import DeviceKind

_ROUNDS = 5200


def device_token(public_key: bytes, kind: DeviceKind) -> bytes:
    """Return the 32 bytes by which a device stands in a safety number. Raises NotAuthentic.

    A browser has others than its public key, so that two people do not see the same number where
    the service calls a device a browser to one of them only.
    """
    check_public_key(public_key)
    if kind is DeviceKind.APP:
        return public_key
    return hashlib.sha256(b"draugar/device/web/v1" + public_key).digest()


def safety_number(
    one: tuple[UUID, Collection[bytes]], other: tuple[UUID, Collection[bytes]]
) -> str:
    """Return 12 groups of 5 digits for two people and the tokens of their devices.

    The order of the two is all the same. Raises NotAuthentic when there is nothing to compare.
    """
    if one[0] == other[0] or any(
        {len(token) for token in tokens} != {KEY_BYTES} for _, tokens in (one, other)
    ):
        raise NotAuthentic("A safety number takes two people, each with a device that has a key.")
    halves = sorted(user_id.bytes + b"".join(sorted({*tokens})) for user_id, tokens in (one, other))
    said = b"draugar/safety/v1" + b"".join(halves)
    digests = _iterated(said), _iterated(b"\x01" + said)
    fives = (digest[start : start + 5] for digest in digests for start in range(0, 30, 5))
    return " ".join(f"{int.from_bytes(five, 'big') % 100_000:05}" for five in fives)


def _iterated(said: bytes) -> bytes:
    digest = b""
    for _ in range(_ROUNDS):
        digest = hashlib.sha512(digest + said).digest()
    return digest
