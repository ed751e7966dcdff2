import base64
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import Request as ChaliceRequest
from pydantic import TypeAdapter, ValidationError

from chalicelib.web import Access, Opaque, endpoint, log, request, to_base64


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


def test_a_fault_keeps_classes_and_places_and_no_text() -> None:
    outcome = log.Outcome()

    outcome.note_fault(raised(RuntimeError("secret"), cause=KeyError("secret")))

    assert outcome.code == "internal_error"
    assert [line for line in outcome.fault if ":" not in line] == ["RuntimeError", "KeyError"]
    assert [line.split(":")[0] for line in outcome.fault if ":" in line] == ["raised", "raised"]
    assert "secret" not in str(outcome)


def test_of_a_deep_fault_the_last_places_are_kept() -> None:
    outcome = log.Outcome()

    def descend(levels: int) -> None:
        if levels == 0:
            raise ValueError
        descend(levels - 1)

    with pytest.raises(ValueError, match=r"^$") as error:
        descend(100)
    outcome.note_fault(error.value)

    assert len(outcome.fault) == 1 + 8


def test_errors_that_led_to_each_other_are_told_once() -> None:
    outcome = log.Outcome()
    first, second = RuntimeError(), KeyError()
    first.__cause__, second.__context__ = second, first

    outcome.note_fault(first)

    assert outcome.fault == ["RuntimeError", "KeyError"]


def test_the_log_is_written_once_however_often_it_is_started() -> None:
    log.start()
    logger = logging.getLogger("draugar.requests")
    before = list(logger.handlers)

    log.start()

    assert logger.handlers == before
    assert not logger.propagate


def test_a_line_has_the_fields_that_are_named_and_no_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = called(
        headers={"authorization": "secret"},
        body="secret",
        pathParameters={"id": "secret"},
        multiValueQueryStringParameters={"secret": ["secret"]},
    )
    logger = logging.getLogger("draugar.requests")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger="draugar.requests")

    log.request(event, 200, 0.01234, log.Outcome())

    logger.removeHandler(caplog.handler)
    assert json.loads(caplog.messages[-1]) == {
        "requestId": "an-id",
        "method": "POST",
        "route": "/api/things/{id}",
        "status": 200,
        "durationMs": 12.3,
    }


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


@pytest.mark.parametrize("text", ["A", "AAAAA", "A A=", "A\n==", "é", "\ud800", "=A", 7, b"AA"])
def test_what_is_no_base64_is_refused(text: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Opaque).validate_python(text)


def raised(error: Exception, *, cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except type(cause) as inner:
            raise error from inner
    except type(error) as outer:
        return outer


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
