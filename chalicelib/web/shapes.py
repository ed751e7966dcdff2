"""What bodies, queries and answers are made of. Shape only: no rule here needs state."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
    GetCoreSchemaHandler,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Strict,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, core_schema

from chalicelib.characters import is_visible
from chalicelib.errors import Invalid

_BASE64 = re.compile(r"[A-Za-z0-9_-]*")
_STEERS = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")
"""What some terminals obey, breaks a line, or turns the text around it about."""

_PATHS_TOLD = 5
_FIELD_NAME = re.compile("[A-Za-z0-9_-]{1,40}")
_SENTENCES = {
    "missing": "is missing",
    "string_too_short": "should have {min_length} or more characters",
    "string_too_long": "should have {max_length} or fewer characters",
    "string": "should be text",
    "int": "should be a whole number",
    "float": "should be a number",
    "finite_number": "should be a number",
    "greater_than_equal": "should be {ge} or more",
    "greater_than": "should be more than {gt}",
    "less_than_equal": "should be {le} or less",
    "less_than": "should be less than {lt}",
    "bool": "should be true or false",
    "literal_error": "should be {expected}",
    "list_type": "should be a list",
    "model": "should be an object",
    "dict": "should be an object",
    "uuid": "should be a UUID",
    "date": "should be an ISO 8601 date and time with an offset",
    "timezone": "should be an ISO 8601 date and time with an offset",
}
"""What is said of a kind of error, by the beginning of pydantic's name for it; the first counts."""
_FORMS: dict[str, str] = {}
"""What is said of a text that does not match a pattern."""


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
            details = error.errors(include_url=False, include_input=False)
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

    def body(self) -> str | bytes:
        """Return what goes out: bytes only of a type that the gateway takes as binary."""
        return self.text()

    def head(self) -> dict[str, str]:
        """Return the headers of this answer, in place of those that all answers have."""
        return {"Content-Type": self.media_type, **self.headers}


class File(Answer, RootModel[Any]):
    """A file as it is stored, of the type in `Content-Type`."""

    media_type = "*/*"

    model_config = ConfigDict(
        json_schema_extra={"examples": ["<!doctype html>"]},
    )
    _head: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, content: str | bytes, media_type: str, headers: Mapping[str, str]) -> Self:
        """Return a file; its content is text unless the type is binary."""
        file = cls(content)
        file._head = {"Content-Type": media_type, **headers}
        return file

    def body(self) -> str | bytes:
        """Return the content."""
        content: str | bytes = self.root
        return content

    def head(self) -> dict[str, str]:
        """Return the headers of this file."""
        return self._head


def _told(detail: ErrorDetails) -> str:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        *path_, name = path
        path, message = tuple(path_), "holds a field that this route does not take"
        # The name is the caller's own text, so it is repeated only where it looks like a name.
        if _FIELD_NAME.fullmatch(str(name)):
            message += f': "{name}"'
    else:
        message = _sentence(detail)
    return f"{'.'.join(str(step) for step in path) or 'the request'}: {message}"


def _sentence(detail: ErrorDetails) -> str:
    """Say in our own words what is wrong; only bounds and lengths are repeated."""
    kind, bounds = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    if kind in ("too_short", "too_long"):
        return _items(bounds)
    if kind == "string_pattern_mismatch":
        return _FORMS[bounds["pattern"]]
    for prefix, sentence in _SENTENCES.items():
        if kind.startswith(prefix):
            return sentence.format_map({name: _plain(value) for name, value in bounds.items()})
    return "is not of the form that this route takes"


def _items(bounds: Mapping[str, Any]) -> str:
    number = bounds.get("min_length", bounds.get("max_length", 0))
    bound = f"{number} or {'more' if 'min_length' in bounds else 'fewer'}"
    return f"should have {bound} items, and has {bounds['actual_length']}"


def _plain(value: Any) -> Any:
    """Write a whole number without a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _characters(bytes_: int) -> int:
    """Return as how many characters of base64url so many bytes go."""
    return ceil(bytes_ * 4 / 3)


def _only_text(value: object) -> object:
    """Keep pydantic from reading numbers as times."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("should be an ISO 8601 date and time with an offset")
    return value


def _visible(name: str) -> str:
    """Refuse names that show nothing, or that change what stands around them."""
    if not is_visible(name) or _STEERS.search(name):
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


@dataclass(frozen=True)
class Length:
    """Demand `least` to `most` bytes of an Opaque; without `most` exactly `least`."""

    least: int
    most: int | None = None

    def schema(self) -> dict[str, Any]:
        """Describe the bytes by the characters they go as."""
        return {
            "type": "string",
            "contentEncoding": "base64url",
            "minLength": _characters(self.least),
            "maxLength": _characters(self.most or self.least),
        }

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check the length after what stands before."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, *_: object) -> dict[str, Any]:
        """Describe the characters instead of the bytes."""
        return self.schema()

    def _check(self, value: bytes) -> bytes:
        if self.least <= len(value) <= (self.most or self.least):
            return value
        bounds = sorted({self.least, self.most or self.least})
        length = " to ".join(str(bound) for bound in bounds)
        characters = " to ".join(str(_characters(bound)) for bound in bounds)
        raise ValueError(
            f"should be {'exactly ' if len(bounds) == 1 else ''}{length} bytes"
            f" ({characters} characters of base64url), and is {len(value)}"
        )


def of_form(pattern: str, told: str) -> Any:
    """Demand a text of a pattern; `told` is said to a caller whose text does not match it."""
    _FORMS[pattern] = told
    return Field(pattern=pattern)


def to_base64(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    of_form(r"^[^\x00-\x1f\x7f]+$", "should be one line without control characters"),
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


class FormQuery(Request):
    """In which form the answer is given. The first stays as it is for the clients that read it."""

    form: Annotated[Whole, Field(ge=1, le=2, description="2: with what form 2 adds.")] = 1


__all__ = [
    "Answer",
    "File",
    "FormQuery",
    "InvalidFields",
    "Length",
    "Moment",
    "Name",
    "Opaque",
    "Optional",
    "Request",
    "Uuid",
    "Whole",
    "never_null",
    "of_form",
    "to_base64",
]
