"""The shapes of locations on the wire."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    SkipValidation,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue

from chalicelib.locations.service import (
    NewPoint,
    Page,
    Submission,
    UnreadablePoint,
    Verdict,
    Wanted,
)
from chalicelib.models.locations import ACCURACY_METRES
from chalicelib.web import (
    Answer,
    InvalidFields,
    Length,
    Moment,
    Opaque,
    Optional,
    Request,
    Uuid,
    Whole,
    to_base64,
)

LARGEST_BATCH = 500
CIPHERTEXT_BYTES = (41, 4096)
"""Of a point that an app posts: 500 of the largest fit in a body."""
LARGEST_BODY = 3 * 1024 * 1024

_TIME_ORDERED = 7
_NONCE_BYTES = 24
_NONCE_CHARACTERS = 32
_CURSOR_BYTES = 32
_SEALED = "vD0cV5mB6yqYl3nJx1ZtQw8rKp2sHf4uJb1hA4Gq2rT7mV0sK8dWcE5nYuLiQoFj3xPB6pZ9dJt5VdQm1Z2T0mXJ"


def _time_ordered(value: UUID) -> UUID:
    if value.version != _TIME_ORDERED:
        raise ValueError("should be a UUID of version 7")
    return value


def _is_of_the_first_app(value: dict[str, Any]) -> bool:
    return value.keys() == {"v", "n", "c"} and value["v"] == 1 and value["v"] is not True


def _in_one_piece(value: object) -> object:
    """Read the first Draugar app's form too: `{v: 1, n: nonce, c: ciphertext}`."""
    if isinstance(value, dict) and _is_of_the_first_app(value):
        nonce, ciphertext = value["n"], value["c"]
        if isinstance(nonce, str) and isinstance(ciphertext, str):
            # 24 bytes are 32 characters without remainder, so the texts can be joined.
            return nonce + ciphertext if len(nonce) == _NONCE_CHARACTERS else None
    return value


PointId = Annotated[
    Uuid,
    AfterValidator(_time_ordered),
    Field(
        description="A UUID of version 7, whose time is that of the point. Posted again, it is "
        "answered as before and stored once.",
        examples=["019f1ccc-9f40-7c1a-9c5e-5d9a4f1f0a77"],
    ),
]


def _sealed(value: bytes) -> bytes:
    """Refuse JSON in base64url: no client could open it, so it would be stored and lost."""
    if value[:1] in (b"{", b"[") and _is_json(value):
        raise ValueError("should be what was sealed, and is JSON in base64url")
    return value


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _part(least: int, most: int, description: str) -> dict[str, Any]:
    """Describe a part of the first Draugar app's form."""
    return {**Length(least, most).schema(), "description": description}


Ciphertext = Annotated[
    Opaque,
    BeforeValidator(_in_one_piece),
    Length(*CIPHERTEXT_BYTES),
    AfterValidator(_sealed),
    WithJsonSchema(
        {
            "anyOf": [
                Length(*CIPHERTEXT_BYTES).schema(),
                {
                    "type": "object",
                    "description": "The form of the first Draugar app.",
                    "properties": {
                        "v": {"const": 1, "type": "integer"},
                        "n": _part(_NONCE_BYTES, _NONCE_BYTES, "The nonce."),
                        "c": _part(
                            CIPHERTEXT_BYTES[0] - _NONCE_BYTES,
                            CIPHERTEXT_BYTES[1] - _NONCE_BYTES,
                            "The ciphertext.",
                        ),
                    },
                    "required": ["v", "n", "c"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
    Field(
        description="Nonce and ciphertext in one piece; or the object `{v: 1, n, c}` of the first "
        "Draugar app, as an object and not as its text.",
        examples=[_SEALED],
    ),
]
Latitude = Annotated[float, Field(ge=-90, le=90, description="Degrees.", examples=[64.1466])]
Longitude = Annotated[float, Field(ge=-180, le=180, description="Degrees.", examples=[-21.9426])]
Accuracy = Annotated[
    float, Field(ge=0, le=ACCURACY_METRES, description="A radius in metres.", examples=[12])
]
NextCursor = Annotated[str, Field(description="Of the next page; the last has none.")]
KeyVersion = Annotated[int, Field(ge=1, lt=2**31, description="Of the group's key.")]


class _Point(Request):
    id: PointId | None = None
    group_id: Annotated[
        Uuid | None, Field(description="May be left out by who is in one group only.")
    ] = None
    recorded_at: Annotated[
        Moment | None, Field(description="Beside an id its time or absent; without either: now.")
    ] = None

    def new_point(self) -> NewPoint:
        """Return what is to be stored."""
        return NewPoint(**vars(self))


class PlainPoint(_Point):
    """A point that the server can read. Degrees of WGS 84; accuracy is a radius in metres."""

    latitude: Latitude
    longitude: Longitude
    accuracy: Accuracy


class SealedPoint(_Point):
    """A point that only the members of its group can read."""

    encrypted_data: Ciphertext
    key_version: KeyVersion


class Batch(Request):
    """Points that waited for each other, such as those of a time without network.

    Each is judged on its own, so nothing of them is read here.
    """

    locations: Annotated[
        list[SkipValidation[PlainPoint | SealedPoint]],
        Field(min_length=1, max_length=LARGEST_BATCH),
    ]


class StoreLocationsRequest(Request):
    """One point, or `{"locations": [point, ...]}` with up to 500, each judged on its own."""

    submission: Submission

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: object, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe what `read` takes, which is not what it makes of it."""
        return handler(TypeAdapter(PlainPoint | SealedPoint | Batch).core_schema)

    @classmethod
    def read(cls, value: Any) -> Self:
        """Raises InvalidFields for a point alone; in a batch a bad point is only refused."""
        if isinstance(value, dict) and "locations" in value:
            points = [_read_item(item) for item in Batch.read(value).locations]
            return cls(submission=Submission(points=points, alone=False))
        return cls(submission=Submission(points=[_read_point(value)], alone=True))


def _read_point(value: Any) -> NewPoint:
    sealed = isinstance(value, dict) and "encryptedData" in value
    return (SealedPoint if sealed else PlainPoint).read(value).new_point()


def _read_item(value: Any) -> NewPoint | UnreadablePoint:
    try:
        return _read_point(value)
    except InvalidFields:
        return UnreadablePoint(id=_id_of(value))


def _id_of(value: Any) -> UUID | None:
    try:
        return UUID(value["id"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _url_safe(base64: str | None) -> str | None:
    """Turn PostgreSQL's base64 into ours; there it takes much longer."""
    return base64 and base64.replace("\n", "").rstrip("=").replace("+", "-").replace("/", "_")


class ResultAnswer(Answer):
    """What became of one point; `id` is absent where it had none and was refused."""

    id: Annotated[UUID | None, Field(examples=["019f1ccc-9f40-7c1a-9c5e-5d9a4f1f0a77"])] = Optional
    status: Annotated[str, Field(json_schema_extra={"enum": ["stored", "rejected"]})]
    code: Annotated[
        str | None, Field(description="Why it was refused: a code as a problem has.")
    ] = Optional


class StoredAnswer(Answer):
    """What became of each point, in the order they were sent."""

    results: list[ResultAnswer]

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> "StoredAnswer":
        """Present verdicts."""
        return cls(
            results=[
                ResultAnswer(
                    id=verdict.id,
                    status="stored" if verdict.code is None else "rejected",
                    code=verdict.code,
                )
                for verdict in verdicts
            ]
        )


class LocationAnswer(Answer):
    """A point as it was stored, with who posted it and when it arrived."""

    id: UUID
    group_id: UUID
    user_id: UUID
    device_id: UUID
    recorded_at: datetime
    received_at: datetime
    latitude: Annotated[float | None, Field(examples=[64.1466])] = Optional
    longitude: Annotated[float | None, Field(examples=[-21.9426])] = Optional
    accuracy: Annotated[float | None, Field(examples=[12])] = Optional
    encrypted_data: Annotated[str | None, AfterValidator(_url_safe)] = Optional
    key_version: int | None = Optional


class LatestAnswer(Answer):
    """The newest point of each member of the group; the last page has no cursor."""

    locations: list[LocationAnswer]
    next_cursor: NextCursor | None = Optional

    @classmethod
    def of(cls, page: Page) -> Self:
        """Present a page."""
        return cls(
            locations=_POINTS.validate_python(page.points), next_cursor=join_cursor(page.last)
        )


class HistoryAnswer(LatestAnswer):
    """A page of points, newest first; the last page has no cursor."""


class GroupQuery(Request):
    """Which group is asked about."""

    group_id: Annotated[
        Uuid | None, Field(description="May be left out by who is in one group only.")
    ] = None


class RangeQuery(GroupQuery):
    """Points of a group recorded in [from, to)."""

    since: Annotated[
        Moment | None, Field(alias="from", description="Points recorded then or later.")
    ] = None
    until: Annotated[Moment | None, Field(alias="to", description="Points recorded before.")] = None


class DeletionQuery(RangeQuery):
    """Which of my own points are to be deleted."""

    id: Annotated[PointId | None, Field(description="One point alone.")] = None


def join_cursor(last: tuple[UUID, UUID] | None) -> str | None:
    """Return two ids as one opaque text, by which the next page is asked for."""
    return None if last is None else to_base64(last[0].bytes + last[1].bytes)


def split_cursor(cursor: bytes | None) -> tuple[UUID, UUID] | None:
    """Return the two ids again."""
    return None if cursor is None else (UUID(bytes=cursor[:16]), UUID(bytes=cursor[16:]))


Cursor = Annotated[
    Opaque,
    Length(_CURSOR_BYTES),
]
PageAfter = Annotated[Cursor | None, Field(description="The `nextCursor` of the page before.")]


class LatestQuery(GroupQuery):
    """Which group is asked about, and which page of it."""

    cursor: PageAfter = None

    def after(self) -> tuple[UUID, UUID] | None:
        """Return the (id, user id) of the point that the page comes after."""
        return split_cursor(self.cursor)


class HistoryQuery(RangeQuery):
    """Which points, and which page of them."""

    user_id: Annotated[Uuid | None, Field(description="Whose points; absent: everybody's.")] = None
    limit: Annotated[
        Whole, Field(ge=1, le=LARGEST_BATCH, description="How many points at most.")
    ] = 100
    cursor: PageAfter = None

    def wanted(self) -> Wanted:
        """Return what is asked for."""
        return Wanted(
            group_id=self.group_id,
            user_id=self.user_id,
            since=self.since,
            until=self.until,
            after=split_cursor(self.cursor),
            limit=self.limit,
        )


class DeletedAnswer(Answer):
    """How many points are gone."""

    deleted: int


_POINTS = TypeAdapter(list[LocationAnswer])
