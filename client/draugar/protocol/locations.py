"""Locations: a JSON object, padded and sealed under the group key."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from draugar.protocol.errors import NotALocation, NotAuthentic
from draugar.protocol.json import read, written
from draugar.protocol.sealing import open_sealed, seal
from draugar.protocol.secrets import GroupKey

LOCATION_BYTES = 4096
LARGEST_MESSAGE = 20 * 1024
"""Bytes of a sealed message that another app posts: OwnTracks attaches pictures."""
_BLOCK = 128


def seal_location(location: Mapping[str, Any], key: GroupKey) -> bytes:
    """Return 41 to 4096 bytes, whose number says little about the location.

    Raises Unsealable.
    """
    text = written(location)
    return seal(text + b" " * (-len(text) % _BLOCK), key, LOCATION_BYTES)


def open_location(sealed: bytes, key: GroupKey, *, largest: int = LOCATION_BYTES) -> dict[str, Any]:
    """Return the JSON object that a holder of the key sealed, of at most so many sealed bytes.

    OwnTracks and the first Draugar app seal the same way, with members of their own; a phone with
    OwnTracks posts up to LARGEST_MESSAGE. Raises NotAuthentic, and NotALocation for what does open.
    """
    opened = open_sealed(sealed, key, largest)
    with suppress(NotAuthentic):
        value = read(opened)
        if isinstance(value, dict):
            return value
    raise NotALocation("This opens, but is not a location.")
