"""The key that seals whatever is secret in a home, and where that key is kept.

One key instead of one entry for each secret: so a change of several secrets is one transaction of
the database, and to destroy the key is to destroy them all.
"""

import os
import secrets
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from draugar.errors import FailureCode, HomeUnusable
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.sealing import open_sealed, seal
from draugar.protocol.secrets import Secret

_SERVICE = "draugar"
FILE = "home.key"
_BYTES = 32
_LARGEST = 2**30
"""Bytes: as large as a value of SQLite."""


class KeyLocation(StrEnum):
    """Where the key of a home is kept."""

    KEYRING = "keyring"
    FILE = "file"


class Vault:
    """Seals and opens with the key of one home."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def seal(self, plain: bytes) -> bytes:
        """Seal for this home."""
        return seal(plain, self._key, _LARGEST)

    def open(self, sealed: bytes) -> bytes:
        """Open what this home has sealed. Raises HomeUnusable."""
        try:
            return open_sealed(sealed, self._key, _LARGEST)
        except (NotAuthentic, ValueError, TypeError):
            raise HomeUnusable(FailureCode.HOME_SECRET_NOT_OPENED) from None


def make(directory: Path, home_id: str) -> KeyLocation:
    """Make the key of a new home, in the platform's keyring where there is one.

    DRAUGAR_KEYRING=file keeps it in a file. Raises HomeUnusable.
    """
    text = to_base64url(secrets.token_bytes(_BYTES))
    if os.environ.get("DRAUGAR_KEYRING") != "file" and _into_keyring(home_id, text):
        return KeyLocation.KEYRING
    path = directory / FILE
    try:
        path.unlink(missing_ok=True)  # of a home that was never finished
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        raise HomeUnusable(FailureCode.HOME_KEY_NOT_WRITTEN) from None
    return KeyLocation.FILE


def load(place: KeyLocation, directory: Path, home_id: str) -> Vault:
    """Return the vault of a home. Raises HomeUnusable."""
    text = None
    if place is KeyLocation.KEYRING:
        text = _from_keyring(home_id)
    else:
        with suppress(OSError, UnicodeDecodeError):
            text = (directory / FILE).read_text()
    with suppress(Exception):
        key = Secret(from_base64url((text or "").strip()))
        if len(key.value) == _BYTES:
            return Vault(key)
    raise HomeUnusable(FailureCode.HOME_KEY_MISSING, place=place)


def destroy(place: KeyLocation, directory: Path, home_id: str) -> None:
    """Destroy the key of a home: nothing that it sealed can be opened again."""
    if place is KeyLocation.KEYRING:
        import keyring  # noqa: PLC0415 -- slow to import, and not always there

        with suppress(Exception):  # its backends raise what they like
            keyring.delete_password(_SERVICE, home_id)
    (directory / FILE).unlink(missing_ok=True)


def _into_keyring(home_id: str, text: str) -> bool:
    import keyring  # noqa: PLC0415

    try:
        keyring.set_password(_SERVICE, home_id, text)
        return keyring.get_password(_SERVICE, home_id) == text
    except Exception:  # noqa: BLE001 -- its backends raise what they like; a file does as well
        return False


def _from_keyring(home_id: str) -> str | None:
    import keyring  # noqa: PLC0415

    try:
        return keyring.get_password(_SERVICE, home_id)
    except Exception:  # noqa: BLE001
        return None
