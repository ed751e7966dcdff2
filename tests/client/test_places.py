"""Places of one's own: which one somebody is at, and that they stay where they are kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from draugar import places
from draugar.errors import Unknown
from draugar.geo import Coordinates
from draugar.home import Home
from draugar.places import NameTaken, Place, around

HOUSE = Place("Home", 64.1466, -21.9426, 100)
TOWN = Place("Reykjavík", 64.1466, -21.9, 5000)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("DRAUGAR_KEYRING", "file")
    with Home.open(tmp_path / "home") as opened:
        yield opened


def test_a_home_begins_without_places(home: Home) -> None:
    assert places.listed(home) == []


def test_places_are_kept_and_listed_by_name(home: Home) -> None:
    for place in (TOWN, HOUSE):
        places.add(home, place)

    with Home.open(home.path) as again:
        assert places.listed(again) == [HOUSE, TOWN]


def test_two_places_cannot_have_one_name(home: Home) -> None:
    places.add(home, HOUSE)

    with pytest.raises(NameTaken):
        places.add(home, Place("HOME", 0, 0))

    assert places.listed(home) == [HOUSE]


def test_a_place_is_forgotten_by_its_name_however_it_is_written(home: Home) -> None:
    for place in (HOUSE, TOWN):
        places.add(home, place)

    places.remove(home, "rEYKJAVI\u0301K\u200f")

    assert places.listed(home) == [HOUSE]


def test_what_is_no_place_cannot_be_forgotten(home: Home) -> None:
    with pytest.raises(Unknown):
        places.remove(home, "Nowhere")


def test_neither_name_nor_position_lies_open_on_the_disk(home: Home) -> None:
    places.add(home, Place("Grandmother's", 64.123456, -21.654321))

    stored = b"".join(file.read_bytes() for file in home.path.iterdir())
    assert not [trace for trace in (b"Grandmother", b"64.123", b"21.654") if trace in stored]


def test_a_place_reaches_as_far_as_its_radius() -> None:
    hundred_metres_north = 100 / 111_195

    inside = Coordinates(64.1466 + 0.99 * hundred_metres_north, -21.9426)
    outside = Coordinates(64.1466 + 1.01 * hundred_metres_north, -21.9426)

    assert around(inside, [HOUSE]) is HOUSE
    assert around(outside, [HOUSE]) is None


def test_of_places_within_each_other_the_smallest_is_meant() -> None:
    assert around(HOUSE, [TOWN, HOUSE]) is HOUSE
    assert around(HOUSE, [HOUSE, TOWN]) is HOUSE


def test_a_place_reaches_across_the_antimeridian() -> None:
    island = Place("Taveuni", -16.85, 179.999, 1000)

    assert around(Coordinates(-16.85, -179.999), [island]) is island


def test_a_place_does_not_show_in_a_representation() -> None:
    assert repr(HOUSE) == "Place(radius=100)"
