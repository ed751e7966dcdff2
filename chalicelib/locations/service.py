"""Locations: what is stored, and who sees it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from chalicelib import auth
from chalicelib.auth import Caller, Credential
from chalicelib.db import OneStatement, Session
from chalicelib.errors import Conflict, Invalid, Problem, Unauthenticated
from chalicelib.groups import service as groups
from chalicelib.groups.service import (
    GroupKeyMissing,
    GroupNotFound,
    GroupRequired,
    KeyVersionConflict,
    NotConfirmed,
    RotationRequired,
)
from chalicelib.locations import queries

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NEWEST = UUID(int=2**128 - 1)


class NewPoint(NamedTuple):
    """A point as a device sends it: plaintext whole, or ciphertext with its key's version."""

    id: UUID | None
    group_id: UUID | None
    recorded_at: datetime | None
    latitude: float | None = None
    longitude: float | None = None
    accuracy: float | None = None
    encrypted_data: bytes | None = None
    key_version: int | None = None

    @property
    def recorded_ms(self) -> int | None:
        """The time it says it was recorded at, in whole milliseconds since 1970, cut."""
        return None if self.recorded_at is None else (self.recorded_at - _EPOCH) // _MILLISECOND

    @property
    def contradicts_itself(self) -> bool:
        """Whether it says another time than its id does."""
        if self.id is None or self.recorded_ms is None:
            return False
        return self.recorded_ms != int.from_bytes(self.id.bytes[:6])


class UnreadablePoint(NamedTuple):
    """An item of a batch that is not of a point's shape."""

    id: UUID | None


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What one post brings: one point alone, or a batch, whose items are judged one by one."""

    points: Sequence[NewPoint | UnreadablePoint]
    alone: bool


class Verdict(NamedTuple):
    """What became of a point: stored, now or before, or refused with a code."""

    id: UUID | None
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which points a caller asks for.

    Of a group, or their only one; recorded in [since, until); of one person or of all; `limit` of
    them, coming after the (id, user id) `after`.
    """

    group_id: UUID | None
    user_id: UUID | None
    since: datetime | None
    until: datetime | None
    after: tuple[UUID, UUID] | None
    limit: int


@dataclass(frozen=True, kw_only=True)
class Page:
    """Points in order, and the (id, user id) after which the next page begins, if there is one."""

    points: list[dict[str, Any]]
    last: tuple[UUID, UUID] | None


class PointUnreadable(Invalid):
    """An item of a batch is not of a point's shape."""

    code = "invalid_point"
    detail = "This is not a point."


class IdTimeMismatch(Invalid):
    """The time in a point's id is the time it was recorded at."""

    code = "id_time_mismatch"
    detail = "recordedAt: should be the time in the point's id, or be left out."


class OutOfRange(Invalid):
    """Points are taken from as long ago as the group keeps them to ten minutes ahead."""

    code = "out_of_range"
    detail = "The point is older than its group keeps points, or too far in the future."


class SharingPaused(Conflict):
    """The caller has paused sharing with this group."""

    code = "sharing_paused"
    detail = "You have paused sharing with this group."


class EncryptionRequired(Conflict):
    """The group takes no plaintext."""

    code = "encryption_required"
    detail = "This group takes encrypted points only."


_REFUSALS: dict[str, type[Problem]] = {
    refusal.code: refusal
    for refusal in (
        PointUnreadable,
        IdTimeMismatch,
        OutOfRange,
        SharingPaused,
        EncryptionRequired,
        GroupKeyMissing,
        KeyVersionConflict,
        RotationRequired,
        NotConfirmed,
        GroupNotFound,
    )
}


def store(
    connection: OneStatement, *, credential: Credential, submission: Submission
) -> list[Verdict]:
    """Store points in their groups and return a verdict on each, in order.

    What is stored stays so: a repeat is answered as the first was, and stores nothing. A point
    alone that is refused is an error instead, with the same code.

    Raises Unauthenticated; for a point alone also what a verdict can say.
    """
    points, judged, verdicts = submission.points, [], {}
    for number, point in enumerate(points):
        if isinstance(point, UnreadablePoint):
            verdicts[number] = Verdict(id=point.id, code=PointUnreadable.code)
        elif point.contradicts_itself:
            verdicts[number] = Verdict(id=point.id, code=IdTimeMismatch.code)
        else:
            judged.append(_parameters(number, point))
    row = queries.store(connection, credential, json.dumps(judged, separators=(",", ":")))
    if not row.is_signed_in:
        raise Unauthenticated
    for number, id_, code in row.verdicts or []:
        # An id that was made for a point that is not stored names nothing.
        made = code is None and points[number].id is None
        verdicts[number] = Verdict(id=UUID(id_) if made else points[number].id, code=code)
    if submission.alone and (code := verdicts[0].code):
        raise GroupRequired(row.group_ids) if code == GroupRequired.code else _REFUSALS[code]
    return [verdicts[number] for number in range(len(points))]


def latest(
    connection: OneStatement,
    *,
    credential: Credential,
    group_id: UUID | None,
    after: tuple[UUID, UUID] | None = None,
) -> Page:
    """Return a page of the newest points of members that the caller may see, by user id.

    It begins after the user of the (id, user id) `after`.
    Raises Unauthenticated, GroupNotFound, GroupRequired, NotConfirmed.
    """
    _, last_user_id = after or (None, None)
    row = queries.latest(connection, credential, group_id=group_id, last_user_id=last_user_id)
    groups.resolve(row, group_id=group_id)
    return _page(row)


def history(connection: OneStatement, *, credential: Credential, wanted: Wanted) -> Page:
    """Return a page of points, newest first.

    Raises Unauthenticated, GroupNotFound, GroupRequired, NotConfirmed.
    """
    last_id, last_user_id = wanted.after or (_NEWEST, _NEWEST)
    row = queries.history(
        connection,
        credential,
        {
            "asked_group_id": wanted.group_id,
            "history_user_id": wanted.user_id,
            "history_since": wanted.since,
            "history_until": wanted.until,
            "last_id": last_id,
            "last_user_id": last_user_id,
            "page_size": wanted.limit,
        },
    )
    groups.resolve(row, group_id=wanted.group_id)
    return _page(row)


def _page(row: Any) -> Page:
    points = row.points or []
    last = (UUID(points[-1]["id"]), UUID(points[-1]["userId"])) if row.has_more else None
    return Page(points=points, last=last)


def delete_mine(  # noqa: PLR0913 -- each by its name
    session: Session,
    *,
    caller: Caller,
    group_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
    point_id: UUID | None = None,
) -> int:
    """Delete the caller's own points of a group in [since, until); return how many.

    With `point_id` that one point alone. A device that repeats one of them, because it did not get
    its answer, does not bring it back. Raises Unauthenticated, GroupNotFound, GroupRequired.
    """
    group_id = group_id or groups.only_group(session, caller=caller)
    groups.find(session, caller=caller, group_id=group_id)
    queries.lock_member(session, group_id=group_id, user_id=caller.user_id)
    auth.hold(session, caller)
    return queries.delete_points(
        session,
        group_id=group_id,
        user_id=caller.user_id,
        since=since,
        until=until,
        point_id=point_id,
    )


def delete_past_retention(session: Session, *, at_most: int) -> int:
    """Delete points that their own group keeps no longer; return how many."""
    return queries.delete_past_retention(session, at_most=at_most)


def forget_erased(session: Session) -> int:
    """Forget erased points that no device repeats any more; return how many."""
    return queries.forget_erased(session)


def _parameters(number: int, point: NewPoint) -> dict[str, Any]:
    """Return a point as the statement takes it, without what it does not say."""
    said = {
        "n": number,
        "id": point.id and str(point.id),
        "group_id": point.group_id and str(point.group_id),
        "recorded_ms": point.recorded_ms,
        "latitude": point.latitude,
        "longitude": point.longitude,
        "accuracy": point.accuracy,
        "encrypted_data": point.encrypted_data and point.encrypted_data.hex(),
        "key_version": point.key_version,
    }
    return {name: value for name, value in said.items() if value is not None}
