"""The edge: what every route does with requests that are not what they should be."""

import gzip
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from pg8000.native import Connection
from sqlalchemy import text
from sqlalchemy.orm import Session

from chalicelib.db import engine, transaction
from chalicelib.users import service as users
from chalicelib.users.queries import update_name
from chalicelib.web import body as bodies
from chalicelib.web.contract import Contract
from chalicelib.web.endpoint import HEADERS
from tests import contract, factories
from tests.api import Api, Reply
from tests.database import Server
from tests.factories import Someone
from tests.servers import serving

JSON = {"Content-Type": "application/json"}
MARK = "poison-mark"
KIBIBYTE = 1024
SMALL, LARGE = 64 * KIBIBYTE, 3 * KIBIBYTE * KIBIBYTE
ANY_ID = "01a2035b-5836-71ae-be39-5cf44440785f"
HASH = "A" * 43
SOON = (datetime.now(UTC) + timedelta(days=1)).isoformat()


class Example(NamedTuple):
    """A body that has everything that its route takes."""

    method: str
    path: str
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


GROUP = {"name": "Hearth", "encryption": "required"}
PLAIN = factories.plain_point(id=ANY_ID, groupId=ANY_ID, recordedAt=SOON)
SEALED = {
    "id": ANY_ID,
    "groupId": ANY_ID,
    "recordedAt": SOON,
    "encryptedData": {"v": 1, "n": "A" * 32, "c": "A" * 80},
    "keyVersion": 1,
}
EXAMPLES = [
    Example(
        "POST",
        "/api/auth/join",
        {
            "code": "ABCDEFGH",
            "name": "Ari",
            "device": {"name": "Phone", "publicKey": HASH, "kind": "web"},
            "proof": HASH,
            "group": GROUP,
        },
    ),
    Example(
        "POST",
        "/api/invites",
        {
            "groupId": ANY_ID,
            "expiresInHours": 1,
            "code": "ABCDEFGHJKLMNPQR",
            "keyPackage": "A" * 80,
            "keyVersion": 1,
            "forMe": False,
        },
    ),
    Example("POST", "/api/invites/validate", {"code": "ABCDEFGH"}),
    Example(
        "POST",
        "/api/devices",
        {"name": "Old phone", "kind": "owntracks", "groupId": ANY_ID, "tid": "un"},
    ),
    Example("PATCH", "/api/users/me", {"name": "Una"}),
    Example("POST", "/api/groups", GROUP),
    Example("POST", "/api/groups/join", {"code": "ABCDEFGH", "proof": HASH, "group": GROUP}),
    Example(
        "PATCH", "/api/groups/{group_id}", {**GROUP, "retentionDays": 30, "browsers": "refused"}
    ),
    Example("PATCH", "/api/groups/{group_id}/members/{user_id}", {"role": "member"}),
    Example("PUT", "/api/groups/{group_id}/sharing", {"paused": True, "until": SOON}),
    Example(
        "POST",
        "/api/groups/{group_id}/keys",
        {
            "expectedVersion": 0,
            "commitment": HASH,
            "roster": "A" * 80,
            "statement": "A" * 80,
            "envelopes": [{"deviceId": ANY_ID, "wrappedKey": "A" * 96}],
        },
    ),
    Example(
        "PUT",
        "/api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}",
        {"wrappedKey": "A" * 96, "rosterEntry": "A" * 80, "former": "A" * 80},
    ),
    Example(
        "PUT",
        "/api/groups/{group_id}/keys/{key_version}/vouches/{device_id}",
        {"entry": "A" * 80},
    ),
    Example("PUT", "/api/groups/{group_id}/card", {"keyVersion": 1, "sealed": "A" * 80}),
    Example("POST", "/api/crypto/register-key", {"publicKey": HASH}),
    Example("POST", "/api/locations", PLAIN),
    Example("POST", "/api/locations", SEALED),
]
POINT = factories.plain_point()  # always the same, so that nothing piles up
SHAPELESS: list[Any] = [{MARK: 1}, [MARK], f"{MARK}!" * 500, [[]]]
UNWRITABLE = ["\ud800", "a\udfff\ud800b", "\0", "a\0b"]
BATCH = Example("POST", "/api/locations", {"locations": [PLAIN]})


class Place(NamedTuple):
    """A value somewhere in an example's body."""

    example: Example
    steps: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.example} {'.'.join(map(str, self.steps))}"

    def holding(self, value: Any) -> Any:
        """The body with this value in the place."""
        body = deepcopy(self.example.body)
        around = body
        for step in self.steps[:-1]:
            around = around[step]
        around[self.steps[-1]] = value
        return body


def places(example: Example) -> Iterator[tuple[Place, Any]]:
    value: Any
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), example.body)]
    for steps, value in pending:
        if isinstance(value, dict):
            pending += [((*steps, name), member) for name, member in value.items()]
        elif isinstance(value, list):
            pending += [((*steps, number), item) for number, item in enumerate(value)]
        else:
            yield Place(example, steps), value


LEAVES = [place for example in EXAMPLES for place, _ in places(example)]
NUMBERS = [
    place
    for example in EXAMPLES
    for place, value in places(example)
    if not isinstance(value, str) and place.steps != ("encryptedData", "v")
]
TEXTS = [
    place
    for example in (*EXAMPLES, BATCH)
    for place, value in places(example)
    if isinstance(value, str)
]


@pytest.mark.usefixtures("api")
def test_every_field_of_every_body_is_tried_here() -> None:
    tried = {(example.method, example.path): set(example.body) for example in EXAMPLES[:-2]}
    tried["POST", "/api/locations"] = set()  # a union, which has no fields of its own
    # Phones are refused nothing.
    tried["POST", "/owntracks"] = tried["POST", "/pub"] = {"message"}

    taken = {
        (method, path): {
            str(field.alias) for name, field in shape.model_fields.items() if name != "submission"
        }
        for method, path, contract in contracts()
        if (shape := contract.body) is not None
    }

    differing = {
        f"{method} {path}": sorted(
            tried.get((method, path), set()) ^ taken.get((method, path), set())
        )
        for method, path in sorted(tried.keys() | taken.keys())
        if tried.get((method, path)) != taken.get((method, path))
    }
    assert differing == {}, (
        "A field of a body is new or gone: add it to its route's Example in EXAMPLES in"
        " tests/features/test_http.py, or take it out."
    )


@pytest.mark.parametrize("place", TEXTS, ids=str)
def test_a_text_that_cannot_be_stored_is_refused_wherever_it_stands(
    place: Place, una: Api, bera: "Neighbour"
) -> None:
    for poison in UNWRITABLE:
        answer = send(una, place.example, place.holding(MARK + poison))

        assert (answer.status, answer.code) == (400, "malformed_body")
        assert MARK not in answer.text
        bera.finds_all_well()


@pytest.mark.parametrize("place", TEXTS, ids=str)
def test_no_such_text_gets_anywhere_were_the_edge_to_let_it_pass(
    place: Place, una: Api, bera: "Neighbour", session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_check_strings", lambda *_, **__: None)

    for poison in UNWRITABLE:
        answer = send(una, place.example, place.holding(MARK + poison))

        assert answer.status < 500
        assert MARK not in answer.text
        bera.finds_all_well()
    assert MARK not in factories.everything(session)


@pytest.mark.parametrize("place", LEAVES, ids=str)
def test_a_value_of_another_shape_is_refused_wherever_it_stands(
    place: Place, una: Api, bera: "Neighbour"
) -> None:
    for value in SHAPELESS:
        answer = send(una, place.example, place.holding(value))

        assert (answer.status, answer.code) == (422, "invalid_request")
        assert MARK not in answer.text
    bera.finds_all_well()


@pytest.mark.parametrize("place", NUMBERS, ids=str)
def test_a_number_is_not_read_from_a_text_nor_a_truth_from_a_number(place: Place, una: Api) -> None:
    truth = place.steps in {("paused",), ("forMe",)}

    for value in ("1", "true", 1 if truth else True):
        answer = send(una, place.example, place.holding(value))

        assert (answer.status, answer.code) == (422, "invalid_request")


@pytest.mark.parametrize("example", [*EXAMPLES, BATCH], ids=str)
def test_a_field_that_is_not_known_is_refused_wherever_it_stands(
    example: Example, una: Api
) -> None:
    objects = [(), *{place.steps[:-1] for place, _ in places(example) if len(place.steps) > 1}]
    if example is BATCH:
        objects = [()]  # its items are judged one by one

    for steps in objects:
        answer = send(una, example, Place(example, (*steps, "colour")).holding(MARK))

        assert (answer.status, answer.code) == (422, "invalid_request")
        assert "colour" in answer.json["detail"] or steps[-1:] == ("encryptedData",)
        assert MARK not in answer.text


@pytest.mark.parametrize(
    ("name", "is_told"),
    [
        *(("colour", True), ("group_id", True), ("x-note", True), ("a" * 40, True)),
        *(
            ("a" * 41, False),
            ("", False),
            ("two words", False),
            ("a\nb", False),
            ("\x1b[31m", False),
        ),
        *(("<b>", False), ('"', False), ("名前", False), ("\u202eevil", False), ("a.b", False)),
    ],
    ids=ascii,
)
def test_a_field_that_is_not_known_is_named_where_it_looks_like_a_name(
    una: Api, name: str, *, is_told: bool
) -> None:
    answer = una.post("/api/groups", {"name": "Hearth", name: MARK})

    told = "the request: holds a field that this route does not take"
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert answer.json["detail"] == (f'{told}: "{name}"' if is_told else told)


HERE = {"latitude": 64.1466, "longitude": -21.9426, "accuracy": 12}
PACKAGE = "should be 41 to 20480"
ISO = "should be an ISO 8601 date and time with an offset"


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (
            *("/api/crypto/register-key", {"publicKey": "AA"}),
            "publicKey: should be exactly 32 bytes (43 characters of base64url), and is 1",
        ),
        (
            *("/api/crypto/register-key", {"publicKey": "A" * 80}),
            "publicKey: should be exactly 32 bytes (43 characters of base64url), and is 60",
        ),
        (
            *("/api/invites", {"keyPackage": "AAAA"}),
            f"keyPackage: {PACKAGE} bytes (55 to 27307 characters of base64url), and is 3",
        ),
        (
            *("/api/devices", {"name": "Old phone", "kind": "owntracks", "tid": "u/"}),
            "tid: should be two letters or digits of ASCII",
        ),
        ("/api/groups", {"name": "a\nb"}, "name: should be one line without control characters"),
        ("/api/crypto/register-key", {}, "publicKey: is missing"),
        ("/api/crypto/register-key", {"publicKey": 7}, "publicKey: should be base64url"),
        ("/api/groups", {"name": ""}, "name: should have 1 or more characters"),
        ("/api/groups", {"name": "A" * 65}, "name: should have 64 or fewer characters"),
        ("/api/groups", {"name": 7}, "name: should be text"),
        ("/api/groups", [], "the request: should be an object"),
        (
            *("/api/groups", {"name": "Hearth", "encryption": MARK}),
            "encryption: should be 'required' or 'optional'",
        ),
        ("/api/invites", {"forMe": 1}, "forMe: should be true or false"),
        ("/api/invites", {"groupId": MARK}, "groupId: should be a UUID"),
        ("/api/invites", {"keyVersion": 1.5}, "keyVersion: should be a whole number"),
        ("/api/invites", {"keyVersion": 0}, "keyVersion: should be 1 or more"),
        ("/api/invites", {"keyVersion": 2**31}, "keyVersion: should be less than 2147483648"),
        ("/api/invites", {"expiresInHours": "1"}, "expiresInHours: should be a number"),
        ("/api/locations", HERE | {"latitude": 90.5}, "latitude: should be 90 or less"),
        ("/api/locations", HERE | {"recordedAt": "2026-01-01"}, f"recordedAt: {ISO}"),
        ("/api/locations", {"locations": {}}, "locations: should be a list"),
        ("/api/locations", {"locations": []}, "locations: should have 1 or more items, and has 0"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_plain_words(una: Api, path: str, body: Any, told: str) -> None:
    assert una.post(path, body).json["detail"] == told


@pytest.mark.parametrize("place", LEAVES, ids=str)
def test_no_detail_speaks_of_how_it_was_checked(place: Place, una: Api) -> None:
    for value in [*SHAPELESS, None, "", "A" * 70_00, -1, 1e300, True]:
        answer = send(una, place.example, place.holding(value))

        if answer.status == 422:
            detail = answer.json["detail"]
            assert not re.search(
                "Input should|Value should|validation|pydantic|String|valid ", detail
            )
            assert "is not of the form" not in detail


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b" ", b"{", b'{"name"', b"nul", b"'x'", b"{name: 1}", b'{"name": "x",}'),
        *(b'{"name": "x"} x', b'{"name": "x"}{}', b'{"name": "a\nb"}', b'{"name": "\\x"}'),
        *(b'{"name": %s}' % number for number in (b"NaN", b"Infinity", b"-Infinity")),
        *(b'{"name": %s}' % number for number in (b"1e999", b"-1e999", b"9" * 5000)),
        *(b'{"name": "a", "name": "b"}', b'{"name": "a", "n\\u0061me": "a"}'),
        b'{"name": "a", "group": {"x": 1, "x": 1}}',
        *('{"name": "x"}'.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        '{"name": "x"}'.encode("utf-8-sig"),
        *(b'{"name": "%s"}' % text for text in (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80")),
        *(b'{"name": "%s"}' % text for text in (b"\xff", b"\xc3", "é".encode("latin-1"))),
        *(b'{"\\ud800": 1}', b'{"\\u0000": 1}', b'{"a": [{"b": "\\ud800"}]}'),
        *(b"[" * 18 + b"]" * 18, b'{"a":' * 18 + b"1" + b"}" * 18),
        *(b"[" * SMALL, b"[" * (SMALL // 2) + b"]" * (SMALL // 2)),
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_not_everybody_reads_as_the_same_json_is_refused(
    una: Api, bera: "Neighbour", raw: bytes
) -> None:
    answer = una.post("/api/groups", raw=raw, headers=JSON)

    assert (answer.status, answer.code) == (400, "malformed_body")
    bera.finds_all_well()


@pytest.mark.parametrize(
    "opening", [b"[", b'{"a":', b'{"locations":[', b'[{"":'], ids=lambda raw: raw.decode()
)
def test_a_hundred_thousand_levels_are_refused(una: Api, bera: "Neighbour", opening: bytes) -> None:
    answer = una.post("/api/locations", raw=opening * 100_000, headers=JSON)

    assert (answer.status, answer.code) == (400, "malformed_body")
    bera.finds_all_well()


@pytest.mark.parametrize("repeated", [b'\\"', b'"', b'"\\', b'"\n', b'\\\\"', b"[],"], ids=str)
def test_no_body_takes_longer_to_read_than_it_is_long(api: Api, repeated: bytes) -> None:
    # Anybody may send it: no token is looked up before, and no attempt counted.
    raw = b'"' + repeated * ((SMALL - 1) // len(repeated))
    began = process_time()

    answer = api.post("/api/invites/validate", raw=raw, headers=JSON)

    assert (answer.status, answer.code) == (400, "malformed_body")
    # Of processor time, which other processes do not use up: milliseconds, where one that is read
    # again from every quote takes 30 s.
    assert process_time() - began < 2


@pytest.mark.parametrize(
    "raw", [b"[]", b"null", b"true", b"7", b"1e308", b'"x"', b"[" * 16 + b"]" * 16]
)
@pytest.mark.parametrize("example", EXAMPLES[:-1], ids=str)
def test_json_that_is_no_body_of_the_route_is_refused(
    una: Api, example: Example, raw: bytes
) -> None:
    answer = una.call(example.method, filled(example.path), raw=raw, headers=JSON)

    assert (answer.status, answer.code) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("path", "body", "limit"),
    [
        ("/api/groups", {"name": "Hearth"}, SMALL),
        ("/api/locations", factories.plain_point(), LARGE),
    ],
)
def test_a_body_is_as_large_as_its_route_takes_and_no_larger(
    una: Api, bera: "Neighbour", path: str, body: Any, limit: int
) -> None:
    who = bera.api if path == "/api/locations" else una
    content = json.dumps(body).encode()

    answers = {
        size: who.post(path, raw=content.ljust(size), headers=JSON)
        for size in (limit, limit + 1, 6_000_000)
    }

    assert answers[limit].status < 300
    for size in (limit + 1, 6_000_000):
        assert (answers[size].status, answers[size].code) == (413, "body_too_large")
    bera.finds_all_well()


@pytest.mark.parametrize(
    "media_type",
    [
        *("application/json", "APPLICATION/JSON", " application/json "),
        *("application/json; charset=utf-8", 'Application/Json;Charset="UTF-8"'),
    ],
)
def test_json_is_known_by_its_media_type_in_any_case(una: Api, media_type: str) -> None:
    answer = una.post(
        "/api/groups", raw=b'{"name": "Hearth"}', headers={"content-type": media_type}
    )

    assert answer.status == 201


@pytest.mark.parametrize(
    "media_type",
    [
        *(None, "", "text/plain", "text/json", "application/x-www-form-urlencoded", "json", "*/*"),
        *("application/json; charset=utf-16", "application/jsonp", "application/json, text/plain"),
        *(f"application/{MARK}", "application/octet-stream", "application/json\0", "\ud800"),
    ],
)
def test_what_is_not_said_to_be_json_in_utf_8_is_refused(una: Api, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}

    answer = una.post("/api/groups", raw=b'{"name": "Hearth"}', headers=headers)

    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert MARK not in answer.text


def somewhere(path: str) -> str:
    """Put ids into a path."""
    return re.sub(r"\{\w+\}", ANY_ID, path.replace("{key_version}", "1"))


@pytest.mark.parametrize(
    "value",
    [
        *("%00", "%ff", "%ed%a0%80", "\ud800", "%f0%9f%a7%b6", "", "%5B%5D", "null", "%3Cb%3E"),
        *("9" * 5000, "-", "1.5", "1e9", "0x10", "'%3B--", MARK),
    ],
    ids=lambda value: ascii(value[:12]),
)
def test_a_query_parameter_that_makes_no_sense_is_refused(
    una: Api, bera: "Neighbour", value: str
) -> None:
    asked = [
        (method, path, str(field.alias))
        for method, path, contract in contracts()
        if contract.query is not None
        for field in contract.query.model_fields.values()
    ]

    answers = [
        una.call(method, f"{somewhere(path)}?{name}={value}") for method, path, name in asked
    ]

    assert len(answers) >= 12
    for answer in answers:
        assert (answer.status, answer.code) == (422, "invalid_request")
        assert MARK not in answer.text
        assert "<" not in answer.text
    bera.finds_all_well()


@pytest.mark.parametrize(
    "query", [f"{MARK}=1", "%ff=1", "%00=1", "\ud800=1", "limit=1&limit=1", "{0}=x&{0}=x"]
)
def test_a_query_that_says_too_much_is_refused(una: Api, query: str) -> None:
    answers = [
        una.call(
            method,
            f"{somewhere(path)}?{query.format(next(iter(contract.query.model_fields)))}",
        )
        for method, path, contract in contracts()
        if contract.query is not None
    ]

    assert len(answers) >= 4
    for answer in answers:
        assert (answer.status, answer.code) == (422, "invalid_request")
        assert (MARK in answer.json["detail"]) == query.startswith(MARK)


@pytest.mark.parametrize(
    "value",
    [
        *("%00", "%ff", "%ed%a0%80", "\ud800", "%f0%9f%a7%b6", "..%2f..%2fetc", "'%3B--", "null"),
        *("0", "-1", "9" * 5000, ANY_ID[:-1], ANY_ID + "0", MARK, f"{ANY_ID}%00", f"%00{ANY_ID}"),
    ],
    ids=lambda value: ascii(value[:40]),
)
def test_what_is_no_id_in_a_path_names_nothing(una: Api, bera: "Neighbour", value: str) -> None:
    bent = {
        (
            method,
            filled(path[: path.index(part)])
            + value
            + filled(path[path.index(part) :][len(part) :]),
        )
        for method, path, _ in contracts()
        for part in path.split("/")
        if part.startswith("{")
    }

    answers = [una.call(method, path, {"role": "member"}) for method, path in bent]

    assert len(answers) >= 9
    for answer in answers:
        assert (answer.status, answer.code) == (404, "not_found")
        assert MARK not in answer.text
    bera.finds_all_well()


def test_a_path_does_not_take_another_method(una: Api) -> None:
    allowed: dict[str, set[str]] = {}
    for method, path, _ in contracts():
        allowed.setdefault(path, set()).update([method, "HEAD"] if method == "GET" else [method])

    for path, methods in allowed.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "PURGE"} - methods:
            answer = una.call(method, filled(path))

            assert answer.status == 405
            assert answer.text == "" if method == "HEAD" else answer.code == "method_not_allowed"
            assert set(answer.headers["Allow"].split(", ")) == methods


def test_head_is_answered_like_get_without_a_body(api: Api, una: Api, session: Session) -> None:
    factories.group(session, session.info["una"])
    readable = [path for method, path, _ in contracts() if method == "GET"]

    assert len(readable) >= 15
    for who in (api, una):
        for path in readable:
            got, head = who.get(filled(path)), who.call("HEAD", filled(path))

            assert (head.status, head.text) == (got.status, ""), path
            assert head.headers == got.headers, path


def test_head_of_what_takes_no_get_is_refused_without_a_body(una: Api) -> None:
    answer = una.call("HEAD", "/api/invites/validate")

    assert (answer.status, answer.text, answer.headers["Allow"]) == (405, "", "POST")


def test_head_is_answered_304_too(una: Api) -> None:
    tag = una.get("/api/openapi.json").headers["ETag"]

    answer = una.call("HEAD", "/api/openapi.json", headers={"If-None-Match": tag})

    assert (answer.status, answer.text, answer.headers["ETag"]) == (304, "", tag)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        *(("{}", 304), ("W/{}", 304), ("*", 304), (" * ", 304)),
        *(('"other", {}', 304), ('W/"other",W/{}', 304), ('"a,b" , {} , "c"', 304)),
        *(('"other"', 200), ('W/"other"', 200), ("", 200), ('"*"', 200), ("x", 200)),
        *(('"other{}"', 200), ("bare", 200)),
    ],
)
def test_a_reader_that_has_it_already_is_told_so(api: Api, asked: str, status: int) -> None:
    tag = api.get("/api/openapi.json").headers["ETag"]
    named = tag.strip('"') if asked == "bare" else asked.format(tag)
    if asked == '"other{}"':
        named = '"other' + tag.strip('"') + '"'

    answer = api.call("GET", "/api/openapi.json", headers={"If-None-Match": named})

    assert answer.status == status
    assert (answer.text == "") == (status == 304)
    assert answer.headers["ETag"] == tag


@pytest.mark.parametrize(
    ("coding", "named"),
    [
        *(("gzip", '"gzip"'), ("GZIP", '"gzip"'), ("br", '"br"'), ("x-gzip", '"x-gzip"')),
        *(("identity, gzip", '"gzip"'), ("deflate,gzip", '"deflate", "gzip"')),
        *((f"{MARK}\x1b[31m", "another"), ("gzip" * 99, "another"), ("\ud800", "another")),
        (", ".join(["gzip"] * 99), ", ".join(['"gzip"'] * 5)),
    ],
    ids=lambda value: ascii(value[:24]),
)
def test_a_body_with_a_content_coding_is_refused_and_the_coding_named(
    una: Api, coding: str, named: str
) -> None:
    sent = JSON | {"Content-Encoding": coding}

    for raw in (gzip.compress(b'{"name": "Hearth"}'), b'{"name": "Hearth"}'):
        answer = una.post("/api/groups", raw=raw, headers=sent)

        assert (answer.status, answer.code) == (415, "unsupported_content_coding")
        assert answer.json["detail"].endswith(f"not as {named}.")
        assert answer.headers["Accept-Encoding"] == "identity"
        assert MARK not in answer.text


@pytest.mark.parametrize("codings", [["gzip", "identity"], ["identity", "gzip"]])
def test_codings_in_several_lines_are_all_read(una: Api, codings: list[str]) -> None:
    from app import app  # noqa: PLC0415 -- it reads the settings that fixtures make

    sent = JSON | {"Authorization": f"Bearer {una.token}", "content-encoding": codings[-1]}
    event = {
        "requestContext": {
            "httpMethod": "POST",
            "resourcePath": "/api/groups",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()}
        | {"content-encoding": codings},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": '{"name": "Hearth"}',
        "isBase64Encoded": False,
    }

    answer = app(event, None)

    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["code"]) == (415, "unsupported_content_coding")
    assert problem["detail"].endswith('not as "gzip".')


@pytest.mark.parametrize("coding", ["identity", "Identity", "", " , identity ,"])
def test_a_body_as_it_is_may_say_so(una: Api, coding: str) -> None:
    answer = una.post(
        "/api/groups", raw=b'{"name": "Hearth"}', headers=JSON | {"Content-Encoding": coding}
    )

    assert answer.status == 201


def test_every_answer_has_the_headers_that_keep_it_to_its_reader(
    api: Api, una: Api, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearth = factories.group(session, session.info["una"])
    tag = una.get("/api/locations/latest").headers["ETag"]
    answers = [
        una.get("/api/groups"),
        una.post("/api/devices", {"name": "Tablet"}),
        una.put(f"/api/groups/{hearth}/sharing", {"paused": False}),
        una.call("GET", "/api/locations/latest", headers={"If-None-Match": tag}),
        una.post("/api/groups", raw=b"{", headers=JSON),
        api.get("/api/groups"),
        una.get(f"/api/users/{uuid4()}"),
        una.put("/api/groups"),
        una.patch(
            f"/api/groups/{hearth}/members/{session.info['una'].user_id}", {"role": "member"}
        ),
        una.post("/api/groups", raw=bytes(SMALL + 1), headers=JSON),
        una.post("/api/groups", raw=b"{}"),
        una.post("/api/groups", {}),
        [api.post("/api/invites/validate", {"code": "ABCDEFGH"}) for _ in range(11)][-1],
    ]
    monkeypatch.setattr(users, "list_people", fail)
    answers.append(una.get("/api/users"))
    session.execute(text("DELETE FROM alembic_version"))
    session.commit()
    answers.append(api.get("/api/health/ready"))

    statuses = [200, 201, 204, 304, 400, 401, 404, 405, 409, 413, 415, 422, 429, 500, 503]
    assert [answer.status for answer in answers] == statuses
    for answer in answers:
        assert HEADERS.items() <= answer.headers.items()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert (answer.text == "") == (answer.status in (204, 304))


NO_PATH: dict[str, Any] = {
    "httpMethod": "GET",
    "headers": {},
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "body": None,
    "stageVariables": None,
    "requestContext": {"resourcePath": [MARK], "httpMethod": "GET", "identity": {}},
}


@pytest.mark.parametrize(
    "event", [{}, {"Records": [{"body": MARK}]}, {"version": "2.0"}, NO_PATH], ids=str
)
@pytest.mark.usefixtures("schema")
def test_what_no_gateway_would_send_is_refused_in_a_line(
    event: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from app import app  # noqa: PLC0415 -- it reads the settings made by the fixture

    answer = app(event, None)

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (
        400,
        "unacceptable_request",
    )
    assert answer["headers"].items() >= HEADERS.items()
    assert json.loads(capsys.readouterr().out) == {"status": 400, "code": "unacceptable_request"}


def test_every_problem_can_be_found_in_the_log_by_its_id(
    una: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = una.get(f"/api/users/{uuid4()}")

    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line.pop("durationMs") > 0
    assert line.pop("roundTrips") >= 1  # with the savepoints of this test
    assert line == {
        "requestId": answer.json["requestId"],
        "method": "GET",
        "route": "/api/users/{user_id}",
        "status": 404,
        "code": "user_not_found",
    }
    assert len(answer.json["requestId"]) == 36


def test_an_error_nobody_expected_tells_its_text_to_no_one(
    una: Api, bera: "Neighbour", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(users, "list_people", fail)

    answer = una.get("/api/users")

    assert (answer.status, answer.code) == (500, "internal_error")
    assert MARK not in answer.text
    told = capsys.readouterr().out
    line = json.loads(told.splitlines()[-1])
    assert (line["status"], line["code"]) == (500, "internal_error")
    assert line["requestId"] == answer.json["requestId"]
    assert [name for name in line["fault"] if ":" not in name] == ["RuntimeError", "LookupError"]
    assert any(place.startswith("fail:") for place in line["fault"])
    assert MARK not in told
    bera.finds_all_well()


def test_an_error_of_the_database_nobody_expected_tells_no_statement_and_no_value(
    una: Api, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.execute(text("ALTER TABLE users ADD CHECK (name <> 'poison-mark')"))
    session.commit()

    answer = una.patch("/api/users/me", {"name": MARK})

    assert (answer.status, answer.code) == (500, "internal_error")
    for told in (answer.text, capsys.readouterr().out):
        assert MARK not in told
        assert "UPDATE" not in told
        assert "users_name_check" not in told
    assert una.get("/api/auth/me").json["name"] == "Una"


def test_whoever_meets_somebody_elses_lock_is_told_to_come_back(
    server: Server, operator: Connection
) -> None:
    ((name,),) = operator.run("SELECT current_database()")
    una, hearth = settled()
    api = Api(una.token)
    operator.run("BEGIN")
    operator.run("SELECT FROM groups FOR UPDATE")
    requests: list[tuple[str, str, Any]] = [
        ("PATCH", f"/api/groups/{hearth}", {"name": "Boat"}),
        ("POST", "/api/locations", factories.plain_point()),
    ]

    with serving(server.url_of(name), timeout_seconds=1):
        refused = [api.call(*request) for request in requests]

    assert [answer.code for answer in refused] == ["temporarily_unavailable"] * 2
    assert [answer.status for answer in refused] == [503, 503]
    assert [answer.headers["Retry-After"] for answer in refused] == ["1", "1"]
    operator.run("ROLLBACK")
    assert [api.call(*request).status for request in requests] == [200, 200]
    assert api.get("/api/groups").json["groups"][0]["name"] == "Boat"


@pytest.mark.usefixtures("operator")
def test_a_value_that_cannot_be_sent_costs_nobody_else_the_right_answer() -> None:
    who, group_id = settled(name="Bera")
    bera = Neighbour(Api(who.token), who, group_id)

    for _ in range(5):
        with pytest.raises(UnicodeEncodeError), transaction() as session:
            update_name(session, user_id=who.user_id, name="\ud800")

        bera.finds_all_well()


class Neighbour(NamedTuple):
    """Somebody else, on the same connection."""

    api: Api
    who: Someone
    group_id: UUID

    def finds_all_well(self) -> None:
        """Some requests, each answered with what is theirs."""
        me = {"id": str(self.who.user_id), "name": "Bera"}
        assert self.api.get("/api/auth/me").json == me
        (group,) = self.api.get("/api/groups").json["groups"]
        assert group["id"] == str(self.group_id)
        (result,) = self.api.post("/api/locations", POINT).json["results"]
        assert result == {"id": POINT["id"], "status": "stored"}
        (device,) = self.api.get("/api/devices").json["devices"]
        assert device["id"] == str(self.who.device_id)


@pytest.fixture
def una(api: Api, session: Session) -> Api:
    """Somebody who is signed in, in no group."""
    session.info["una"] = factories.someone(session, name="Una")
    return api.as_(session.info["una"].token)


@pytest.fixture
def bera(api: Api, session: Session) -> Neighbour:
    """Another one, in a group of her own."""
    bera = factories.someone(session, name="Bera")
    return Neighbour(api.as_(bera.token), bera, factories.group(session, bera))


def settled(**person: Any) -> tuple[Someone, UUID]:
    """Somebody in a group of their own, for good."""
    with Session(engine.engine()) as session:
        who = factories.someone(session, **person)
        return who, factories.group(session, who)


def contracts() -> list[tuple[str, str, Contract]]:
    """All routes: method, path and what they take."""
    return [(method, path, vars(view)["contract"]) for method, path, view in contract.routes()]


def filled(path: str) -> str:
    """The path with ids in it."""
    return re.sub(r"\{\w+\}", ANY_ID, path.replace("{key_version}", "1"))


def send(who: Api, example: Example, body: Any) -> Reply:
    return who.call(example.method, filled(example.path), body)


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError(f"{MARK} in an error") from LookupError(f"{MARK} in a cause")
