"""The contract as an OpenAPI 3.1 document, made of what the routes say and are served by."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any
from uuid import UUID

from chalice.app import RouteEntry
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema

from chalicelib.errors import Problem
from chalicelib.release import VERSION
from chalicelib.web import problems
from chalicelib.web.contract import Access, Contract
from chalicelib.web.shapes import Answer, Request, never_null

_ID = "019f1ccc-9f40-7c1a-9c5e-5d9a4f1f0a77"
_ID_SCHEMA = {"type": "string", "format": "uuid", "examples": [_ID]}
_NUMBER_SCHEMA = {"type": "integer", "minimum": 1, "examples": [1]}
_TEXT_SCHEMA = {"type": "string", "examples": ["app.css"]}
_PATH_SCHEMAS: dict[Any, dict[str, Any]] = {
    UUID: _ID_SCHEMA,
    int: _NUMBER_SCHEMA,
    str: _TEXT_SCHEMA,
}
_ABOUT = """\
Private location sharing for a family. People join with an invite code, their devices post points, \
the others see them. JSON in and out, names in camelCase; times carry an offset, ids are UUIDs.

What a client seals, and how, is in `GET /api/docs/protocol.md`, with test vectors in \
`GET /api/docs/vectors.json`. What a client does on each error is in `GET /api/docs/errors.md`. \
In the examples, `$URL` is the address of the service, without `/api`, and `$TOKEN` is the token \
of a device.

Whatever is not a success is a problem document (RFC 9457), and its `code` is what to decide by: a \
code never changes its meaning or its status, but new ones may come. So may new fields in answers. \
A method that a path does not take is answered 405 `method_not_allowed`, with `Allow`. \
HEAD is answered like GET, without a body. \
After 429 and 503 wait for the seconds in `Retry-After`."""

_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of an app's device. `POST /api/auth/join` returns the first one "
        "of a person, `POST /api/devices` those of further devices.",
    },
    "phone": {
        "type": "http",
        "scheme": "basic",
        "description": "The `username` and `password` of a phone with OwnTracks, which "
        "`POST /api/devices` returns for one.",
    },
}
_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.APP: [{"token": []}],
    Access.PHONE: [{"phone": []}],
    Access.PUBLIC: [],
}
_HEADERS = {
    "Accept-Encoding": ("That bodies are taken without a content coding.", "identity"),
    "Allow": ("The methods that the path takes.", "GET, POST"),
    "ETag": ("What was read, for `If-None-Match`.", '"dJt5VdQm1Z2T0mXJ4lLk9w"'),
    "Retry-After": ("Seconds to wait before the next attempt.", "6"),
    "WWW-Authenticate": (
        'With `error="invalid_token"` where a token was sent.',
        'Bearer realm="draugar", error="invalid_token"',
    ),
}
_SENT_WITH = {
    401: "WWW-Authenticate",
    405: "Allow",
    415: "Accept-Encoding",
    429: "Retry-After",
    503: "Retry-After",
}
_EXAMPLES: dict[str | None, Any] = {
    "uuid": _ID,
    "date-time": "2026-07-01T08:30:00Z",
    "date": "2026-07-01",
    "integer": 1,
    "number": 1,
    "boolean": False,
}

Json = dict[str, Any]


class _Untitled(GenerateJsonSchema):
    """Leaves out titles, which would only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


_ONE_AT_A_TIME = Lock()
"""pydantic builds what it has put off without a lock."""


def document(routes: Mapping[str, Mapping[str, RouteEntry]]) -> Json:
    """Describe the routes of an app, by path and method. Threads may call it at once."""
    with _ONE_AT_A_TIME:
        return _document(routes)


def _document(routes: Mapping[str, Mapping[str, RouteEntry]]) -> Json:
    views = [
        (path, method.lower(), entry.view_function)
        for path, methods in routes.items()
        for method, entry in methods.items()
        if method != "HEAD"  # said once, in _ABOUT
    ]
    contracts: list[Contract] = [vars(view)["contract"] for _, _, view in views]
    schemas = _schemas(contracts)
    paths: dict[str, Json] = {}
    for (path, method, view), contract in zip(views, contracts, strict=True):
        paths.setdefault(path, {})[method] = _operation(view, contract, schemas)
    refusals = [kinds for contract in contracts for kinds in _by_status(contract).values()]
    refusals.append([problems.MethodNotAllowed])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Draugar",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Seen from where this document is served, below whatever stage or domain.
        "servers": [{"url": ".."}],
        "tags": list({_feature(view): _tag(view) for _, _, view in views}.values()),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {_name(kinds): _refusal(kinds) for kinds in sorted(refusals, key=_name)},
            "examples": {
                kind.code: _problem(kind)
                for kind in sorted({kind for kinds in refusals for kind in kinds}, key=_code)
            },
            "headers": {
                name: {"description": about, "schema": {"type": "string", "examples": [example]}}
                for name, (about, example) in _HEADERS.items()
            },
            "securitySchemes": _SCHEMES,
        },
    }


def _operation(view: Any, contract: Contract, schemas: Json) -> Json:
    summary, _, about = (inspect.getdoc(view) or "").partition("\n\n")
    if contract.because is not None:
        about = f"{about}\n\nNo token is needed: {contract.because}.".strip()
    body = contract.body and {
        "required": True,
        **_content("application/json", contract.body, schemas),
    }
    return {
        "tags": [_feature(view)],
        "operationId": to_camel(view.__name__),
        "summary": summary,
        **_given(description=about, parameters=list(_parameters(contract)), requestBody=body),
        "security": _SECURITY[contract.access],
        "responses": dict(_responses(contract, schemas)),
    }


def _given(**members: Any) -> Json:
    """Return the members that have something to say."""
    return {name: value for name, value in members.items() if value}


def _feature(view: Any) -> str:
    return str(view.__module__.split(".")[-2])


def _tag(view: Any) -> Json:
    return {"name": _feature(view), "description": inspect.getdoc(sys.modules[view.__module__])}


def _parameters(contract: Contract) -> Iterator[Json]:
    for name, kind in contract.path.items():
        schema = _PATH_SCHEMAS[kind]
        yield {"name": name, "in": "path", "required": True, "schema": dict(schema)}
    for place, shape in (("query", contract.query), ("header", contract.headers)):
        if shape is not None:
            described = _described(shape)
            for name, schema in described["properties"].items():
                never_null(schema)
                yield {
                    "name": name,
                    "in": place,
                    "description": schema.pop("description"),
                    "required": name in described.get("required", ()),
                    "schema": schema,
                }
    if contract.etag:
        yield {
            "name": "If-None-Match",
            "in": "header",
            "description": "The ETag of what is already here; while that is all, 304 says so.",
            "required": False,
            "schema": {"type": "string"},
        }


def _responses(contract: Contract, schemas: Json) -> Iterator[tuple[str, Json]]:
    answer, headers = contract.answer, _headers("ETag" if contract.etag else None)
    if answer is None:
        yield str(contract.status), {"description": "Done."}
    else:
        content = _content(answer.media_type, answer, schemas)
        yield str(contract.status), {"description": inspect.getdoc(answer), **headers, **content}
    if contract.etag:
        yield "304", {"description": "Nothing else than what is already here.", **headers}
    for status, kinds in _by_status(contract).items():
        yield str(status), {"$ref": f"#/components/responses/{_name(kinds)}"}


def _content(media_type: str, shape: type[Request | Answer], schemas: Json) -> Json:
    reference = {"$ref": f"#/components/schemas/{shape.__name__}"}
    forms = schemas[shape.__name__].get("anyOf", [reference])
    examples = {
        form["$ref"].rpartition("/")[2]: {"value": _example(form, schemas)} for form in forms
    }
    return {"content": {media_type: {"schema": reference, "examples": examples}}}


def _by_status(contract: Contract) -> dict[int, list[type[Problem]]]:
    found: dict[int, list[type[Problem]]] = {}
    for problem in contract.problems:
        found.setdefault(problem.status, []).append(problem)
    return found


def _code(problem: type[Problem]) -> str:
    return problem.code


def _name(kinds: Sequence[type[Problem]]) -> str:
    return "_or_".join(map(_code, kinds))


def _refusal(kinds: Sequence[type[Problem]]) -> Json:
    codes = {"enum": [kind.code for kind in kinds]}
    schema = {"$ref": "#/components/schemas/Problem", "properties": {"code": codes}}
    examples = {kind.code: {"$ref": f"#/components/examples/{kind.code}"} for kind in kinds}
    return {
        "description": kinds[0].title,
        **_headers(_SENT_WITH.get(kinds[0].status)),
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    }


def _headers(name: str | None) -> Json:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"}}} if name else {}


def _problem(kind: type[Problem]) -> Json:
    detail = getattr(kind, "detail", kind.title)
    return {
        "summary": " ".join((inspect.getdoc(kind) or "").split()),
        "value": problems.document(kind, detail=detail, request_id=_ID),
    }


def _schemas(contracts: Sequence[Contract]) -> Json:
    schemas: Json = {}
    for contract in contracts:
        for shape in (contract.body, contract.answer):
            if shape is not None:
                described = _described(shape)
                schemas |= described.pop("$defs", {})
                schemas[shape.__name__] = described
    members = problems.document(problems.InternalError, detail="", request_id="")
    problem = {
        "type": "object",
        "description": "What is answered instead of a success (RFC 9457).",
        "properties": {
            name: {"type": "string" if isinstance(value, str) else "integer"}
            for name, value in members.items()
        },
        "required": list(members),
    }
    return dict(sorted(schemas.items())) | {"Problem": problem}


def _described(shape: type[Request | Answer]) -> Json:
    return shape.model_json_schema(
        mode="serialization" if issubclass(shape, Answer) else "validation",
        ref_template="#/components/schemas/{model}",
        schema_generator=_Untitled,
    )


def _example(schema: Json, schemas: Json) -> Any:
    """Compose an example: what a value has to have, and what has an example of its own."""
    for known in ("examples", "enum"):
        if known in schema:
            return schema[known][0]
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], schemas)
    if schema["type"] == "array":
        return [_example(schema["items"], schemas)]
    if schema["type"] == "object":
        return {
            name: _example(member, schemas)
            for name, member in schema.get("properties", {}).items()
            if name in schema.get("required", ()) or "examples" in member
        }
    return _EXAMPLES.get(schema.get("format", schema["type"]), schema.get("const", "..."))
