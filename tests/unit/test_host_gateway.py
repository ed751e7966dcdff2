"""How a request to `make host` becomes the event that API Gateway would send."""

import base64
from io import BytesIO
from typing import Any

import pytest
from chalice.app import Chalice, Request, Response

from scripts.host.gateway import UNIX, Gateway, client_address, networks, target
from scripts.host.server import Address

TRUSTED = networks("10.0.0.0/8, 127.0.0.1, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.5", "192.0.2.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", "203.0.113.5, 10.1.1.1", "203.0.113.5"),
        ("127.0.0.1", "10.9.9.9, 10.1.1.1", "10.9.9.9"),
        ("::ffff:127.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"),
        ("::ffff:192.0.2.1", "203.0.113.5", "192.0.2.1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("127.0.0.1", "203.0.113.5:443", "203.0.113.5"),
        ("127.0.0.1", "203.0.113.5, nonsense", "127.0.0.1"),
        ("127.0.0.1", "nonsense, 203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", "203.0.113.5, nonsense, 10.1.1.1", "10.1.1.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.5,", "127.0.0.1"),
        (UNIX, None, "127.0.0.1"),
        (UNIX, "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("fe80::1%eth0", "203.0.113.5", "fe80::1"),
    ],
)
def test_the_client_is_the_last_address_that_trusted_proxies_vouch_for(
    peer: str, forwarded: str | None, address: str
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == address


@pytest.mark.parametrize(
    ("sent", "path", "query"),
    [
        ("/a/b?c=d", "/a/b", "c=d"),
        ("/a%2Fb/%00?x=%3F?y", "/a%2Fb/%00", "x=%3F?y"),
        ("//a/b", "//a/b", ""),
        ("http://host:1/a%20b?c", "/a%20b", "c"),
        ("http://host", "/", ""),
        ("http://[/a", "", ""),
        ("*", "*", ""),
        ("/a#b?c", "/a", ""),
        ("/http://b/c", "/http://b/c", ""),
    ],
)
def test_the_path_is_the_one_that_was_sent(sent: str, path: str, query: str) -> None:
    assert target(sent) == (path, query)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address(None, "127.0.0.1", 8000)),
        ("[::1]:8000", Address(None, "::1", 8000)),
        ("unix:/run/draugar/http", Address("/run/draugar/http", "", 0)),
    ],
)
def test_an_address_to_listen_at_is_read(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text", ["", "8000", ":8000", "a:0", "a:65536", "::1:8000", "a:b", "unix:run", "a:80 "]
)
def test_what_is_no_address_to_listen_at_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Address.parse(text)


class Service:
    """An app that answers what it is told to, and keeps the request that it saw."""

    def __init__(self, answer: Response) -> None:
        self.seen: list[Request] = []
        self.app = Chalice("service")

        @self.app.route("/groups/{group}/keys/{key}", methods=["GET", "POST"])
        def view(**_: str) -> Response:
            assert self.app.current_request is not None
            self.seen.append(self.app.current_request)
            return answer

        @self.app.route("/groups/join/keys/{key}")
        def fixed(**_: str) -> Response:
            return Response(body="fixed")

    def ask(self, method: str, uri: str, body: bytes = b"", **more: str) -> tuple[str, Any, bytes]:
        """Return the status line, the headers and the body of the answer."""
        told: list[Any] = []
        environ = {
            "REQUEST_METHOD": method,
            "REQUEST_URI": uri,
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.input": BytesIO(body),
        } | more
        parts = Gateway(self.app, TRUSTED)(environ, lambda *head: told.extend(head))
        return told[0], dict(told[1]), b"".join(parts)


def test_a_function_sees_what_was_sent() -> None:
    service = Service(Response(body="done", status_code=201, headers={"ETag": '"x"'}))

    status, headers, body = service.ask(
        "POST",
        "/groups/a%20b/keys/7/?x=1&x=%C3%A6&y=",
        b"\x00\xff{",
        CONTENT_TYPE="application/json",
        HTTP_X_FORWARDED_FOR="203.0.113.5",
        HTTP_IF_NONE_MATCH="*",
    )

    assert (status, body, headers["ETag"]) == ("201 Created", b"done", '"x"')
    assert headers["Content-Length"] == "4"
    (request,) = service.seen
    event = request.to_original_event()
    assert event["body"] == base64.b64encode(b"\x00\xff{").decode()
    assert request.raw_body == b"\x00\xff{"
    assert request.uri_params == {"group": "a%20b", "key": "7"}
    assert request.query_params is not None
    assert request.query_params.getlist("x") == ["1", "æ"]
    assert request.query_params.getlist("y") == [""]
    assert request.headers["content-type"] == "application/json"
    assert request.headers["if-none-match"] == "*"
    assert request.context["identity"]["sourceIp"] == "203.0.113.5"
    assert request.context["resourcePath"] == "/groups/{group}/keys/{key}"


def test_a_fixed_segment_goes_before_a_place() -> None:
    assert Service(Response(body="")).ask("GET", "/groups/join/keys/1")[2] == b"fixed"


@pytest.mark.parametrize(
    "uri", ["/", "/groups//keys/1", "/groups/a/keys", "*", "", "/groups/a/keys/1/2"]
)
def test_what_is_no_route_is_answered_by_a_problem(uri: str) -> None:
    status, headers, body = Service(Response(body="")).ask("GET", uri)

    assert status == "404 Not Found"
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert b'"code": "route_not_found"' in body


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_names_no_length(status: int) -> None:
    _, headers, body = Service(Response(body="", status_code=status)).ask("GET", "/groups/a/keys/1")

    assert "Content-Length" not in headers
    assert body == b""
