"""Signatures by a device key: XEdDSA over X25519 (Signal's specification, revision 1).

A signature is an Ed25519 signature by the Edwards form of the device's public key, so libsodium
verifies it. The secret is only given to libsodium's scalar operations, which take constant time.
"""

import hashlib
import secrets
from contextlib import suppress
from functools import lru_cache

from nacl import bindings
from nacl.exceptions import CryptoError

from draugar.protocol.secrets import KEY_BYTES, DeviceKey

SIGNATURE_BYTES = 64
RANDOM_BYTES = 64
_PRIME = 2**255 - 19
_HASH_1 = b"\xfe" + b"\xff" * 31
"""What separates the hash for the nonce from the other one: 2^256 - 2, little-endian."""


def sign(key: DeviceKey, message: bytes, *, random: bytes | None = None) -> bytes:
    """Return the 64 bytes of a signature; `random` is Z, 64 bytes, for test vectors only."""
    z = secrets.token_bytes(RANDOM_BYTES) if random is None else random
    clamped = bytearray(key.value)
    clamped[0] &= 248
    clamped[31] = clamped[31] & 127 | 64
    scalar = bindings.crypto_core_ed25519_scalar_reduce(bytes(clamped) + bytes(32))
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    # Both are computed, and neither is chosen by a branch: the sign of the point is not public.
    candidates = (scalar, bindings.crypto_core_ed25519_scalar_negate(scalar))
    secret, public = candidates[point[31] >> 7], point[:31] + bytes([point[31] & 127])
    nonce = _scalar(_HASH_1, secret, message, z)
    commitment = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = _scalar(commitment, public, message)
    product = bindings.crypto_core_ed25519_scalar_mul(challenge, secret)
    return commitment + bindings.crypto_core_ed25519_scalar_add(nonce, product)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of a device's public key signed exactly this message."""
    verifier = _edwards(public_key)
    if verifier is not None:
        with suppress(CryptoError):
            # A signature of another length leaves another message.
            return bindings.crypto_sign_open(signature + message, verifier) == message
    return False


def is_device_key(public_key: bytes) -> bool:
    """Whether a public key is one that a device can have made, so that its signatures verify.

    Refused are another length, u >= p, u = -1, points of low order, and points beside the group
    that the base point generates: on those, implementations of Ed25519 disagree.
    """
    return _edwards(public_key) is not None


@lru_cache(maxsize=512)
def _edwards(public_key: bytes) -> bytes | None:
    """Return the Ed25519 public key with sign bit 0 that a device's public key stands for."""
    u = int.from_bytes(public_key, "little")
    if len(public_key) != KEY_BYTES or u >= _PRIME - 1:
        return None
    y = (u - 1) * pow(u + 1, -1, _PRIME) % _PRIME
    point = y.to_bytes(KEY_BYTES, "little")
    return point if bindings.crypto_core_ed25519_is_valid_point(point) else None


def _scalar(*parts: bytes) -> bytes:
    return bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"".join(parts)).digest())
