"""Requests that begin as our contract says and are then bent, down to the bytes and the event.

They go to one process through the event that API Gateway would make of them, so that its log and
its memory can be seen.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from statistics import linear_regression
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from sqlalchemy.orm import Session

from tests import contract
from tests.faults import edge
from tests.faults.edge import MARK, STAND_INS, Edge, Event
from tests.features.site import files

Json = dict[str, Any]

RENEWED_AFTER = 500
"""Requests, after which much of a family may be gone."""

MEASURED_EVERY = 1000
WARM_UP = 5000
"""Requests, in which every route has been met with every kind of answer, and its caches filled."""

LEAK = 200
"""Bytes a request: more than the allocator comes to keep, less than one forgotten event."""

FILES = [name.removeprefix("web/") for name in files.names()]
PATH_ODDS = ["%00", "%ff", "%ed%a0%80", "..%2f..%2fetc", "null", "-1", "9" * 5000, "%F0%9F"]
TEXT_ODDS = [
    *("", MARK, MARK * 500, "\0", "\ud800", f"a\udfff{MARK}", "\u202e" + MARK, "\u200b", "\ufeff"),
    *(
        "e\u0301" * 40,
        "👩‍👧‍👦" * 20,
        "' OR 1=1 --",
        "<script>",
        "${jndi:ldap://x}",
        "%s%n",
        "\\u0000",
    ),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-02-30T00:00:00Z", "NaN"),
    *("ffffffff-ffff-ffff-ffff-ffffffffffff", "{00000000-0000-0000-0000-000000000000}", "A" * 41),
]
NUMBER_ODDS = [
    *(0, -1, 1, 2**31 - 1, 2**31, 2**63, -(2**63) - 1, 10**308, 10**400, 10**4000),
    *(-0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"), 0.1),
]
OTHER_ODDS: list[Any] = [None, True, False, [], {}, [[]], {"": ""}, {MARK: MARK}, [MARK] * 600]
MEDIA_TYPES = [
    *("application/json", "APPLICATION/JSON", 'application/json; charset="utf-8"', "text/plain"),
    *("application/json; charset=utf-16", "", "*/*", f"application/{MARK}", "\0", "\ud800", None),
]
AUTHORIZATIONS = [
    *("", "Bearer", "Bearer ", "Basic", "Basic !!", f"Bearer {MARK}", "bearer " + "A" * 43, "\0"),
    *(f"Basic {base64.b64encode(b'a:' + MARK.encode()).decode()}", "Basic " + "QTpC" * 3000),
    *("Bearer " + "A" * 9000, "Bearer \ud800", "Digest x", "Bearer a, Bearer b", "Basic OjpcMDA="),
]
KEYS = [None, None, "", "A" * 22, "A" * 64, "A" * 65, f"{MARK}:!", "\0", "\ud800", "é" * 30]
TAGS = [None, None, "*", '""', f'W/"{MARK}"', '"' * 500, "\ud800"]
DEEP = [opening * 70_000 for opening in (b"[", b'{"a":', b'"', b"\\")]
SIZES = [size for limit in (2**16, 2**17) for size in (limit, limit + 1)]

# What would leave little for others to find goes to somebody whom nobody will miss, most times.
ENDS = {"logout", "deleteAccount", "leaveGroup", "deleteGroup", "revokeDevice", "removeMember"}


class Sent(NamedTuple):
    """A request, and what is wrong with the event that carries it."""

    operation: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    carried: str


CONFLICT = Sent(
    operation="changeRole",
    method="PATCH",
    target=f"/api/groups/{STAND_INS['groupId'][0]}/members/{STAND_INS['userId'][0]}",
    headers={
        "authorization": f"{edge.STAND_IN} Bearer admin",
        "content-type": "application/json",
    },
    body=b'{"role": "member"}',
    carried="_as_text",
)
"""The only admin of a new family's group wants to be none. By chance a 409 is seldom met."""


@pytest.fixture
def fuzzed(session: Session, url: str, tmp_path: Path) -> Iterator["Fuzzed"]:
    """The service, and what is seen of it."""
    with edge.serving(url, tmp_path / "log") as serving:
        yield Fuzzed(serving, session)


@pytest.mark.parametrize(
    ("seeds", "examples"),
    [
        ([1, 2, 3], 500),
        *(
            pytest.param(range(first, first + 5), 5000, marks=pytest.mark.full)
            for first in (10, 20, 30, 40)
        ),
    ],
    ids=["1500", *("25000 more" for _ in range(4))],
)
def test_no_request_breaks_the_service_its_promise_its_silence_or_its_memory(
    fuzzed: "Fuzzed", seeds: list[int], examples: int, capsys: pytest.CaptureFixture[str]
) -> None:
    conflict = fuzzed.send(CONFLICT)
    for number in seeds:

        @seed(number)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(sent=requests())
        def every_answer_is_promised(sent: Sent) -> None:
            fuzzed.send(sent)

        every_answer_is_promised()

    with capsys.disabled():
        print(f"\n{fuzzed.report()}")  # noqa: T201
    assert fuzzed.count >= len(seeds) * examples
    assert conflict == 409
    assert {200, 201, 204, 400, 401, 404, 415, 422} <= fuzzed.statuses.keys()
    if fuzzed.count > 2 * WARM_UP:
        assert fuzzed.operations == {operation["operationId"] for _, _, operation in operations()}
        assert fuzzed.leak() < LEAK


class Fuzzed:
    """The service, and what is seen of it."""

    def __init__(self, serving: Edge, session: Session) -> None:
        self.statuses = Counter[int]()
        self.operations = set[str]()
        self._edge = serving
        self._session = session
        self._scene = edge.family(session)
        self._memory: list[tuple[int, int]] = []

    @property
    def count(self) -> int:
        """How many requests have been answered."""
        return self.statuses.total()

    def send(self, sent: Sent) -> int:
        """Send a request, and see that all is well. Return the status of the answer."""
        if self.count % RENEWED_AFTER == 0:
            self._scene = edge.family(self._session)
        if self.count % MEASURED_EVERY == 0:
            self._memory.append((self.count, self._edge.memory()))
        reply = self._edge.answer(self._event(sent))
        self.statuses[reply.status] += 1
        self.operations.add(sent.operation)
        path = sent.target.partition("?")[0]
        edge.check(self._edge, sent.method, path, reply)
        return reply.status

    def _event(self, sent: Sent) -> Event:
        made = edge.event(self._scene, sent.method, sent.target, sent.headers, sent.body)
        CARRIERS[sent.carried](made)
        return made

    def leak(self) -> float:
        """By how many bytes the process has grown for each request, once it was warm."""
        warm = [point for point in self._memory if point[0] >= WARM_UP]
        return linear_regression(*zip(*warm, strict=True)).slope

    def report(self) -> str:
        """What has been seen."""
        megabytes = [f"{held / 2**20:.1f}" for _, held in self._memory]
        told = f"{self.count} requests, {dict(sorted(self.statuses.items()))}"
        slope = f", {self.leak():.1f} bytes a request" if self.count > 2 * WARM_UP else ""
        return f"{told}; MB {' '.join(megabytes[:: max(1, len(megabytes) // 20)])}{slope}"


# How a body goes in its event, and what else an event may lack.


def _as_text(event: Event) -> None:
    event["body"] = event["body"].decode("utf-8", "replace")


def _as_text_with_surrogates(event: Event) -> None:
    event["body"] = event["body"].decode("utf-8", "surrogateescape")


def _encoded(event: Event) -> None:
    event["body"] = base64.b64encode(event["body"]).decode()
    event["isBase64Encoded"] = True


def _encoded_and_not_said(event: Event) -> None:
    _encoded(event)
    event["isBase64Encoded"] = False


def _said_and_not_encoded(event: Event) -> None:
    _as_text(event)
    event["isBase64Encoded"] = True


def _broken(event: Event) -> None:
    _encoded(event)
    event["body"] = event["body"][1:-1] + "é!"


def _without_body(event: Event) -> None:
    event["body"] = None


def _without_headers(event: Event) -> None:
    event["headers"] = None


def _without_query(event: Event) -> None:
    event["multiValueQueryStringParameters"] = None


def _without_address(event: Event) -> None:
    event["requestContext"]["identity"] = None


def _without_stage(event: Event) -> None:
    event["stageVariables"] = None


CARRIERS = {
    function.__name__: function
    for function in (
        *(_as_text, _as_text_with_surrogates, _encoded, _encoded_and_not_said),
        *(_said_and_not_encoded, _broken, _without_body, _without_headers, _without_query),
        *(_without_address, _without_stage),
    )
}
_CARRIED = [*["_as_text"] * 24, *["_encoded"] * 12, *CARRIERS]


@st.composite
def requests(draw: DrawFn) -> Sent:
    """Draw a request that one operation of the contract might take, with something wrong."""
    path, method, operation = draw(st.sampled_from(operations()))
    said = operation.get("parameters", [])
    steps = {
        parameter["name"]: draw(path_value(parameter["name"]))
        for parameter in said
        if parameter["in"] == "path"
    }
    query = draw(query_string([one["name"] for one in said if one["in"] == "query"]))
    body = draw(content(operation)) if "requestBody" in operation or draw(RARELY) else b""
    return Sent(
        operation=operation["operationId"],
        method=method.upper(),
        target=path.format_map(steps) + query,
        headers=draw(headers(operation)),
        body=body,
        carried=draw(st.sampled_from(_CARRIED)),
    )


RARELY = st.integers(0, 9).map(lambda number: number == 0)


def path_value(name: str) -> SearchStrategy[str]:
    """Something that stands in a path."""
    if name == "key_version":
        return st.sampled_from(["1", "1", "1", "2", "0", "01", "9" * 11, "\uff11", *PATH_ODDS])
    if name == "name":
        return st.sampled_from([*FILES, "HASHES", *PATH_ODDS, MARK])
    known = STAND_INS[edge.NAMED[name]]
    return st.sampled_from([*known * 4, edge.NOBODY, *PATH_ODDS, MARK])


@st.composite
def query_string(draw: DrawFn, names: list[str]) -> str:
    """A query string, from none to one that nobody can read."""
    if not names and not draw(RARELY):
        return ""
    ids = [*STAND_INS["groupId"], *STAND_INS["userId"]]
    known = ["1", "500", "2026-01-01T00:00:00Z", "A" * 43, *map(quote, TEXT_ODDS[:3])]
    odd = ["%", "%zz", "%00", "%ff", "%ed%a0%80", "0", "-1", "1000000000", "9" * 5000, "&", "=", ""]
    pairs = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*names * 3, MARK, "", "%ff", "limit"]),
                st.sampled_from([*ids * 2, *known * 2, *odd]),
            ),
            max_size=4,
        )
    )
    return "?" + draw(st.sampled_from("&&&;")).join("=".join(pair) for pair in pairs)


@st.composite
def headers(draw: DrawFn, operation: Json) -> dict[str, str]:
    """Headers, most of them right."""
    is_phone = operation["security"] == [{"phone": []}]
    right = ["Basic phone"] if is_phone else ["Bearer stranger"]
    if operation["operationId"] not in ENDS and not is_phone:
        right = ["Bearer admin", "Bearer admin", "Bearer member", "Bearer pending", *right]
    else:
        right = [*right * 20, "Bearer admin"]
    written = {
        "authorization": draw(st.sampled_from([*right * 8, *AUTHORIZATIONS, None])),
        "content-type": draw(st.sampled_from([*["application/json"] * 30, *MEDIA_TYPES])),
        "idempotency-key": draw(st.sampled_from(KEYS)),
        "if-none-match": draw(st.sampled_from(TAGS)),
        draw(st.sampled_from(["user-agent", "x-forwarded-for", "accept", "host", MARK])): MARK,
    }
    stood_in = ("Bearer stranger", "Bearer admin", "Bearer member", "Bearer pending", "Basic phone")
    return {
        name: f"{edge.STAND_IN} {value}" if value in stood_in else value
        for name, value in written.items()
        if value is not None
    }


@st.composite
def content(draw: DrawFn, operation: Json) -> bytes:
    """A body: as the schema says, bent as a value, and bent again as bytes."""
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    value = draw(of_schema(media.get("schema", {})))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        value = draw(bent(value))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, dict) and value and draw(RARELY):
        text = text[:-1] + ", " + text[1:]  # every name twice
    raw = text.encode("utf-8", "surrogatepass")
    return draw(mauled(raw)) if draw(st.integers(0, 4)) == 0 else raw


def of_schema(schema: Json) -> SearchStrategy[Any]:
    """What a schema describes, few and plain values of it."""
    key = json.dumps(schema, sort_keys=True)
    if key not in _STRATEGIES:
        _STRATEGIES[key] = _of_schema(schema)
    return _STRATEGIES[key]


_STRATEGIES: dict[str, SearchStrategy[Any]] = {}
_IDS = [*(id_ for ids in STAND_INS.values() for id_ in ids), edge.NOBODY]
_TEXTS = {
    "uuid": _IDS,
    "date-time": ["2026-01-01T00:00:00Z", "2030-01-01T00:00:00+14:00", "2026-11-22T12:00:00.1Z"],
}


def _of_schema(schema: Json) -> SearchStrategy[Any]:  # noqa: PLR0911 -- one for each kind
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return of_schema(contract.document()["components"]["schemas"][name])
    if "anyOf" in schema:
        return st.one_of([of_schema(form) for form in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema.get("type"):
        case "object":
            members = {name: of_schema(one) for name, one in schema.get("properties", {}).items()}
            needed = schema.get("required", ())
            return st.fixed_dictionaries(
                {name: one for name, one in members.items() if name in needed},
                optional={name: one for name, one in members.items() if name not in needed},
            )
        case "array":
            return st.lists(
                of_schema(schema["items"]), min_size=schema.get("minItems", 0), max_size=3
            )
        case "string":
            texts = [*_TEXTS.get(schema.get("format", ""), ()), *schema.get("examples", ())]
            texts += ["A" * schema.get("minLength", 3), "A" * min(schema.get("maxLength", 9), 9999)]
            return st.sampled_from(texts if "format" in schema else [*texts, MARK])
        case "integer" | "number":
            least, most = schema.get("minimum", 0), schema.get("maximum", 2**31 - 2)
            return st.sampled_from([least, most, max(least, 1), *schema.get("examples", [])])
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    return st.sampled_from([*OTHER_ODDS, *TEXT_ODDS[:3]])


ODDS = st.one_of(
    st.sampled_from(TEXT_ODDS),
    st.sampled_from(NUMBER_ODDS),
    st.sampled_from(OTHER_ODDS),
    st.text(max_size=20).map(lambda text: text + MARK),
    st.integers(3, 40).map(lambda depth: json.loads("[" * depth + "]" * depth)),
)


@st.composite
def bent(draw: DrawFn, value: Any) -> Any:
    """A value with one place of it dropped, added to, or holding something else."""
    places = list(_places(value))
    if not places or draw(RARELY):
        return draw(ODDS)
    bent_value = deepcopy(value)
    *steps, last = draw(st.sampled_from(places))
    around = bent_value
    for step in steps:
        around = around[step]
    match draw(st.sampled_from(["drop", "add", "change", "change", "change"])):
        case "drop":
            del around[last]
        case "add" if isinstance(around, dict):
            around[draw(st.sampled_from([MARK, "", "__proto__", "id", "\ud800"]))] = draw(ODDS)
        case _:
            around[last] = draw(ODDS)
    return bent_value


def _places(value: Any, *steps: str | int) -> Iterator[tuple[str | int, ...]]:
    if steps:
        yield steps
    if isinstance(value, dict | list):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for step, member in members:
            yield from _places(member, *steps, step)


@st.composite
def mauled(draw: DrawFn, raw: bytes) -> bytes:
    """Bytes that were JSON, and hardly are any more."""
    at, odd = draw(st.integers(0, len(raw))), draw(st.binary(min_size=1, max_size=8))
    text = raw.decode("utf-8", "replace")
    cut = [raw[:at], raw + raw, odd, b"", b"\xef\xbb\xbf" + raw]
    cut += [raw[:at] + more + raw[at:] for more in (odd, b"\xc0\xaf", b"\xed\xa0\x80", b"\0")]
    cut += [raw[:at] + odd + raw[at + 1 :], text.encode("utf-16"), text.encode("utf-32")]
    return draw(st.sampled_from([*cut, *DEEP, *(raw.ljust(size) for size in SIZES)]))


def operations() -> list[tuple[str, str, Json]]:
    """Path, method and description of all that the contract has."""
    return [
        (path, method, operation)
        for path, methods in contract.document()["paths"].items()
        for method, operation in methods.items()
    ]
