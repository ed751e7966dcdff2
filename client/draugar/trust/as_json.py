"""States, answers and decisions as JSON: in a home, and in docs/decisions.json.

Bytes are base64url without padding, ids texts, sets lists in ascending order, mappings objects.
What is null or empty is absent. Secrets stand in it as they are; a home seals it.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.secrets import Secret
from draugar.trust.values import Notice


def camel(name: str) -> str:
    """Return a Python name as JSON has it."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def encoded(value: Any) -> Any:
    """Return a value as JSON."""
    found = value
    match value:
        case Notice():
            found = {"code": value.code, "parameters": dict(value.parameters)}
        case Enum():
            found = value.value
        case UUID():
            found = str(value)
        case bytes():
            found = to_base64url(value)
        case Secret():
            found = to_base64url(value.value)
        case Mapping():
            found = {str(name): encoded(one) for name, one in sorted(value.items())}
        case frozenset():
            found = sorted((encoded(one) for one in value), key=json.dumps)
        case tuple():
            found = [encoded(one) for one in value]
        case _ if is_dataclass(value):
            members = ((camel(one.name), getattr(value, one.name)) for one in fields(value))
            found = {name: encoded(one) for name, one in members if one not in _EMPTY}
    return found


_EMPTY: tuple[object, ...] = (None, (), {}, frozenset())


def decoded(kind: Any, value: Any) -> Any:
    """Return a value of a kind, as it was encoded."""
    if get_origin(kind) is not None:
        return _decoded_collection(get_origin(kind), get_args(kind), value)
    if kind is Notice:
        return Notice(value["code"], tuple(sorted(value["parameters"].items())))
    if kind is bytes or issubclass(kind, Secret):
        found = from_base64url(value)
        return found if kind is bytes else kind(found)
    return _decoded_object(kind, value) if is_dataclass(kind) else kind(value)


def _decoded_collection(origin: Any, kinds: tuple[Any, ...], value: Any) -> Any:
    if origin is UnionType:
        return decoded(kinds[0], value)
    if origin is frozenset or kinds[-1] is Ellipsis:
        return origin(decoded(kinds[0], one) for one in value)
    if origin is tuple:
        return tuple(decoded(kind, one) for kind, one in zip(kinds, value, strict=True))
    names, values = kinds
    return {names(name): decoded(values, one) for name, one in value.items()}


_hints = cache(get_type_hints)


def _decoded_object(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    absent = {
        one.name: None if NoneType in get_args(hints[one.name]) else ()
        for one in fields(kind)
        if one.default is MISSING and one.default_factory is MISSING
    }
    present = {
        one.name: decoded(hints[one.name], value[camel(one.name)])
        for one in fields(kind)
        if camel(one.name) in value
    }
    return kind(**absent | present)
