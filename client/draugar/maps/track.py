"""A recorded track: which of its points can be shared, and as of when.

Recorders write wrong times and positions. One such point does not decide about the others: it is
left out, and named by its number in the file and by the rule that it broke.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby

from draugar.errors import FailureCode, NotPossible
from draugar.models import Fix
from draugar.protocol.times import EARLIEST

LONGEST_REST = timedelta(days=30)
"""A longer one, in a track that is shifted, is a clock that was wrong."""
SECOND = timedelta(seconds=1)


class NotATrack(NotPossible):
    """A file that holds no track to share; what stands in it is never repeated."""

    code = FailureCode.NOT_A_TRACK


class Fault(StrEnum):
    """Why a point cannot be shared."""

    LATITUDE = "latitude"
    SWAPPED = "swapped"
    """No latitude, and it looks swapped with the longitude."""
    LONGITUDE = "longitude"
    NO_TIME = "no_time"
    UNREADABLE = "unreadable_time"
    EARLY = "early"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Point:
    """A point with a position: metres of altitude and a time, where the recorder wrote them."""

    number: int
    """In its file, from 1."""
    segment: int
    """In its file; between two of them the recorder was off."""
    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    altitude: float | None = field(repr=False)
    at: datetime | None
    """None where there is none, or none that can be read."""
    fault: Fault | None = None
    """What is wrong with the time."""


@dataclass(frozen=True)
class Track:
    """The points of a file that have a position, and why the others are left out."""

    points: Sequence[Point]
    left_out: Mapping[int, Fault] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many points the file has."""
        return len(self.points) + len(self.left_out)

    def recorded(self) -> "Track":
        """Keep the points whose time can be shared as it is."""
        return self._without(point for point in self.points if point.fault is not None)

    def ending(self, at: datetime) -> "Track":
        """Shift all points so that the last one is of a time.

        A wrong time is left out where another point has a right one; where none has, the times
        still say how fast the track was. A point without a time, or whose time does not fit
        those around it, counts as recorded a second after the one before it.
        """
        has_times = any(point.fault is None for point in self.points)
        kept = self._without(
            point for point in self.points if has_times and point.fault not in (None, Fault.NO_TIME)
        )
        paced = list(_paced(kept.points))
        if not paced:
            return kept
        total = paced[-1][1]
        shifted = [(point, total - elapsed) for point, elapsed in paced]
        too_long = [point for point, before in shifted if before > at - EARLIEST]
        points = [
            replace(point, at=at - before, fault=None)
            for point, before in shifted
            if before <= at - EARLIEST
        ]
        early = {point.number: Fault.EARLY for point in too_long}
        return Track(points, {**kept.left_out, **early})

    def digest(self, key: bytes) -> str:
        """Name the content: the same of two files with the same points, in whatever form."""
        said = "\n".join(
            f"{point.latitude!r} {point.longitude!r} {point.at}" for point in self.points
        )
        return hashlib.blake2b(said.encode(), key=key, digest_size=16).hexdigest()

    def fixes(self, *, accuracy: float | None) -> list[Fix]:
        """Return what a device would have shared there."""
        return [
            Fix(
                latitude=point.latitude,
                longitude=point.longitude,
                altitude=point.altitude,
                accuracy=accuracy,
                at=point.at,
            )
            for point in self.points
            if point.at
        ]

    def _without(self, points: Iterable[Point]) -> "Track":
        faults = {point.number: point.fault for point in points if point.fault}
        kept = [point for point in self.points if point.number not in faults]
        return Track(kept, {**self.left_out, **faults})


def _paced(points: Sequence[Point]) -> Iterator[tuple[Point, timedelta]]:
    """Yield the points in the order in which they were recorded, and the time from the first."""
    segments = [list(segment) for _, segment in groupby(points, key=lambda point: point.segment)]
    known = [_in_order(segment) for segment in segments]
    starts: list[datetime] = []
    for times in known:  # a segment without a time stays behind the one before it
        before = starts[-1] if starts else datetime.min.replace(tzinfo=UTC)
        starts.append(min(times.values(), default=before))
    elapsed = -SECOND
    clock: tuple[datetime, timedelta] | None = None
    for index in sorted(range(len(segments)), key=starts.__getitem__):
        for point in segments[index]:
            at = known[index].get(point.number)
            following = elapsed + SECOND
            if at is not None:
                if clock is None or at - clock[0] > LONGEST_REST:
                    clock = at, following
                elif clock[1] + (at - clock[0]) > elapsed:
                    following = clock[1] + (at - clock[0])
                    clock = at, following
            elapsed = following
            yield point, elapsed


def _in_order(segment: Sequence[Point]) -> dict[int, datetime]:
    """Return the times of most points that never go back, by the number of the point.

    Of a longest non-decreasing sequence: one wrong time costs no other one.
    """
    last: list[datetime] = []
    ends: list[Point] = []
    before: dict[int, Point | None] = {}
    for point in segment:
        if point.at is None:
            continue
        place = bisect_right(last, point.at)
        before[point.number] = ends[place - 1] if place else None
        last[place : place + 1] = [point.at]
        ends[place : place + 1] = [point]
    times = {}
    point_or_none = ends[-1] if ends else None
    while point_or_none is not None and point_or_none.at is not None:
        times[point_or_none.number] = point_or_none.at
        point_or_none = before[point_or_none.number]
    return times
