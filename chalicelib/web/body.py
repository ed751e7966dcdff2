"""A strict reader of JSON bodies.

JSON as RFC 8259 means it between systems that do not know each other: UTF-8, no repeated names,
no NaN or Infinity, no number beyond a double, no lone surrogate or NUL in any string. What is
refused here could not be stored or would be read differently by the next reader.
"""

import json
import re
from typing import Any, NoReturn

from chalicelib.errors import Malformed, TooLarge, UnsupportedCoding, UnsupportedMedia
from chalicelib.web import request

BODY_BYTES = 64 * 1024
DEEPEST_NESTING = 16
# Possessive, and without its end where that is missing: looked through once, whatever it holds.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_MEDIA_TYPE = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)
_CODING = re.compile(r"[a-z0-9-]{1,16}")


class MalformedBody(Malformed):
    """The body is not JSON, or not JSON that everybody reads alike."""

    code = "malformed_body"
    detail = "The body is not well-formed JSON."


def read_json(*, largest: int = BODY_BYTES) -> Any:
    """Read the current request's body of at most `largest` bytes.

    Raises UnsupportedMedia, UnsupportedCoding, TooLarge, MalformedBody.
    """
    if _MEDIA_TYPE.fullmatch((request.header("content-type") or "").strip()) is None:
        raise UnsupportedMedia
    _check_coding(request.header("content-encoding") or "")
    raw = request.body()
    if raw is None:
        raise MalformedBody
    if len(raw) > largest:
        raise TooLarge
    try:
        text = raw.decode("utf-8")
        _check_nesting(text)
        value = _READER.decode(text)
        if "\\u" in text:  # nothing else brings a lone surrogate or a NUL into a string
            _check_strings(value)
    except ValueError:
        raise MalformedBody from None
    return value


def read_whatever(*, largest: int) -> Any:
    """Read the current request's body as it may be; None for what is no JSON, or too much of it."""
    raw = request.body()
    if raw is None or len(raw) > largest:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _check_coding(said: str) -> None:
    """Raises UnsupportedCoding, which names the codings that are of a coding's form."""
    codings = [coding.strip().lower() for coding in said.split(",")]
    applied = [coding for coding in codings if coding not in ("", "identity")]
    if applied:
        told = [f'"{coding}"' if _CODING.fullmatch(coding) else "another" for coding in applied[:5]]
        raise UnsupportedCoding(
            f"The body must be sent without a content coding, and not as {', '.join(told)}."
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError
    return value


_READER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse, parse_float=_number)


def _check_nesting(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEEPEST_NESTING:
            raise ValueError


def _check_strings(value: Any) -> None:
    if isinstance(value, str):
        value.encode()  # a lone surrogate has no UTF-8
        if "\0" in value:
            raise ValueError
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_strings(name)
            _check_strings(member)
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)
