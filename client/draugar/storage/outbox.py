"""The queue of points that are to be shared, and which recordings were queued.

The time in a point's id is that of the fix, so that the service, which sees no other time, has
points in the order in which they were taken, and deletes each when the group's retention says so.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from draugar.models import Fix
from draugar.storage.home import Home

_LEAST_RETENTION = 1  # days
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RANDOM = 74  # bits of a UUID of version 7 beside time, version and variant


@dataclass(frozen=True, kw_only=True)
class Queued:
    """A point that waits."""

    id: UUID
    counter: int
    fix: Fix


def put(home: Home, group_id: UUID, fixes: Sequence[tuple[Fix, datetime]]) -> None:
    """Queue fixes, each with the time that its point's id is to have; in a transaction."""
    for fix, at in fixes:
        home.do(
            "INSERT INTO outbox VALUES (:id, :group, :counter, :fix)",
            id=new_id(home, at),
            group=group_id,
            counter=next_counter(home, group_id),
            fix=home.seal_json(as_json(fix)),
        )


def next_counter(home: Home, group_id: UUID) -> int:
    """Return the counter of a further point of a group; in a transaction."""
    home.do("UPDATE groups SET counter = counter + 1 WHERE id = :group", group=group_id)
    return int(home.row("SELECT counter FROM groups WHERE id = :group", group=group_id)["counter"])


def waiting(home: Home) -> int:
    """Return how many points are queued."""
    return int(home.row("SELECT count(*) AS number FROM outbox")["number"])


def groups(home: Home) -> list[UUID]:
    """Return the groups for which points are queued."""
    rows = home.rows("SELECT DISTINCT group_id FROM outbox ORDER BY group_id")
    return [UUID(row["group_id"]) for row in rows]


def queued(home: Home, group_id: UUID, *, limit: int = -1) -> list[Queued]:
    """Return what is queued for a group, in the order of queueing."""
    rows = home.rows(
        "SELECT * FROM outbox WHERE group_id = :group ORDER BY counter LIMIT :limit",
        group=group_id,
        limit=limit,
    )
    return [
        Queued(
            id=UUID(row["id"]),
            counter=row["counter"],
            fix=from_json(home.unseal_json(row["fix"])),
        )
        for row in rows
    ]


def take(home: Home, point_id: UUID) -> int:
    """Take a point from the queue; return how many there were."""
    return home.do("DELETE FROM outbox WHERE id = :id", id=point_id)


def drop_point(home: Home, group_id: UUID, point_id: UUID) -> int:
    """Drop one point that was queued; return how many there were."""
    dropped = home.do(
        "DELETE FROM outbox WHERE group_id = :group AND id = :id", group=group_id, id=point_id
    )
    if dropped:
        forget_tracks(home, group_id)
    return dropped


def drop(home: Home, group_id: UUID, *, since: datetime | None, until: datetime | None) -> int:
    """Drop what was queued for a group in [since, until); return how many points."""
    forget_tracks(home, group_id)
    return home.do(
        "DELETE FROM outbox WHERE group_id = :group"
        " AND id >= :first AND (:last IS NULL OR id < :last)",
        group=group_id,
        first=UUID(int=0) if since is None else _first_id(since),
        last=until and _first_id(until),
    )


def forget(home: Home, group_id: UUID) -> None:
    """Forget the queue of a group that the member is not in any more."""
    drop(home, group_id, since=None, until=None)


def retention(home: Home, group_id: UUID) -> timedelta:
    """Return how long a group keeps points: as the service said last, or the least."""
    group = home.row("SELECT retention_days FROM groups WHERE id = :id", id=group_id)
    return timedelta(days=(group and group["retention_days"]) or _LEAST_RETENTION)


# Recordings


def note_track(home: Home, group_id: UUID, track: str, at: datetime) -> None:
    """Remember when a recording was queued for a group."""
    home.remember(f"{_track_of(group_id)}{track}", at.isoformat())


def queued_at(home: Home, group_id: UUID, track: str) -> datetime | None:
    """Return when a recording was queued for a group, unless it was deleted or refused."""
    kept = home.recall(f"{_track_of(group_id)}{track}")
    return kept and datetime.fromisoformat(kept)


def forget_tracks(home: Home, group_id: UUID) -> None:
    """Forget which recordings were queued: some of their points are not there any more."""
    home.forget_all(_track_of(group_id))


def _track_of(group_id: UUID) -> str:
    return f"track {group_id} "


# Ids


def new_id(home: Home, at: datetime) -> UUID:
    """Make a UUID of version 7 of a time.

    Of one millisecond, what is made next is greater (RFC 9562, 6.2, method 2). Otherwise it says
    nothing of the order in which ids were made.
    """
    milliseconds = _milliseconds(at)
    last = int(home.recall("last_point_id") or "0", 16)
    if last >> _RANDOM == milliseconds:
        made = last + 1 + secrets.randbits(32)
    else:
        made = milliseconds << _RANDOM | secrets.randbits(_RANDOM - 1)
    home.remember("last_point_id", f"{made:x}")
    head, tail = made >> 62, made & 2**62 - 1
    return UUID(int=head >> 12 << 80 | 7 << 76 | (head & 0xFFF) << 64 | 0b10 << 62 | tail)


def _first_id(at: datetime) -> UUID:
    """Return the least id that a point of a time can have."""
    return UUID(int=max(0, min(_milliseconds(at), 2**48 - 1)) << 80)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def as_json(fix: Fix) -> dict[str, Any]:
    """Return a fix as what JSON can hold."""
    return {**vars(fix), "at": fix.at.astimezone(UTC).isoformat()}


def from_json(value: dict[str, Any]) -> Fix:
    """Return the fix that `as_json` has written."""
    return Fix(**{**value, "at": datetime.fromisoformat(value["at"])})
