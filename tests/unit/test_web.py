import base64
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import Request as ChaliceRequest
from pydantic import TypeAdapter, ValidationError

from chalicelib.web import Access, Opaque, endpoint, request, to_base64


@pytest.mark.parametrize(
    ("sent", "is_base64", "body"),
    [
        (None, False, b""),
        ("é", False, "é".encode()),
        (b"\xff", False, b"\xff"),
        ("eyJuIjoxfQ==", True, b'{"n":1}'),
        ("", True, b""),
        ("eyJ", True, None),
        ("é", True, None),
        ("\ud800", False, None),
    ],
)
def test_a_body_is_what_its_envelope_says_or_none(
    sent: str | bytes | None, *, is_base64: bool, body: bytes | None
) -> None:
    request.current.set(called(body=sent, isBase64Encoded=is_base64))

    assert request.body() == body


@pytest.mark.parametrize("context", [{}, {"identity": {}}, {"identity": {"sourceIp": None}}])
def test_an_address_that_the_gateway_does_not_tell_is_empty(context: dict[str, Any]) -> None:
    request.current.set(called(requestContext=context))

    assert request.address() == ""


def test_a_route_says_who_may_call_it_and_a_public_one_why() -> None:
    def route() -> None: ...

    with pytest.raises(TypeError, match="credential"):
        endpoint(access=Access.APP)(route)
    with pytest.raises(TypeError, match="says why"):
        endpoint(access=Access.PUBLIC)(route)


@pytest.mark.parametrize("value", [b"", b"\0", b"\xfb\xff\xfe", bytes(range(256))], ids=len)
def test_opaque_bytes_are_read_from_base64_of_either_alphabet(value: bytes) -> None:
    opaque = TypeAdapter(Opaque)

    spellings = [to_base64(value), base64.b64encode(value).decode()]

    assert [opaque.validate_python(text) for text in spellings] == [value, value]
    assert not set(to_base64(value)) & set("+/=")
    assert opaque.dump_python(value) == to_base64(value)


@pytest.mark.parametrize("text", ["A", "AAAAA", "A A=", "A\n==", "é", "\ud800", "=A", 7])
def test_what_is_no_base64_is_refused(text: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Opaque).validate_python(text)


def called(**event: Any) -> ChaliceRequest:
    around = {"httpMethod": "POST", "resourcePath": "/api/things/{id}"}
    event["requestContext"] = around | event.get("requestContext", {})
    defaults: dict[str, Any] = {
        "headers": {},
        "body": None,
        "pathParameters": {},
        "stageVariables": {},
        "multiValueQueryStringParameters": None,
    }
    return ChaliceRequest(defaults | event, SimpleNamespace(aws_request_id="an-id"))
