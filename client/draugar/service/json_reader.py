"""A strict reader of answers: whatever is not as it should be is one failure.

The service may be malicious. What it sends is read member by member, each with its type and bounds,
and nothing else of it reaches the rest of the client. Unknown members are left alone: the contract
may grow.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from draugar.errors import AnswerNotUnderstood
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.json import from_base64url

LONGEST_TEXT = 200  # characters, of names, codes and cursors
MOST_ITEMS = 20_000

_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, breaks or turns a line, or cannot be written at all."""

_YEARS = range(1970, 3000)
"""In which a service can be; sums and time zones lead beyond the first and the last there is."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})")
_Item = TypeVar("_Item")


class JsonObject:
    """A JSON object of the service's. Every method raises AnswerNotUnderstood."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise AnswerNotUnderstood
        self._members: dict[str, Any] = value

    @classmethod
    def parse(cls, body: bytes) -> "JsonObject":
        """Read a body."""
        try:
            return cls(_READER.decode(body.decode()))
        except (ValueError, RecursionError):
            raise AnswerNotUnderstood from None

    def __contains__(self, name: str) -> bool:
        """Whether there is such a member, and it is not null."""
        return self._members.get(name) is not None

    def whole(self, name: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
        """Read a whole number."""
        value = self._members.get(name)
        if type(value) is not int or not least <= value <= most:
            raise AnswerNotUnderstood
        return value

    def number(self, name: str, least: float, most: float) -> float:
        """Read a number. The bounds are finite: a whole number may be too large for a float."""
        value = self._members.get(name)
        if type(value) not in (int, float) or not least <= value <= most:  # type: ignore[operator]
            raise AnswerNotUnderstood
        return float(value)  # type: ignore[arg-type]

    def truth(self, name: str) -> bool:
        """Read true or false."""
        value = self._members.get(name)
        if type(value) is not bool:
            raise AnswerNotUnderstood
        return value

    def text(self, name: str) -> str:
        """Read a text that programs read."""
        value = self._members.get(name)
        if not isinstance(value, str) or len(value) > LONGEST_TEXT or _HARMFUL.search(value):
            raise AnswerNotUnderstood
        return value

    def name(self, name: str) -> str:
        """Read a text that somebody has chosen, who is not to shut everybody out by it."""
        value = self._members.get(name)
        if not isinstance(value, str):
            raise AnswerNotUnderstood
        return _HARMFUL.sub("\N{REPLACEMENT CHARACTER}", value)[:LONGEST_TEXT]

    def choice(self, name: str, *choices: str) -> str:
        """Read one of so many words."""
        value = self.text(name)
        if value not in choices:
            raise AnswerNotUnderstood
        return value

    def uuid(self, name: str) -> UUID:
        """Read an id."""
        try:
            return UUID(self.text(name))
        except ValueError:
            raise AnswerNotUnderstood from None

    def moment(self, name: str) -> datetime:
        """Read a time with its offset; it is returned in UTC."""
        value = self.text(name)
        try:
            if _MOMENT.fullmatch(value):
                at = datetime.fromisoformat(value).astimezone(UTC)
                if at.year in _YEARS:
                    return at
        except (ValueError, OverflowError):
            pass
        raise AnswerNotUnderstood

    def day(self, name: str) -> date:
        """Read a date."""
        value = self.text(name)
        try:
            if _DATE.fullmatch(value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        raise AnswerNotUnderstood

    def opaque(self, name: str, *, least: int, most: int | None = None) -> bytes:
        """Read base64url of so many bytes."""
        value = self._members.get(name)
        if not isinstance(value, str):
            raise AnswerNotUnderstood
        try:
            # Standard base64 is the same but for two letters and the padding.
            found = from_base64url(value.rstrip("=").replace("+", "-").replace("/", "_"))
        except NotAuthentic:
            raise AnswerNotUnderstood from None
        if not least <= len(found) <= (least if most is None else most):
            raise AnswerNotUnderstood
        return found

    def child(self, name: str) -> "JsonObject":
        """Read an object."""
        return JsonObject(self._members.get(name))

    def children(self, name: str, read: Callable[["JsonObject"], _Item]) -> list[_Item]:
        """Read a list of objects."""
        value = self._members.get(name)
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            raise AnswerNotUnderstood
        return [read(JsonObject(item)) for item in value]

    def maybe(self, read: Callable[..., _Item], name: str, **bounds: Any) -> _Item | None:
        """Read a member that may be absent or null, as `read` would."""
        return read(name, **bounds) if name in self else None

    def json(self) -> dict[str, Any]:
        """All of it, as it came: only for handing it on to the member."""
        return self._members


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


_READER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)
