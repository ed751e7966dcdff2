"""The contract is what was promised, and its examples are true.

That its codes do occur is judged when a run ends: tests/conftest.py.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from chalicelib.errors import Problem
from chalicelib.web.contract import Contract
from scripts.openapi import PROMISED, breaking, unannounced, written
from tests import contract
from tests.guards.test_errors import descendants

ROOT = Path(__file__).parents[2]

# Codes that no operation answers, and why they are there.
ELSEWHERE = {
    "invalid_point": "stands in the results of a batch",
    "method_not_allowed": "is answered to what is no operation",
    "unacceptable_request": "is for what Chalice may come to refuse by itself",
}

Json = dict[str, Any]


@pytest.fixture
def served(schema: str) -> Json:
    """The contract of this code."""
    del schema
    return contract.document()


@pytest.fixture
def contracts(schema: str) -> dict[str, Contract]:
    """What each operation says of itself, by its id."""
    del schema
    return contract.operations()


def test_nobody_is_promised_what_is_not_served(served: Json) -> None:
    assert unannounced(json.loads(PROMISED.read_text()), served) == [], (
        "This breaks clients. Take it back, or raise the first number of VERSION in "
        "chalicelib/release.py, say in CHANGELOG.md what changes, and run `make openapi`."
    )


def test_the_promise_is_what_is_served(served: Json) -> None:
    assert PROMISED.read_text() == written(served), "`make openapi` renews docs/openapi.json."


def test_the_changelog_names_the_version(served: Json) -> None:
    version = served["info"]["version"]

    assert f"version {version} of the contract" in (ROOT / "CHANGELOG.md").read_text()


def test_every_example_is_as_its_schema_says(served: Json) -> None:
    examples = [
        (content["schema"], example["value"])
        for operation in operations(served)
        for holder in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in holder.get("content", {}).values()
        for example in content["examples"].values()
    ]
    examples += [
        (content["schema"], served["components"]["examples"][code]["value"])
        for answer in served["components"]["responses"].values()
        for content in answer["content"].values()
        for code in content["examples"]
    ]

    assert len(examples) > 60
    for schema, value in examples:
        OAS31Validator(
            schema | {"components": served["components"]}, format_checker=oas31_format_checker
        ).validate(value)
        assert list(without_example(value)) == [], (
            "Give these texts an example, by Field(examples=[...]) at their field."
        )


def test_every_example_of_a_body_is_taken(served: Json, contracts: dict[str, Contract]) -> None:
    bodies = [
        (contracts[operation["operationId"]].body, example["value"])
        for operation in operations(served)
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for example in content["examples"].values()
    ]

    assert len(bodies) >= 13
    for shape, value in bodies:
        assert shape is not None
        shape.read(value)


def test_shapes_have_names_of_their_own(contracts: dict[str, Contract]) -> None:
    del contracts
    from chalicelib.web import Answer, Request  # noqa: PLC0415

    names = [shape.__name__ for kind in (Request, Answer) for shape in kind.__subclasses__()]

    assert sorted(names) == sorted(set(names))


def test_every_problem_is_answered_by_an_operation(contracts: dict[str, Contract]) -> None:
    answered = {problem.code for said in contracts.values() for problem in said.problems}

    known = {kind.code for kind in descendants(Problem) if "code" in vars(kind)}

    assert (known - answered) ^ ELSEWHERE.keys() == set(), (
        "No operation answers these codes: name their errors in `raises=` of an @endpoint, or add"
        " them to ELSEWHERE in tests/guards/test_openapi.py with the reason."
    )


POST: Json = {
    "security": [{"token": []}],
    "parameters": [
        {"name": "limit", "required": False, "schema": {"type": "integer", "maximum": 500}}
    ],
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 64},
                        "role": {"enum": ["admin", "member"]},
                        "until": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                        "accuracy": {"type": "number"},
                    },
                    "required": ["name"],
                    "additionalProperties": False,
                }
            }
        }
    },
    "responses": {
        "200": {
            "headers": {"ETag": {}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Group"}}},
        },
        "404": {
            "content": {
                "application/problem+json": {
                    "schema": {
                        "$ref": "#/components/schemas/Problem",
                        "properties": {"code": {"enum": ["group_not_found", "not_found"]}},
                    }
                }
            }
        },
    },
}
BEFORE: Json = {
    "info": {"version": "1.4.0"},
    "paths": {"/groups": {"post": POST}},
    "components": {
        "schemas": {
            "Group": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "role": {"enum": ["admin", "member"]},
                    "note": {"type": "string"},
                    "members": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["id", "role"],
            },
            "Problem": {
                "type": "object",
                "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["code", "detail"],
            },
        }
    },
}


GONE = None


def changed(place: str, value: Any) -> Json:
    """Return the contract with another value in a place, or without the place."""
    after = copy.deepcopy(BEFORE)
    operation = after["paths"]["/groups"]["post"]
    problem = operation["responses"]["404"]["content"]["application/problem+json"]
    around: Any = {
        "operation": operation,
        "parameter": operation["parameters"][0],
        "body": operation["requestBody"]["content"]["application/json"]["schema"],
        "answer": after["components"]["schemas"]["Group"],
        "code": problem["schema"]["properties"]["code"],
    }
    *steps, last = place.split()
    for step in steps:
        around = around[step]
    if value is GONE:
        del around[last]
    else:
        around[last] = value
    return after


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("operation responses 200", GONE, "200: gone"),
        ("operation security", [{"password": []}], "a way to sign in is gone"),
        ("operation parameters", [], "parameters.limit: not taken"),
        ("parameter required", True, "parameters.limit: required"),
        ("parameter schema maximum", 9, "parameters.limit: another maximum"),
        ("operation requestBody", GONE, "body: object is written, none is read"),
        ("operation responses 200 headers", GONE, "200: headers ['ETag'] are gone"),
        ("operation responses 200 content", GONE, "200: none is written, object is read"),
        ("code enum", ["group_not_found"], '404.code: other values, "not_found"'),
        ("body required", ["name", "role"], "body.role: required"),
        ("body properties role", GONE, "body.role: not taken"),
        ("body properties role enum", ["admin"], 'body.role: other values, "member"'),
        ("body properties name minLength", 2, "body.name: another minLength"),
        ("body properties name maxLength", 9, "body.name: another maxLength"),
        ("body properties name pattern", "^a", "body.name: another pattern"),
        ("body properties name enum", ["a"], "body.name: other values, any"),
        ("body properties name type", "integer", "body.name: string is written, integer is read"),
        ("body properties accuracy type", "integer", "number is written, integer is read"),
        ("body properties until anyOf", [{"type": "string"}], "null is written, string is read"),
        ("answer properties id", GONE, "200.id: gone"),
        ("answer properties note", GONE, "200.note: gone"),
        ("answer required", ["id"], "200.role: required"),
        ("answer properties role enum", ["admin", "member", "guest"], 'other values, "guest"'),
        ("answer properties id format", GONE, "200.id: another format"),
        ("answer properties members items type", "string", "members[]: string is written"),
    ],
)
def test_what_a_client_would_not_survive_is_found(place: str, value: Any, told: str) -> None:
    (found,) = breaking(BEFORE, changed(place, value))

    assert found.startswith("POST /groups")
    assert told in found


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("operation summary", "Anything."),
        ("operation security", [{"token": []}, {"password": []}]),
        ("operation security", []),
        ("operation responses 409", {}),
        ("code enum", ["group_not_found", "not_found", "new"]),
        ("body properties colour", {"type": "string"}),
        ("body required", []),
        ("body properties name maxLength", 99),
        ("body properties name minLength", GONE),
        ("body properties role enum", ["admin", "member", "guest"]),
        ("body properties role", {}),
        ("answer properties colour", {"type": "string"}),
        ("answer required", ["id", "role", "note"]),
        ("answer properties role enum", ["admin"]),
        ("answer properties note maxLength", 9),
    ],
)
def test_what_clients_do_not_notice_is_not_held_against_it(place: str, value: Any) -> None:
    assert list(breaking(BEFORE, changed(place, value))) == []


def test_a_token_that_was_not_needed_is_noticed() -> None:
    public = changed("operation security", [])

    assert list(breaking(public, BEFORE)) == ["POST /groups: a way to sign in is gone"]


@pytest.mark.parametrize("paths", [{}, {"/groups": {"get": POST}}])
def test_an_operation_is_missed(paths: Json) -> None:
    assert list(breaking(BEFORE, BEFORE | {"paths": paths})) == ["POST /groups: gone"]


@pytest.mark.parametrize(
    ("version", "found"), [("1.4.0", 1), ("1.5.0", 1), ("2.0.0", 0), ("10.0.0", 0)]
)
def test_the_first_number_of_the_version_announces_it(version: str, found: int) -> None:
    after = BEFORE | {"paths": {}, "info": {"version": version}}

    assert len(unannounced(BEFORE, after)) == found


def without_example(value: Any, path: str = "") -> Iterator[str]:
    """The paths of texts that the generator could only fill with dots."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from without_example(member, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from without_example(item, f"{path}[]")
    elif value == "...":
        yield path.lstrip(".")


def operations(document: Json) -> list[Json]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]
