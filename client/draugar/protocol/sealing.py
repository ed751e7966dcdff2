"""Sealing under a secret: a random nonce, then a secretbox."""

import secrets
from contextlib import suppress

from nacl import bindings
from nacl.exceptions import CryptoError

from draugar.protocol.errors import NotAuthentic, Unsealable
from draugar.protocol.secrets import Secret

_NONCE = bindings.crypto_secretbox_NONCEBYTES
OVERHEAD = _NONCE + bindings.crypto_secretbox_MACBYTES


def seal(plain: bytes, key: Secret, most: int) -> bytes:
    """Return nonce and box, of at most so many bytes. Raises Unsealable."""
    if len(plain) + OVERHEAD > most:
        raise Unsealable("This is larger than the service takes.")
    nonce = secrets.token_bytes(_NONCE)
    return nonce + bindings.crypto_secretbox_easy(plain, nonce, key.value)


def open_sealed(sealed: bytes, key: Secret, most: int) -> bytes:
    """Return what was sealed in at most so many bytes. Raises NotAuthentic."""
    if len(sealed) <= most:
        with suppress(CryptoError):
            return bindings.crypto_secretbox_open_easy(sealed[_NONCE:], sealed[:_NONCE], key.value)
    raise NotAuthentic("This was not sealed with that key, or not as it is now.")
