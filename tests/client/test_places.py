"""Places of one's own: which one somebody is at, and that they stay where they are kept."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from draugar.errors import Unknown
from draugar.maps.nearby import Nearby, around
from draugar.models import Fix, Place
from draugar.storage import places
from draugar.storage.home import Home
from draugar.storage.places import NameTaken

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


def north(metres: float, accuracy: float | None = None) -> Fix:
    """Return a fix so far to the north of the house."""
    latitude = HOUSE.latitude + metres / 111_195.08
    at = datetime(2026, 8, 5, tzinfo=UTC)
    return Fix(latitude=latitude, longitude=HOUSE.longitude, accuracy=accuracy, at=at)


@pytest.mark.parametrize(
    ("metres", "accuracy", "nearby"),
    [
        (0, None, Nearby(HOUSE, is_at=True)),
        (199, None, Nearby(HOUSE, is_at=True)),
        (201, None, Nearby(HOUSE, is_at=False)),
        (0, 199, Nearby(HOUSE, is_at=True)),
        (0, 201, Nearby(HOUSE, is_at=False)),
        (100, 99, Nearby(HOUSE, is_at=True)),
        (100, 101, Nearby(HOUSE, is_at=False)),
        (599, None, Nearby(HOUSE, is_at=False)),
        (601, None, None),
        (0, 599, Nearby(HOUSE, is_at=False)),
        (0, 601, None),
        (0, 22_000, None),
    ],
)
def test_a_place_is_named_where_the_fix_is_good_enough_for_it(
    metres: float, accuracy: float | None, nearby: Nearby | None
) -> None:
    assert around(north(metres, accuracy), [HOUSE]) == nearby


def test_of_places_within_each_other_the_smallest_is_meant() -> None:
    for named in ([TOWN, HOUSE], [HOUSE, TOWN]):
        assert around(north(0), named) == Nearby(HOUSE, is_at=True)
        assert around(north(0, 1000), named) == Nearby(TOWN, is_at=True)


def test_of_places_that_a_fix_is_near_the_nearest_is_meant() -> None:
    school = Place("School", north(1120).latitude, HOUSE.longitude, 400)

    for named in ([school, HOUSE], [HOUSE, school]):
        assert around(north(540), named) == Nearby(HOUSE, is_at=False)
        assert around(north(590), named) == Nearby(school, is_at=False)
        assert around(north(590, 20), named) == Nearby(school, is_at=False)


def test_a_place_reaches_across_the_antimeridian() -> None:
    island = Place("Taveuni", -16.85, 179.999, 1000)
    at = datetime(2026, 8, 5, tzinfo=UTC)
    fix = Fix(latitude=-16.85, longitude=-179.999, accuracy=None, at=at)

    assert around(fix, [island]) == Nearby(island, is_at=True)


def test_a_place_does_not_show_in_a_representation() -> None:
    assert repr(HOUSE) == "Place(radius=100)"
