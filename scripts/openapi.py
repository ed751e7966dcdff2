"""The contract as it was promised, docs/openapi.json: `make openapi` renews it.

What clients of the promised contract would not survive is refused, unless the first number of
VERSION in chalicelib/release.py says that something changes for them; CHANGELOG.md names the
version and says what.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROMISED = Path(__file__).parents[1] / "docs" / "openapi.json"

Json = dict[str, Any]

_AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_EXACTLY = ("pattern", "format", "contentEncoding")


def main() -> None:
    """Renew the file, or say what stands against it."""
    now = served()
    if found := unannounced(json.loads(PROMISED.read_text()), now):
        sys.exit("\n".join(["Clients would break, so VERSION's first number has to rise:", *found]))
    PROMISED.write_text(written(now))
    print(f"docs/{PROMISED.name} is what is served, version {now['info']['version']}.")


def served() -> Json:
    """Return the contract of this code, for which no database is needed."""
    # The app does not start without settings.
    os.environ.setdefault("DATABASE_URL", "postgresql://nobody@localhost/none")
    os.environ.setdefault("INVITE_CODE_PEPPER", os.urandom(32).hex())
    from app import app  # noqa: PLC0415
    from chalicelib.web import openapi  # noqa: PLC0415

    return openapi.document(app.routes)


def written(document: Json) -> str:
    """Return a contract as the file has it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def unannounced(old: Json, new: Json) -> list[str]:
    """Return what breaks clients of `old` without the version saying that something does."""
    before, after = (int(document["info"]["version"].split(".")[0]) for document in (old, new))
    return [] if after > before else list(breaking(old, new))


def breaking(old: Json, new: Json) -> Iterator[str]:
    """Say what clients of `old` would not survive in `new`, a line for each."""
    paths = _resolved(new["paths"], new["components"])
    for path, methods in _resolved(old["paths"], old["components"]).items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            if method in paths.get(path, {}):
                yield from _of_operation(operation, paths[path][method], name)
            else:
                yield f"{name}: gone"


def _resolved(value: Any, components: Json) -> Any:
    """Put in what is referred to; properties beside a reference go before its own."""
    if isinstance(value, list):
        return [_resolved(item, components) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        kind, name = value["$ref"].split("/")[-2:]
        found = components[kind][name]
        closer = value.get("properties", {})
        value = found | {"properties": found.get("properties", {}) | closer} if closer else found
    return {name: _resolved(member, components) for name, member in value.items()}


def _of_operation(old: Json, new: Json, name: str) -> Iterator[str]:
    # No way at all is a way without credentials.
    if new["security"] and any(way not in new["security"] for way in old["security"] or [{}]):
        yield f"{name}: a way to sign in is gone"
    # A client writes its requests by the old contract, and reads the answers by it.
    yield from _gaps(_parameters(old), _parameters(new), f"{name} parameters")
    for schema, other in _contents(old.get("requestBody", {}), new.get("requestBody", {})):
        yield from _gaps(schema, other, f"{name} body")
    for status, answer in old["responses"].items():
        now = new["responses"].get(status, {})
        if not now:
            yield f"{name} {status}: gone"
        elif lost := answer.get("headers", {}).keys() - now.get("headers", {}).keys():
            yield f"{name} {status}: headers {sorted(lost)} are gone"
        for schema, other in _contents(answer, now) if now else ():
            yield from _gaps(other, schema, f"{name} {status}", answer=True)


def _parameters(operation: Json) -> Json:
    """Return an object's schema that has the parameters as members."""
    said = operation.get("parameters", [])
    return {
        "type": "object",
        "properties": {parameter["name"]: parameter["schema"] for parameter in said},
        "required": [parameter["name"] for parameter in said if parameter["required"]],
        "additionalProperties": False,
    }


def _contents(old: Json, new: Json) -> Iterator[tuple[Json, Json]]:
    """Pair the schemas by media type; what there is none of has a type of its own."""
    before, after = old.get("content", {}), new.get("content", {})
    for media_type in before | after:
        content, other = (
            side.get(media_type, {"schema": {"type": "none"}}) for side in (before, after)
        )
        yield content["schema"], other["schema"]


def _gaps(writer: Json, reader: Json, where: str, *, answer: bool = False) -> Iterator[str]:
    """Say what may be written by one schema and not be read by the other.

    In an answer everything is missed that used to be in it, and a new code may stand.
    """
    for form in writer.get("anyOf", [writer]):
        forms = reader.get("anyOf", [reader])
        found = [list(_between(form, other, where, answer=answer)) for other in forms]
        yield from min(found, key=len)


def _between(writer: Json, reader: Json, where: str, *, answer: bool) -> Iterator[str]:
    kinds = writer.get("type"), reader.get("type")
    if kinds[1] is not None and kinds[0] != kinds[1] and kinds != ("integer", "number"):
        yield f"{where}: {kinds[0]} is written, {kinds[1]} is read"
        return
    may, can = _values(writer), _values(reader)
    strange = can - may if answer and where.endswith(".code") else may - can
    if can and (strange or not may):
        yield f"{where}: other values, {', '.join(sorted(strange)) or 'any'}"
    yield from (f"{where}: another {name}" for name in _narrower(writer, reader))
    written, read = writer.get("properties", {}), reader.get("properties", {})
    gone = read.keys() - written.keys() if answer else set()
    needed = {*reader.get("required", ())} - {*writer.get("required", ())} - gone
    unknown = set() if reader.get("additionalProperties", True) else written.keys() - read.keys()
    for what, names in (("gone", gone), ("required", needed), ("not taken", unknown)):
        yield from (f"{where}.{name}: {what}" for name in sorted(names))
    for name, member in written.items():
        yield from _gaps(member, read.get(name, {}), f"{where}.{name}", answer=answer)
    if "items" in writer:
        yield from _gaps(writer["items"], reader.get("items", {}), f"{where}[]", answer=answer)


def _values(schema: Json) -> set[str]:
    return set(map(json.dumps, schema.get("enum", [schema["const"]] if "const" in schema else [])))


def _narrower(writer: Json, reader: Json) -> Iterator[str]:
    for name, bound in reader.items():
        has = writer.get(name)
        if (
            (name in _AT_LEAST and (has is None or has < bound))
            or (name in _AT_MOST and (has is None or has > bound))
            or (name in _EXACTLY and has != bound)
        ):
            yield name


if __name__ == "__main__":
    main()
