"""Which points of a recorded track are shared, and as of when."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draugar.cli.tracks import left_out as explanation
from draugar.maps.track import LONGEST_REST, Fault, Point, Track
from draugar.protocol.times import EARLIEST

NOW = datetime(2027, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def fault_of(at: datetime | None) -> Fault | None:
    if at is None:
        return Fault.NO_TIME
    if at < EARLIEST:
        return Fault.EARLY
    return Fault.AHEAD if at > NOW else None


def track(*segments: Sequence[datetime | None]) -> Track:
    """Return a track whose latitudes are the numbers of its points."""
    points: list[Point] = []
    for segment, times in enumerate(segments):
        for at in times:
            number = len(points) + 1
            points.append(Point(number, segment, number / 1000, 0, None, at, fault_of(at)))
    return Track(points)


def ages(shifted: Track) -> dict[int, float]:
    """Return how many seconds before its end each point was recorded, by number."""
    return {one.number: (NOW - one.at).total_seconds() for one in shifted.points if one.at}


def test_a_track_is_shifted_to_end_when_it_is_said_to() -> None:
    recorded = track([NOON, NOON + 2 * MINUTE, NOON + 3 * MINUTE])

    assert ages(recorded.ending(NOW)) == {1: 180, 2: 60, 3: 0}


def test_points_without_a_time_are_a_second_after_those_before_them() -> None:
    recorded = track([None, NOON, None, NOON + MINUTE])

    assert ages(recorded.ending(NOW)) == {1: 61, 2: 60, 3: 59, 4: 0}


def test_a_recorder_that_stamped_all_points_alike_gets_a_second_between_them() -> None:
    alike = datetime(1901, 12, 13, 20, 45, 52, tzinfo=UTC)

    shifted = track([alike] * 4).ending(NOW)

    assert ages(shifted) == {1: 3, 2: 2, 3: 1, 4: 0}
    assert not shifted.left_out


def test_a_clock_that_was_wrong_all_the_time_still_says_how_fast_the_track_was() -> None:
    behind = datetime(1999, 8, 22, tzinfo=UTC)
    ahead = datetime(2043, 10, 14, tzinfo=UTC)

    for start in (behind, ahead):
        shifted = track([start, start + MINUTE, start + 3 * MINUTE]).ending(NOW)
        assert ages(shifted) == {1: 180, 2: 120, 3: 0}


FIRST, LAST = NOW - 60 * MINUTE, NOW - 58 * MINUTE
WRONG = {
    "2043": datetime(2043, 10, 14, 14, 14, 9, tzinfo=UTC),
    "a month ahead": NOW + timedelta(days=30),
    "1901": datetime(1901, 12, 13, tzinfo=UTC),
    "1970": datetime(1970, 1, 1, tzinfo=UTC),
    "1980": datetime(1980, 1, 6, tzinfo=UTC),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_shifted_track_is_not_torn_by_a_time_that_is_none(wrong: datetime, place: int) -> None:
    times = [FIRST, LAST]
    times.insert(place, wrong)

    shifted = track(times).ending(NOW)

    assert list(shifted.left_out) == [place + 1]
    assert list(ages(shifted).values()) == [120, 0]


def test_a_shifted_track_is_not_torn_by_a_time_that_does_not_fit() -> None:
    later, earlier = NOON + timedelta(days=20), NOON - timedelta(days=20)
    steps = [NOON + step * MINUTE for step in range(6)]

    for wrong in (later, earlier):
        shifted = track([*steps[:3], wrong, *steps[3:]]).ending(NOW)
        assert ages(shifted) == {1: 300, 2: 240, 3: 180, 4: 179, 5: 120, 6: 60, 7: 0}
        assert not shifted.left_out


def test_a_shifted_track_is_not_torn_where_a_clock_was_set() -> None:
    reset = datetime(2000, 1, 1, tzinfo=UTC)

    shifted = track([reset, reset + SECOND, FIRST, LAST]).ending(NOW)

    assert ages(shifted) == {1: 122, 2: 121, 3: 120, 4: 0}


def test_a_night_on_the_way_stays_a_night() -> None:
    night = timedelta(hours=14)

    assert ages(track([NOON, NOON + night]).ending(NOW)) == {1: night.total_seconds(), 2: 0}


def test_of_segments_the_oldest_comes_first_wherever_it_stands() -> None:
    day = timedelta(days=1)

    shifted = track([NOON + day, NOON + day + MINUTE], [NOON, NOON + MINUTE], [None]).ending(NOW)

    assert [one.number for one in shifted.points] == [3, 4, 5, 1, 2]
    assert ages(shifted)[3] == (day + MINUTE).total_seconds()


FROM, TO = (datetime(year, 6, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1, 9999))
times = st.none() | st.datetimes(FROM, TO, timezones=st.just(UTC))


@given(st.lists(st.lists(times, max_size=20), min_size=1, max_size=4))
def test_a_shifted_track_runs_forward_ends_on_time_and_loses_no_point(
    segments: list[list[datetime | None]],
) -> None:
    recorded = track(*segments)

    shifted = recorded.ending(NOW)

    shared = [one.at or NOW for one in shifted.points]
    assert shifted.count == recorded.count
    assert {one.number for one in shifted.points}.isdisjoint(shifted.left_out)
    assert shared[-1:] in ([NOW], [])
    assert all(timedelta() < there - here <= LONGEST_REST for here, there in pairwise(shared))
    assert bool(shared) == bool(recorded.count)


def test_ages_beyond_all_years_are_left_out_and_not_an_accident() -> None:
    rests = [EARLIEST + number * LONGEST_REST for number in range(600)]

    shifted = track([one - timedelta(days=9000) for one in rests]).ending(NOW)

    assert shifted.count == 600
    assert all(one.at and one.at >= EARLIEST for one in shifted.points)
    assert set(shifted.left_out.values()) == {Fault.EARLY}


@pytest.mark.parametrize(
    ("points", "left_out", "said"),
    [
        (2, {}, ""),
        (
            2,
            {2: Fault.AHEAD},
            "1 of 3 track points is left out: point 2 has a time in the future.",
        ),
        (
            2,
            {1: Fault.NO_TIME, 2: Fault.NO_TIME, 5: Fault.NO_TIME, 3: Fault.LATITUDE},
            (
                "4 of 6 track points are left out: points 1, 2 and 5 have no time; point 3 has no"
                " latitude from -90 to 90."
            ),
        ),
        (
            1,
            dict.fromkeys(range(1, 40, 2), Fault.EARLY),
            (
                "20 of 21 track points are left out: points 1, 3, 5, 7, 9, 11 and 14 more have a"
                " time before the year 2000."
            ),
        ),
        (
            0,
            {1: Fault.UNREADABLE},
            "The only track point cannot be shared: point 1 has a time that cannot be read.",
        ),
        (
            0,
            {1: Fault.NO_TIME, 2: Fault.NO_TIME},
            "No track point can be shared: points 1 and 2 have no time.",
        ),
    ],
)
def test_what_is_left_out_is_said_in_one_sentence(
    points: int, left_out: dict[int, Fault], said: str
) -> None:
    kept = track([NOON] * points).points

    assert explanation(Track(kept, left_out)) == said
