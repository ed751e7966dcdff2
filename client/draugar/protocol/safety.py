"""The safety number that two people compare."""

import hashlib
from collections.abc import Collection
from uuid import UUID

from draugar.protocol.errors import NotAuthentic
from draugar.protocol.secrets import KEY_BYTES

_ROUNDS = 5200


def safety_number(
    one: tuple[UUID, Collection[bytes]], other: tuple[UUID, Collection[bytes]]
) -> str:
    """Return 12 groups of 5 digits for two people and the public keys of their devices.

    The order of the two is all the same. Raises NotAuthentic when there is nothing to compare.
    """
    if one[0] == other[0] or any(
        {len(key) for key in keys} != {KEY_BYTES} for _, keys in (one, other)
    ):
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
