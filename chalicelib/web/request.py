"""The request being served, and what routes may ask of it."""

import binascii
from contextvars import ContextVar

from chalice.app import Request

from chalicelib.web.shapes import InvalidFields

current: ContextVar[Request] = ContextVar("current")


class RepeatedParameter(InvalidFields):
    """A query parameter stands there twice, and nobody can say which one is meant."""

    detail = "A query parameter is given more than once."


def header(name: str) -> str | None:
    """Return a header's value; names are compared without case.

    Of several lines it is one list, in their order (RFC 9110, 5.3). `headers` has the last one.
    """
    request = current.get()
    said = request.to_original_event().get("multiValueHeaders") or {}
    lines = [line for key, values in said.items() if key.lower() == name for line in values]
    if lines:
        return ", ".join(lines)
    value = request.headers.get(name)
    return None if value is None else str(value)


def address() -> str:
    """Return the address that API Gateway saw: not a header, which anyone can write."""
    return str((current.get().context.get("identity") or {}).get("sourceIp") or "")


def request_id() -> str:
    """Return the id by which this request can be found in the log."""
    return str(getattr(current.get().lambda_context, "aws_request_id", ""))


def query() -> dict[str, str]:
    """Return the query parameters. Raises RepeatedParameter."""
    parameters = current.get().query_params
    if parameters is None:
        return {}
    if any(len(parameters.getlist(name)) > 1 for name in parameters):
        raise RepeatedParameter
    return dict(parameters)


def body() -> bytes | None:
    """Return the body's bytes, or None when it is not what its own envelope says it is."""
    try:
        raw = current.get().raw_body
    except (binascii.Error, UnicodeError):
        return None
    return raw if isinstance(raw, bytes) else raw.encode()
