"""API Gateway on this machine: HTTP requests become its events, and Lambda's answers responses.

From the event on, the code is what runs on Lambda. What API Gateway would answer by itself is
answered here, in the same shape.
"""

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from chalice.app import Chalice

from chalicelib import log
from chalicelib.web.endpoint import HEADERS, left_out
from scripts.coding import coded

UNIX = "unix"
"""The peer's address where a request comes through a Unix socket."""

Network = IPv4Network | IPv6Network
Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Route(NamedTuple):
    """The template of a path, and what stands in its places."""

    template: str
    parameters: dict[str, str]


class Context(NamedTuple):
    """What the functions read of Lambda's context."""

    aws_request_id: str


class Gateway:
    """A WSGI application that invokes a function with the events of API Gateway's REST API."""

    def __init__(self, app: Chalice, trusted: Sequence[Network] = ()) -> None:
        self._app = app
        self._trusted = trusted
        # Fixed segments before places: /groups/join before /groups/{group_id}.
        self._templates = [(name, name.split("/")) for name in sorted(app.routes)]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        method = environ["REQUEST_METHOD"]
        request_id = str(uuid4())
        path, query = target(environ["REQUEST_URI"])
        route = self._route(path)
        if route is None:
            status = HTTPStatus.NOT_FOUND
            code, detail = "route_not_found", "There is no such route."
            log.write(
                {"requestId": request_id, "method": method, "status": status.value, "code": code}
            )
            headers, body = problem(status, code, detail, request_id=request_id)
        else:
            event = self._event(environ, path, query, route, request_id)
            left_out.set(0)
            answer = self._app(event, Context(request_id))
            status = HTTPStatus(answer["statusCode"])
            headers, body = _coded(status, answer, environ)
        if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            # HEAD is answered with the length that GET would have.
            headers.append(("Content-Length", str(len(body) or left_out.get())))
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if method == "HEAD" else [body]

    def _event(
        self, environ: Environ, path: str, query: str, route: Route, request_id: str
    ) -> dict[str, Any]:
        headers = _request_headers(environ)
        address = client_address(
            environ["REMOTE_ADDR"], headers.get("x-forwarded-for"), self._trusted
        )
        body = environ["wsgi.input"].read()
        parameters = parse_qs(query, keep_blank_values=True) or None
        return {
            "resource": route.template,
            "path": path,
            "httpMethod": environ["REQUEST_METHOD"],
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": parameters
            and {name: values[-1] for name, values in parameters.items()},
            "multiValueQueryStringParameters": parameters,
            "pathParameters": route.parameters or None,
            "stageVariables": None,
            "requestContext": {
                "httpMethod": environ["REQUEST_METHOD"],
                "identity": {"sourceIp": address, "userAgent": headers.get("user-agent")},
                "path": path,
                "protocol": environ["SERVER_PROTOCOL"],
                "requestId": request_id,
                "requestTimeEpoch": int(time.time() * 1000),
                "resourcePath": route.template,
                "stage": "host",
            },
            # Always encoded, so that the function sees the bytes that were sent.
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }

    def _route(self, path: str) -> Route | None:
        """Return the route of a path. As on API Gateway, a slash at its end means nothing."""
        segments = (path.removesuffix("/") or "/").split("/")
        for template, parts in self._templates:
            if len(parts) == len(segments) and all(
                part == segment or (part.startswith("{") and segment)
                for part, segment in zip(parts, segments, strict=True)
            ):
                pairs = zip(parts, segments, strict=True)
                return Route(
                    template, {part[1:-1]: said for part, said in pairs if part[:1] == "{"}
                )
        return None


def target(sent: str) -> tuple[str, str]:
    """Return the path, as it was sent, and the query of a request's target.

    An absolute form (RFC 9112, section 3.2.2) names the service as well, which is left out.
    """
    path, _, query = sent.partition("#")[0].partition("?")
    if not path.startswith("/") and "://" in path:
        try:
            path = urlsplit(path).path or "/"
        except ValueError:
            path = ""
    return path, query


def client_address(peer: str, forwarded: str | None, trusted: Sequence[Network]) -> str:
    """Return the address of the client that a request came from.

    `forwarded` is X-Forwarded-For: each proxy appends the address of its own peer. It is read from
    its end, and only as far as the networks in `trusted` vouch for what stands there; the rest is
    what a client has sent. A peer at a Unix socket is trusted: the file's mode says who may use it.
    """
    address = "127.0.0.1" if peer == UNIX else _plain(peer)
    is_trusted = peer == UNIX or _is_within(address, trusted)
    for said in reversed((forwarded or "").split(",")):
        if not is_trusted:
            break
        try:
            address = _plain(_without_port(said.strip()))
        except ValueError:
            break
        is_trusted = _is_within(address, trusted)
    return address


def networks(text: str) -> list[Network]:
    """Read networks, separated by commas. Raises ValueError."""
    return [ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]


def problem(
    status: HTTPStatus, code: str, detail: str, *, request_id: str | None = None
) -> tuple[list[tuple[str, str]], bytes]:
    """Return the headers, without the length, and the body of a refusal (RFC 9457)."""
    document = {
        "type": f"urn:draugar:problem:{code}",
        "title": status.phrase.capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": request_id or str(uuid4()),
        "error": detail,
    }
    headers = HEADERS | {"Content-Type": "application/problem+json"}
    return list(headers.items()), json.dumps(document).encode()


def _request_headers(environ: Environ) -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def _coded(
    status: HTTPStatus, answer: Mapping[str, Any], environ: Environ
) -> tuple[list[tuple[str, str]], bytes]:
    headers, body = coded(
        status.value,
        answer.get("headers") or {},
        _body(answer),
        # Where there is no body there is nothing to code, and its length is that of the text.
        None if environ["REQUEST_METHOD"] == "HEAD" else environ.get("HTTP_ACCEPT_ENCODING"),
    )
    several = (answer.get("multiValueHeaders") or {}).items()
    return [
        *headers.items(),
        *((name, value) for name, values in several for value in values),
    ], body


def _body(answer: Mapping[str, Any]) -> bytes:
    text = answer.get("body") or ""
    return base64.b64decode(text) if answer.get("isBase64Encoded") else str(text).encode()


def _plain(text: str) -> str:
    """Return an address in one form; an IPv4 one that is mapped is IPv4. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_within(address: str, trusted: Sequence[Network]) -> bool:
    known = ip_address(address)
    return any(known in network for network in trusted)
