"""What bodies, queries and answers are made of. Shape only: no rule here needs state."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from chalicelib.errors import Invalid

_BASE64 = re.compile(r"[A-Za-z0-9_-]*")
_STEERS = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")
"""What some terminals obey, breaks a line, or turns the text around it about."""

_PATHS_TOLD = 5


class InvalidFields(Invalid):
    """A field is missing, unknown, of a wrong type or out of its bounds."""

    code = "invalid_request"


class Request(BaseModel):
    """A body or a query string: camelCase names, no coercion, nothing unknown."""

    model_config = ConfigDict(
        defer_build=True,  # few shapes are met in the life of a process
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def read(cls, value: Any) -> Self:
        """Raises InvalidFields, whose detail names the fields and never what they held."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(_told(detail) for detail in details[:_PATHS_TOLD])
        raise InvalidFields(told)


class Answer(BaseModel):
    """A body that goes out, with camelCase names; what is None and may be left out is.

    `headers` go beside it, in place of those that all answers have.
    """

    media_type: ClassVar[str] = "application/json"
    headers: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(
        defer_build=True,
        alias_generator=to_camel,
        validate_by_name=True,
        frozen=True,
        from_attributes=True,
    )

    @property
    def noted(self) -> str | None:
        """What the log is told of a success that did nothing, as a code."""
        return None

    def text(self) -> str:
        """Return the body as it goes out."""
        return self.model_dump_json(by_alias=True)


def _told(detail: ErrorDetails) -> str:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        # The name of an unknown field is the caller's own text.
        path, message = path[:-1], "holds a field that this route does not take"
    elif detail["type"] == "uuid_parsing":
        # Its message repeats a character of the input.
        message = "should be a UUID"
    else:
        message = detail["msg"].removeprefix("Value error, ")
    return f"{'.'.join(str(step) for step in path) or 'the request'}: {message}"


def _only_text(value: object) -> object:
    """Keep pydantic from reading numbers as times."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("should be an ISO 8601 date and time with an offset")
    return value


def _visible(name: str) -> str:
    """Refuse names that nobody sees, or that do something to what stands around them."""
    if not any(character.isprintable() for character in name) or _STEERS.search(name):
        raise ValueError("should be visible text")
    return name


def _in_utc(value: datetime) -> datetime:
    """Refuse what no other offset has a year for: the database is told times in UTC."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("should be in the years 1 to 9999 of UTC") from None


def never_null(schema: dict[str, Any]) -> None:
    """Describe a value that is left out instead of being null."""
    if "anyOf" in schema:
        schema |= schema.pop("anyOf")[0]
    if schema.get("default", ...) is None:
        del schema["default"]


def _from_base64(value: object) -> object:
    """Read base64url without padding, or standard base64; bytes come from ourselves."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("should be base64url")  # noqa: TRY004
    text = value.rstrip("=").replace("+", "-").replace("/", "_")
    if _BASE64.fullmatch(text) is None:
        raise ValueError("should be base64url")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("should be base64url") from None


def bytes_schema(least: int, most: int) -> WithJsonSchema:
    """Describe so many bytes by the characters they go as."""
    return WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64url",
            "minLength": ceil(least * 4 / 3),
            "maxLength": ceil(most * 4 / 3),
        }
    )


def to_base64(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
    AfterValidator(_visible),
    Field(examples=["Una"]),
]
Moment = Annotated[
    AwareDatetime, Strict(strict=False), BeforeValidator(_only_text), AfterValidator(_in_utc)
]
Uuid = Annotated[UUID, Strict(strict=False)]
Opaque = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(to_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64url"}),
]
Whole = Annotated[int, Strict(strict=False)]
Optional = Field(default=None, exclude_if=lambda value: value is None, json_schema_extra=never_null)

__all__ = [
    "Answer",
    "InvalidFields",
    "Moment",
    "Name",
    "Opaque",
    "Optional",
    "Request",
    "Uuid",
    "Whole",
    "bytes_schema",
    "never_null",
    "to_base64",
]
