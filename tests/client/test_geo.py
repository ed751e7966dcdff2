"""Distances and directions, against another formula, a surveyed line and the odd corners."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draugar.maps.geo import (
    EARTH_RADIUS,
    bearing,
    compass,
    distance,
    look_swapped,
)
from draugar.models import Coordinates

QUARTER = math.pi / 2 * EARTH_RADIUS
NORTH_POLE, SOUTH_POLE = Coordinates(90, 0), Coordinates(-90, 0)

positions = st.builds(
    Coordinates,
    st.floats(min_value=-90, max_value=90),
    st.floats(min_value=-180, max_value=180),
)


def vector(position: Coordinates) -> tuple[float, float, float]:
    latitude, longitude = math.radians(position.latitude), math.radians(position.longitude)
    return (
        math.cos(latitude) * math.cos(longitude),
        math.cos(latitude) * math.sin(longitude),
        math.sin(latitude),
    )


def angle(here: Coordinates, there: Coordinates) -> float:
    (a, b, c), (d, e, f) = vector(here), vector(there)
    across = math.hypot(b * f - c * e, c * d - a * f, a * e - b * d)
    return math.atan2(across, a * d + b * e + c * f)


@given(positions, positions)
def test_a_distance_is_the_angle_between_two_directions_times_the_radius(
    here: Coordinates, there: Coordinates
) -> None:
    expected = angle(here, there) * EARTH_RADIUS

    # Asked of the haversine for two opposite ends of the earth, a sine has lost half its digits.
    assert distance(here, there) == pytest.approx(expected, rel=1e-9, abs=1)


@given(positions, positions)
def test_it_is_as_far_back_as_it_is_there(here: Coordinates, there: Coordinates) -> None:
    assert distance(here, there) == distance(there, here)


def test_a_surveyed_line_is_found_within_half_a_percent() -> None:
    flinders_peak = Coordinates(-(37 + 57 / 60 + 3.72030 / 3600), 144 + 25 / 60 + 29.52440 / 3600)
    buninyong = Coordinates(-(37 + 39 / 60 + 10.15610 / 3600), 143 + 55 / 60 + 35.38390 / 3600)

    measured = distance(flinders_peak, buninyong)
    heading = bearing(flinders_peak, buninyong)

    assert measured == pytest.approx(54_972.271, rel=0.005)
    assert heading == pytest.approx(306.868, abs=0.3)


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (Coordinates(64.1466, -21.9426), Coordinates(64.1466, -21.9426), 0),
        (Coordinates(0, 179.95), Coordinates(0, -179.95), QUARTER / 900),
        (Coordinates(0, 180), Coordinates(0, -180), 0),
        (NORTH_POLE, Coordinates(0, 123), QUARTER),
        (NORTH_POLE, Coordinates(90, 170), 0),
        (NORTH_POLE, SOUTH_POLE, 2 * QUARTER),
        (Coordinates(0, 0), Coordinates(0, 180), 2 * QUARTER),
    ],
)
def test_distances_hold_at_the_antimeridian_at_the_poles_and_across_the_world(
    here: Coordinates, there: Coordinates, expected: float
) -> None:
    assert distance(here, there) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (Coordinates(0, 0), Coordinates(1, 0), "N"),
        (Coordinates(0, 0), Coordinates(0, 1), "E"),
        (Coordinates(0, 0), Coordinates(-1, 0), "S"),
        (Coordinates(0, 0), Coordinates(0, -1), "W"),
        (Coordinates(0, 0), Coordinates(1, 1), "NE"),
        (Coordinates(0, 0), Coordinates(-1, -2.4), "WSW"),
        (Coordinates(0, 179.5), Coordinates(0, -179.5), "E"),
        (Coordinates(0, -179.5), Coordinates(0, 179.5), "W"),
        (NORTH_POLE, Coordinates(64, -21), "S"),
        (Coordinates(90, 77), Coordinates(-5, 10), "S"),
        (SOUTH_POLE, Coordinates(64, -21), "N"),
    ],
)
def test_a_bearing_names_the_way_there(
    here: Coordinates, there: Coordinates, expected: str
) -> None:
    assert compass(bearing(here, there)) == expected


@given(positions, positions)
def test_every_bearing_is_a_direction(here: Coordinates, there: Coordinates) -> None:
    assert 0 <= bearing(here, there) < 360


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(0, "N"), (11.24, "N"), (11.25, "NNE"), (90, "E"), (337.5, "NNW"), (348.75, "N"), (360, "N")],
)
def test_a_point_of_the_compass_reaches_half_way_to_the_next(degrees: float, expected: str) -> None:
    assert compass(degrees) == expected


def test_coordinates_do_not_show_in_a_representation() -> None:
    assert "64" not in repr(Coordinates(64.1466, -21.9426))


REYKJAVIK, LJUBLJANA = Coordinates(64.1466, -21.9426), Coordinates(46.0511, 14.5051)


@pytest.mark.parametrize(
    ("spots", "known", "is_swapped"),
    [
        ([Coordinates(-21.9, 64.1)], [REYKJAVIK], True),
        ([Coordinates(-21.9, 64.1)], [LJUBLJANA, REYKJAVIK], True),
        ([Coordinates(14.5, 46.0)] * 3, [LJUBLJANA], True),
        ([Coordinates(64.1, -21.9)], [REYKJAVIK], False),
        ([Coordinates(64.1, -21.9)], [LJUBLJANA], False),
        ([Coordinates(-21.9, 64.1)], [REYKJAVIK, Coordinates(-21.5, 64.5)], False),
        ([Coordinates(35.6, 139.7)], [LJUBLJANA], False),
        ([Coordinates(45.0, 45.1)], [Coordinates(45.1, 45.0)], False),
        ([], [REYKJAVIK], False),
        ([REYKJAVIK], [], False),
    ],
)
def test_swapped_positions_are_told_by_what_they_are_near_when_exchanged(
    spots: list[Coordinates],
    known: list[Coordinates],
    is_swapped: bool,  # noqa: FBT001 -- of a table
) -> None:
    assert look_swapped(spots, known) is is_swapped
