"""The schemas of docs/json, and what of them answers have shown.

A schema as it is published allows members that it does not name, for a later release may add
some. Here it is checked strictly: a release answers with every member that it has by then, and
with no other.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

SCHEMAS = Path(__file__).parents[2] / "docs" / "json"
SINCE = "x-since"
"""The release that has added a command, or a member; without it, the first."""
NOW = "now"
SIZES = ("none", "one", "many")

Json = dict[str, Any]
Seen = set[tuple[str, object]]


def commands() -> list[str]:
    """Return the names of the schemas: a command, and what follows it, with a hyphen between."""
    return sorted(path.stem for path in SCHEMAS.glob("*.json") if path.stem != "definitions")


@cache
def published(name: str) -> Json:
    """Return a schema as it is published."""
    schema: Json = json.loads((SCHEMAS / f"{name}.json").read_text())
    return schema


@cache
def validator(name: str, release: str) -> Draft202012Validator:
    """Return what checks the answers of a release strictly."""
    strict = _strict(published(name), release)
    return Draft202012Validator(strict | {"$defs": _strict(_definitions(), release)})


def is_known(name: str, release: str) -> bool:
    """Whether a release has the command."""
    return _is_in(published(name), release)


def shown(name: str, answer: Any) -> Iterator[tuple[str, object]]:
    """Say which of the alternatives of a schema an answer shows, each by its place there."""
    return _shown(f"{name}.json", published(name), answer)


def alternatives(name: str) -> Iterator[tuple[str, object]]:
    """Say which alternatives a schema has: values of an enum, null, lists of each size."""
    return _alternatives(f"{name}.json", published(name))


def objects() -> Iterator[tuple[str, Json]]:
    """Return each schema of an object, with the place where it stands."""
    for name in [*commands(), "definitions"]:
        yield from _objects(f"{name}.json", published(name))


def _definitions() -> Json:
    definitions: Json = published("definitions")["$defs"]
    return definitions


def _is_in(schema: Json, release: str) -> bool:
    return release == NOW or _number(schema.get(SINCE, "1.0.0")) <= _number(release)


def _number(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]


def _strict(node: Any, release: str) -> Any:
    if isinstance(node, list):
        return [_strict(item, release) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {name: _strict(value, release) for name, value in node.items() if name != "$id"}
    if "$ref" in strict:
        strict["$ref"] = strict["$ref"].replace("definitions.json", "")
    if "properties" in node:
        members = [name for name, one in node["properties"].items() if _is_in(one, release)]
        strict["properties"] = {name: strict["properties"][name] for name in members}
        strict |= {"required": members, "additionalProperties": False}
    return strict


def _followed(place: str, schema: Json) -> tuple[str, Json]:
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        place, schema = f"definitions.json {name}", _definitions()[name]
    return place, schema


def _branches(schema: Json) -> list[Json]:
    branches: list[Json] = schema.get("oneOf") or schema.get("anyOf") or []
    return branches


def _fits(schema: Json, value: Any) -> bool:
    whole = _strict(schema, NOW) | {"$defs": _strict(_definitions(), NOW)}
    return Draft202012Validator(whole).is_valid(value)


def _shown(place: str, schema: Json, value: Any) -> Iterator[tuple[str, object]]:
    place, schema = _followed(place, schema)
    for number, branch in enumerate(_branches(schema)):
        if _fits(branch, value):
            yield place, number
            yield from _shown(f"{place}/{number}", branch, value)
    if "enum" in schema:
        yield place, value
    if isinstance(schema.get("type"), list):
        yield place, value is None
    if schema.get("type") == "boolean":
        yield place, value
    if "items" in schema:
        yield place, SIZES[min(len(value), 2)]
        for item in value:
            yield from _shown(f"{place}[]", schema["items"], item)
    for name, member in schema.get("properties", {}).items():
        if name in value:
            yield from _shown(f"{place}.{name}", member, value[name])


def _alternatives(place: str, schema: Json) -> Iterator[tuple[str, object]]:
    place, schema = _followed(place, schema)
    for number, branch in enumerate(_branches(schema)):
        yield place, number
        yield from _alternatives(f"{place}/{number}", branch)
    for value in schema.get("enum", ()):
        yield place, value
    if isinstance(schema.get("type"), list) or schema.get("type") == "boolean":
        yield from ((place, value) for value in (True, False))
    if "items" in schema:
        fewest = schema.get("minItems", 0)
        yield from ((place, size) for size in SIZES[fewest:])
        yield from _alternatives(f"{place}[]", schema["items"])
    for name, member in schema.get("properties", {}).items():
        yield from _alternatives(f"{place}.{name}", member)


def _objects(place: str, node: Any) -> Iterator[tuple[str, Json]]:
    if isinstance(node, dict):
        if "properties" in node:
            yield place, node
        for name, value in node.items():
            yield from _objects(f"{place}/{name}", value)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _objects(f"{place}/{number}", value)
