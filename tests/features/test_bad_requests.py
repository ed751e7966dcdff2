"""What every route that reads a body or a query does with the worst of them.

The routes are listed from the app itself, so that a new one is tried too.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pg8000.native import Connection
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.web.contract import Access, Contract
from tests import contract, factories
from tests.api import Api, Reply
from tests.owntracks import basic

JSON = {"Content-Type": "application/json"}
SIX_MEGABYTES = 6 * 1024 * 1024
MEGABYTE = 1024 * 1024

UNREADABLE = [
    *(b"", b" ", b"x", b"{", b"\0", b"[1,]", b"{'a': 1}", b'{"a": 1}}', b'{"a": 01}', b"\x80"),
    *(b"NaN", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e999}'),
    *(b"1e999", b"9" * 5000, b'{"a": -%s}' % (b"9" * 5000), b'{"a": 1, "a": 1}'),
    *('{"a": 1}'.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
    *(b'{"a": "%s"}' % text for text in (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf")),
    *('{"a": 1}'.encode("utf-8-sig"), b'{"a": "\xed\xa0\x80"}', b'{"a": "\\ud800"}'),
    *(b'{"a": "\\u0000"}', b'{"\\u0000": 1}', b"[" * 17 + b"]" * 17),
]
DEEP = [opening * 100_000 for opening in (b"[", b'{"a":', b'{"locations":[', b'[{"":')]
SHAPELESS = [b"[]", b"null", b"7", b"-0", b"1e308", b"true", b'""', b"{}", b"[[], {}]"]


class Route(NamedTuple):
    """A route, and what it says of itself."""

    method: str
    path: str
    contract: Contract

    @property
    def is_for_phones(self) -> bool:
        """Whether whatever is sent has to be taken, so that no phone's queue is blocked."""
        return self.contract.access is Access.PHONE


@pytest.fixture
def send(operator: Connection) -> Any:
    """Send a body to a route as somebody who is signed in there."""
    del operator  # nobody may be silent for long within a transaction, and much is refused before
    with Session(engine.engine()) as session:
        una = factories.someone(session)
        phone = factories.phone(session, factories.group(session, una), una)
    api = Api()

    def send(route: Route, raw: bytes, headers: dict[str, str] = JSON) -> Reply:
        who = api if route.contract.access is Access.PUBLIC else api.as_(una.token)
        signed = basic(phone.device_id, phone.token) if route.is_for_phones else {}
        return who.call(route.method, filled(route.path), raw=raw, headers={**headers, **signed})

    return send


def test_what_is_no_json_is_refused_by_every_route(send: Any) -> None:
    for route in with_bodies():
        answers = [send(route, raw) for raw in UNREADABLE]

        assert outcomes(answers) == (
            {(200, None)} if route.is_for_phones else {(400, "malformed_body")}
        )


def test_json_of_no_routes_shape_is_refused_by_every_route(send: Any) -> None:
    for route in with_bodies():
        answers = [send(route, raw) for raw in SHAPELESS if not may_be(route, raw)]

        assert outcomes(answers) == (
            {(200, None)} if route.is_for_phones else {(422, "invalid_request")}
        )


def test_a_body_is_read_up_to_its_routes_limit(send: Any) -> None:
    for route in with_bodies():
        limit = route.contract.largest_body
        at_limit = [send(route, raw.ljust(limit)) for raw in (b"", *examples(route))]
        beyond = [send(route, bytes(limit + 1)), send(route, b"{}".ljust(limit + 1))]
        beyond.append(send(route, b" " * max(SIX_MEGABYTES, limit + 1)))

        if route.is_for_phones:
            assert outcomes([*at_limit, *beyond]) == {(200, None)}
            continue
        assert outcomes(beyond) == {(413, "body_too_large")}
        assert outcomes(at_limit[:1]) == {(400, "malformed_body")}
        assert len(at_limit) > 1
        assert not outcomes(at_limit[1:]) & {(400, "malformed_body"), (413, "body_too_large")}


def test_a_hundred_thousand_levels_are_entered_by_no_route(send: Any) -> None:
    for route in with_bodies():
        for raw in DEEP:
            answer = send(route, raw)

            is_short = len(raw) <= route.contract.largest_body
            refused = (400, "malformed_body") if is_short else (413, "body_too_large")
            assert outcomes([answer]) == {(200, None) if route.is_for_phones else refused}


def test_a_body_says_that_it_is_json_in_any_case_or_is_not_read(send: Any) -> None:
    for route in with_bodies():
        read = [
            send(route, b"x", {"content-type": media_type})
            for media_type in (
                "application/json",
                "APPLICATION/JSON",
                "Application/Json; Charset=UTF-8",
            )
        ]
        unread = [
            send(route, b"x", headers)
            for headers in ({}, {"Content-Type": ""}, {"Content-Type": "TEXT/PLAIN"})
        ]

        if route.is_for_phones:
            assert outcomes([*read, *unread]) == {(200, None)}
            continue
        assert outcomes(read) == {(400, "malformed_body")}
        assert outcomes(unread) == {(415, "unsupported_media_type")}


def test_no_body_takes_more_memory_than_a_few_times_what_its_route_reads(send: Any) -> None:
    by_limit = {route.contract.largest_body: route for route in with_bodies()}

    for limit, route in by_limit.items():
        # The smallest things that JSON can say, which are large ones when they are read.
        worst = [b'{"locations":[' + b"{}," * ((limit - 17) // 3) + b"{}]}"]
        worst += [b"9" * limit, b'"' + b"\\u0041" * (limit // 6), bytes(SIX_MEGABYTES), *DEEP]
        for raw in worst:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what is held now
            before = held("VmRSS")

            send(route, raw)

            # An empty object is 64 bytes, for 3 of JSON; and what comes in is there several times.
            grown = held("VmHWM") - before
            assert grown < 40 * min(len(raw), limit) + 8 * len(raw) + MEGABYTE, route.path


def test_a_page_has_a_size_that_makes_sense(api: Api, session: Session) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    paged = [
        route
        for route in routes()
        if route.contract.query is not None and "limit" in route.contract.query.model_fields
    ]
    sizes = ["0", "-1", "1000000000", "1e9", "9" * 5000, "-" + "9" * 5000, "NaN", "1.5", "0x1", ""]

    answers = [
        api.as_(una.token).call(route.method, f"{filled(route.path)}?limit={size}")
        for route in paged
        for size in sizes
    ]

    assert len(paged) >= 2
    assert outcomes(answers) == {(422, "invalid_request")}


@pytest.mark.parametrize(
    "part", ["headers", "pathParameters", "stageVariables", "body", "requestContext"]
)
def test_an_event_that_lacks_a_part_is_refused_and_not_raised_at(
    api: Api, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del api
    event = an_event()
    del event[part]

    answer = invoked(event)

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (
        400,
        "unacceptable_request",
    )
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "part", ["headers", "body", "multiValueQueryStringParameters", "stageVariables"]
)
def test_an_event_may_have_nothing_in_a_part(api: Api, part: str) -> None:
    del api
    event = an_event()
    event[part] = None

    answer = invoked(event)

    assert answer["statusCode"] == 401


@pytest.mark.parametrize("path", [None, {}, {"group_id": "1"}])
def test_an_event_whose_path_says_nothing_is_refused(
    api: Api, path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    del api
    event = an_event()
    event["pathParameters"] = path

    answer = invoked(event)

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (
        400,
        "unacceptable_request",
    )
    told = capsys.readouterr()
    assert json.loads(told.out)["cause"] in ("KeyError", "TypeError")
    assert told.err == ""


def an_event() -> dict[str, Any]:
    """What API Gateway sends for the person of an id, without credentials."""
    return {
        "requestContext": {
            "httpMethod": "GET",
            "resourcePath": "/api/users/{user_id}",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "headers": {"Accept": "*/*"},
        "multiValueQueryStringParameters": None,
        "pathParameters": {"user_id": factories.point_id()},
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }


def invoked(event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the function."""
    from app import app  # noqa: PLC0415 -- it reads the settings that fixtures make

    return app(event, None)


def routes() -> list[Route]:
    """All routes."""
    return [Route(method, path, vars(view)["contract"]) for method, path, view in contract.routes()]


def with_bodies() -> Iterator[Route]:
    """The routes that read a body."""
    found = [route for route in routes() if route.contract.body is not None]
    assert len(found) >= 15
    yield from found


def may_be(route: Route, raw: bytes) -> bool:
    """Whether the route has a use for a body that says nothing."""
    shape = route.contract.body
    return (
        raw == b"{}"
        and shape is not None
        and not any(field.is_required() for field in shape.model_fields.values())
    )


def examples(route: Route) -> list[bytes]:
    """The bodies that the contract shows for a route."""
    operation = contract.document()["paths"][route.path][route.method.lower()]
    (media,) = operation["requestBody"]["content"].values()
    return [json.dumps(example["value"]).encode() for example in media["examples"].values()]


def filled(path: str) -> str:
    """The path with ids in it."""
    names = {name: factories.point_id() for name in ("group_id", "user_id", "device_id")}
    return path.format(**names, invite_id=names["user_id"], key_version=1)


def held(name: str) -> int:
    """How many bytes of memory this process has, or has had at most."""
    (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def outcomes(answers: list[Reply]) -> set[tuple[int, str | None]]:
    """What was answered, each status with its code."""
    return {(answer.status, answer.code if answer.status >= 400 else None) for answer in answers}
