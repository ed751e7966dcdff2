"""JSON that every reader, in whatever language, understands alike, and the values in it.

Raises NotAuthentic when reading and Unsealable when writing.
"""

import base64
import json
from contextlib import suppress
from typing import Any, NoReturn
from uuid import UUID

from draugar.protocol.errors import NotAuthentic, Unsealable

LAST_VERSION = 2**31 - 1
_LARGEST_NUMBER = 2**53 - 1
_DEEPEST_NESTING = 16


def written(value: object) -> bytes:
    """Return JSON as bytes. Raises Unsealable."""
    with suppress(TypeError, ValueError, RecursionError):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        _check(_READER.decode(text), _DEEPEST_NESTING)
        return text.encode()
    raise Unsealable("This is not JSON that all read alike.")


def parse(text: bytes) -> object:
    """Return the value of JSON in UTF-8, in which no object has a member twice.

    Of values it may have any that JSON has. Raises NotAuthentic.
    """
    with suppress(ValueError, RecursionError):
        return _READER.decode(text.decode())
    raise NotAuthentic("This is not JSON that all read alike.")


def read(text: bytes) -> object:
    """Return the value of JSON that opened. Raises NotAuthentic."""
    value = parse(text)
    with suppress(ValueError):
        _check(value, _DEEPEST_NESTING)
        return value
    raise NotAuthentic("This opens, but is not JSON that all read alike.")


def _check(value: object, levels: int) -> None:
    if isinstance(value, str):
        value.encode()  # a lone surrogate has no UTF-8
    elif isinstance(value, int | float):
        if not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:  # nor is NaN between them
            raise ValueError
    elif isinstance(value, list | dict):
        if not levels:
            raise ValueError
        for item in value:
            _check(item, levels - 1)
        if isinstance(value, dict):
            for item in value.values():
                _check(item, levels - 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


_READER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)


def members(value: object, names: set[str]) -> dict[str, Any]:
    """Return an object that has exactly these members. Raises NotAuthentic."""
    if not isinstance(value, dict) or value.keys() != names:
        raise NotAuthentic("This opens, but a member of it is missing or unknown.")
    return value


def text(value: object) -> str:
    """Return a text that is not empty. Raises NotAuthentic."""
    with suppress(UnicodeEncodeError):
        if isinstance(value, str) and value.encode():
            return value
    raise NotAuthentic("This is not a text, or an empty one.")


def uuid(value: object) -> UUID:
    """Return an id in its canonical form. Raises NotAuthentic."""
    with suppress(ValueError):
        if isinstance(value, str) and str(found := UUID(value)) == value:
            return found
    raise NotAuthentic("This is not an id.")


def version(value: object) -> int:
    """Return the version of a key: 1 to 2**31 - 1. Raises NotAuthentic."""
    if type(value) is not int or not 1 <= value <= LAST_VERSION:
        raise NotAuthentic("This is not the version of a key.")
    return value


def to_base64url(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Read base64url without padding, the one way there is to write it; raises NotAuthentic."""
    with suppress(ValueError):
        found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if to_base64url(found) == text:
            return found
    raise NotAuthentic("This is not base64url without padding.")
