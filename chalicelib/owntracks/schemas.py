"""The shapes of OwnTracks' messages, read as leniently as phones need it.

https://owntracks.org/booklet/tech/json/ says what they are; what the apps do beside it stands at
what answers it here.
"""

import base64
import binascii
import math
import re
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler, PrivateAttr, RootModel, SkipValidation
from pydantic.json_schema import JsonSchemaValue, WithJsonSchema

from chalicelib.models.locations import ACCURACY_METRES, CIPHERTEXT_BYTES
from chalicelib.models.owntracks import DESCRIPTION_CHARACTERS, FACE_CHARACTERS
from chalicelib.models.users import NAME_CHARACTERS
from chalicelib.owntracks.service import (
    Card,
    Fix,
    Friend,
    Message,
    Sealed,
    Told,
    Transition,
    Unwanted,
)
from chalicelib.web import Answer, Request

LARGEST_BODY = 256 * 1024

_UNREADABLE = Unwanted("owntracks_unreadable")
_NOT_KEPT = Unwanted("owntracks_not_kept")
_OUT_OF_RANGE = Unwanted("owntracks_out_of_range")
# The last second of the year 9999: Python knows no later one. A UUID v7 has room for more.
_LATEST = 253_402_300_799
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LOCATION = {"_type": "location", "lat": 64.1466, "lon": -21.9426, "tst": 1782894600, "acc": 12}
_ENCRYPTED = {"_type": "encrypted", "data": "vD0cV5mB6yqYl3nJx1ZtQw8rKp2sHf4uJb1hA4Gq2rT7mV0sK8dW"}


class MessageHeaders(Request):
    """What tells the apps apart."""

    user_agent: Annotated[
        str,
        Field(
            alias="User-Agent",
            description="OwnTracks for Android is not told of transitions.",
            examples=["Owntracks-Android/2.5.9"],
        ),
    ] = ""

    @property
    def is_android(self) -> bool:
        """Whether it is the app for Android that asks."""
        return self.user_agent.lower().startswith("owntracks-android")


class MessageRequest(Request):
    """A message of an OwnTracks app. Anything is taken, an empty body too."""

    message: SkipValidation[Message]

    @classmethod
    def __get_pydantic_json_schema__(cls, _: object, __: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe what `read` takes, which is not what it makes of it."""
        return {
            "description": "A message of an OwnTracks app: a JSON object with a `_type`.",
            "type": "object",
            "examples": [_LOCATION, _ENCRYPTED],
        }

    @classmethod
    def read(cls, value: Any) -> Self:
        """Read anything, and raise nothing."""
        return cls(message=_message(value))


class FriendsAnswer(
    Answer,
    RootModel[
        Annotated[
            Any,
            WithJsonSchema(
                {
                    "type": ["array", "object"],
                    "examples": [[_LOCATION | {"tid": "un", "topic": "owntracks/http/un"}]],
                }
            ),
        ]
    ],
):
    """What an app is told: messages about friends, or one encrypted message as the bare object."""

    _noted: str | None = PrivateAttr(default=None)

    @property
    def noted(self) -> str | None:
        """Why the message was put down, if it was."""
        return self._noted

    @classmethod
    def of(cls, told: Told) -> "FriendsAnswer":
        """Present what is told."""
        if told.sealed is not None:
            data = base64.b64encode(told.sealed).decode()
            answer = cls({"_type": "encrypted", "data": data})
        else:
            answer = cls([element for friend in told.friends for element in _elements(friend)])
        answer._noted = told.ignored
        return answer


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        return _UNREADABLE
    kind = value.get("_type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    # A waypoint kept as a fix would make the map jump.
    return _NOT_KEPT if read is None else read(value)


def _fix(value: dict[str, Any]) -> Message:
    # Android leaves out what is 0, so one of both may be missing.
    latitude, longitude = _coordinates(value)
    # Absent, null and 0 all mean that it is not known.
    said = value.get("acc")
    accuracy = _number(0 if said is None else said, 0, ACCURACY_METRES)
    if latitude is None or longitude is None or accuracy is None:
        return _UNREADABLE
    at = _seconds(value.get("tst"))
    if at is None:
        return _OUT_OF_RANGE
    return Fix(
        at=at,
        latitude=latitude,
        longitude=longitude,
        accuracy=accuracy,
        # Android names a message once for all its tries; iOS sends the same again.
        key=f"{value.get('_id')!a} {latitude!r} {longitude!r}",
    )


def _sealed(value: dict[str, Any]) -> Message:
    try:
        ciphertext = base64.b64decode(value.get("data", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        return _UNREADABLE
    least, most = CIPHERTEXT_BYTES
    return Sealed(ciphertext) if least <= len(ciphertext) <= most else _UNREADABLE


def _card(value: dict[str, Any]) -> Message:
    face = value.get("face")
    face = "".join(face.split()) if isinstance(face, str) else ""
    is_picture = len(face) <= FACE_CHARACTERS and _BASE64.fullmatch(face)
    return Card(
        name=_text(value.get("name"), NAME_CHARACTERS) or None, face=face if is_picture else None
    )


def _transition(value: dict[str, Any]) -> Message:
    at, waypoint_at = _seconds(value.get("tst")), _seconds(value.get("wtst"))
    event = value.get("event")
    if at is None or waypoint_at is None or event not in ("enter", "leave"):
        return _UNREADABLE
    latitude, longitude = _coordinates(value)
    return Transition(
        event=event,
        description=_text(value.get("desc"), DESCRIPTION_CHARACTERS),
        at=at,
        waypoint_at=waypoint_at,
        latitude=latitude,
        longitude=longitude,
        accuracy=_number(value.get("acc"), 0, ACCURACY_METRES),
    )


_READERS = {"location": _fix, "encrypted": _sealed, "card": _card, "transition": _transition}


def _coordinates(value: dict[str, Any]) -> tuple[float | None, float | None]:
    if value.keys().isdisjoint({"lat", "lon"}):
        return None, None
    return _number(value.get("lat", 0), -90, 90), _number(value.get("lon", 0), -180, 180)


def _number(value: Any, least: float, most: float) -> float | None:
    """Return a JSON number in its bounds; NaN and Infinity, which Python reads too, are in none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if least <= value <= most else None


def _seconds(value: Any) -> int | None:
    seconds = _number(value, 1, _LATEST)
    return None if seconds is None else math.floor(seconds)


def _text(value: Any, most: int) -> str:
    """Return what can be seen of a text; what cannot be stored is never seen."""
    text = value if isinstance(value, str) else ""
    return "".join(character for character in text if character.isprintable()).strip()[:most]


def _elements(friend: Friend) -> list[dict[str, Any]]:
    """Return what an app is told of a friend.

    One element that Android does not take spoils the whole answer: no null, whole numbers where
    the app has such, and never a location without its time.
    """
    named = {"tid": friend.tid, "topic": f"owntracks/http/{friend.tid}"}
    elements: list[dict[str, Any]] = []
    if friend.is_card_due:
        face = {"face": friend.face} if friend.face else {}
        elements.append({"_type": "card", "name": friend.name, **face, **named})
    if friend.fix is not None:
        elements.append({"_type": "location", **_place(friend.fix), **named})
    elements += [
        {
            "_type": "transition",
            "event": transition.event,
            "desc": transition.description,
            "wtst": transition.waypoint_at,
            **_place(transition),
            **named,
        }
        for transition in friend.transitions
    ]
    return elements


def _place(said: Fix | Transition) -> dict[str, Any]:
    known = {
        "lat": said.latitude,
        "lon": said.longitude,
        # Stored as 0 where the phone did not know it.
        "acc": max(1, round(said.accuracy)) if said.accuracy else None,
        "tst": said.at,
    }
    return {name: value for name, value in known.items() if value is not None}
