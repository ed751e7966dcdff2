"""Envelopes: a group key in an authenticated box, from one device to another.

A sealed box would not say who sealed it, so the service could put another key in its place.
"""

import secrets
from contextlib import suppress

from nacl import bindings
from nacl.exceptions import CryptoError

from draugar.protocol.errors import NotAuthentic
from draugar.protocol.secrets import DeviceKey, GroupKey

ENVELOPE_BYTES = 72
_NONCE = bindings.crypto_box_NONCEBYTES


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
