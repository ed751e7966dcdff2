"""The shapes of locations on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter

from chalicelib.locations.service import (
    NewPoint,
    Page,
    Submission,
    UnreadablePoint,
    Verdict,
    Wanted,
)
from chalicelib.models.locations import ACCURACY_METRES, CIPHERTEXT_BYTES
from chalicelib.web import (
    Answer,
    InvalidFields,
    Moment,
    Opaque,
    Optional,
    Request,
    Uuid,
    Whole,
    to_base64,
)

LARGEST_BATCH = 500
LARGEST_BODY = 3 * 1024 * 1024

_TIME_ORDERED = 7
_NONCE_CHARACTERS = 32
_CURSOR_BYTES = 32


def _time_ordered(value: UUID) -> UUID:
    if value.version != _TIME_ORDERED:
        raise ValueError("should be a UUID of version 7")
    return value


def _in_one_piece(value: object) -> object:
    """Read the first Draugar app's form too: `{v: 1, n: nonce, c: ciphertext}`."""
    if isinstance(value, dict) and value.keys() == {"v", "n", "c"} and value["v"] == 1:
        nonce, ciphertext = value["n"], value["c"]
        if isinstance(nonce, str) and isinstance(ciphertext, str):
            # 24 bytes are 32 characters without remainder, so the texts can be joined.
            return nonce + ciphertext if len(nonce) == _NONCE_CHARACTERS else None
    return value


PointId = Annotated[Uuid, AfterValidator(_time_ordered)]
Ciphertext = Annotated[
    Opaque,
    BeforeValidator(_in_one_piece),
    Field(min_length=CIPHERTEXT_BYTES[0], max_length=CIPHERTEXT_BYTES[1]),
]


class _Point(Request):
    id: PointId | None = None
    group_id: Uuid | None = None
    recorded_at: Moment | None = None

    def new_point(self) -> NewPoint:
        """Return what is to be stored."""
        return NewPoint(**vars(self))


class PlainPoint(_Point):
    """A point that the server can read. Degrees of WGS 84; accuracy is a radius in metres."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    accuracy: Annotated[float, Field(ge=0, le=ACCURACY_METRES)]


class SealedPoint(_Point):
    """A point that only the members of its group can read."""

    encrypted_data: Ciphertext
    key_version: Annotated[int, Field(ge=1, lt=2**31)]


class Batch(Request):
    """Points that waited for each other, such as those of a time without network."""

    locations: Annotated[list[Any], Field(min_length=1, max_length=LARGEST_BATCH)]


class StoreLocationsRequest(Request):
    """One point, or `{"locations": [point, ...]}` with up to 500, each judged on its own."""

    submission: Submission

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


class ResultAnswer(Answer):
    """What became of one point; `id` is absent where it had none and was refused."""

    id: UUID | None = Optional
    status: str
    code: str | None = Optional


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
    latitude: float | None = Optional
    longitude: float | None = Optional
    accuracy: float | None = Optional
    encrypted_data: str | None = Optional
    key_version: int | None = Optional


class LatestAnswer(Answer):
    """The newest point of everybody in the group."""

    locations: list[LocationAnswer]

    @classmethod
    def of(cls, points: list[dict[str, Any]]) -> "LatestAnswer":
        """Present points."""
        return cls(locations=_POINTS.validate_python(points))


class HistoryAnswer(LatestAnswer):
    """A page of points, newest first; the last page has no cursor."""

    next_cursor: str | None = Optional

    @classmethod
    def page(cls, page: Page) -> "HistoryAnswer":
        """Present a page."""
        return cls(
            locations=_POINTS.validate_python(page.points), next_cursor=join_cursor(page.last)
        )


class GroupQuery(Request):
    """Which group is asked about; may be left out by who is in one only."""

    group_id: Uuid | None = None


class RangeQuery(GroupQuery):
    """Points of a group recorded in [from, to)."""

    since: Annotated[Moment | None, Field(alias="from")] = None
    until: Annotated[Moment | None, Field(alias="to")] = None


def join_cursor(last: tuple[UUID, UUID] | None) -> str | None:
    """Return two ids as one opaque text, by which the next page is asked for."""
    return None if last is None else to_base64(last[0].bytes + last[1].bytes)


def split_cursor(cursor: bytes | None) -> tuple[UUID, UUID] | None:
    """Return the two ids again."""
    return None if cursor is None else (UUID(bytes=cursor[:16]), UUID(bytes=cursor[16:]))


Cursor = Annotated[Opaque, Field(min_length=_CURSOR_BYTES, max_length=_CURSOR_BYTES)]


class HistoryQuery(RangeQuery):
    """Which points, and which page of them."""

    user_id: Uuid | None = None
    limit: Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)] = 100
    cursor: Cursor | None = None

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
