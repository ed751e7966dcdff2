"""The map: that it is right, that it is legible, and that it asks nobody for anything."""

import base64
import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draugar.maps import page as maps
from draugar.maps import svg
from draugar.maps.geo import Trail, distance
from draugar.models import Coordinates, Fix, Place

NOW = datetime(2026, 8, 5, 12, tzinfo=UTC)
HOME = (64.1466, -21.9426)


def fix(
    latitude: float, longitude: float, *, minutes: float = 0, accuracy: float | None = 10
) -> Fix:
    return Fix(
        latitude=latitude,
        longitude=longitude,
        accuracy=accuracy,
        at=NOW - timedelta(minutes=minutes),
    )


def at(name: str, latitude: float, longitude: float, **more: Any) -> Trail:
    return Trail(name, [fix(latitude, longitude, **more)])


def page_of(*trails: Trail, places: tuple[Place, ...] = (), tiles: str | None = None) -> str:
    return maps.drawn(trails, places, title="Hearth", now=NOW, tiles=tiles)


@dataclass
class Sheet:
    """One of the page's drawings, read back."""

    svg: ET.Element

    @property
    def size(self) -> tuple[float, float]:
        _, _, width, height = map(float, self.svg.attrib["viewBox"].split())
        return width, height

    def all(self, tag: str, kind: str = "") -> Iterator[ET.Element]:
        for element in self.svg.iter(tag):
            if kind in element.attrib.get("class", "").split() or not kind:
                yield element

    @property
    def dots(self) -> list[tuple[float, float]]:
        """Where people are, in the order of the legend."""
        pins = [pin for pin in self.all("g", "pin") if pin.find("circle") is not None]
        return [moved(pin) for pin in pins][::-1]

    @property
    def tags(self) -> list[tuple[float, float, float, float]]:
        """Left, top, right and bottom of each tag."""
        boxes = []
        for pin in self.all("g", "pin"):
            tag = pin.find("g")
            if tag is not None:
                (x, y), (left, top), box = moved(pin), moved(tag), tag.find("rect")
                assert box is not None
                width, height = float(box.attrib["width"]), float(box.attrib["height"])
                boxes.append((x + left, y + top, x + left + width, y + top + height))
        return boxes

    @property
    def texts(self) -> list[str]:
        return [text.text or "" for text in self.all("text")]

    @property
    def bar(self) -> tuple[float, float]:
        """Pixels of the scale bar, and the metres that it says."""
        (bar,) = self.all("path", "bar")
        end = re.search(r"M0 0H([0-9.]+)", bar.attrib["d"])
        (scale,) = self.all("g", "scale")
        amount = scale.findall("text")[0].text or ""
        number, unit = amount.replace(",", "").split()
        assert end
        return float(end[1]), float(number) * {"cm": 0.01, "m": 1, "km": 1000}[unit]


def moved(element: ET.Element) -> tuple[float, float]:
    found = re.fullmatch(r"translate\((\S+) (\S+)\)", element.attrib["transform"])
    assert found
    return float(found[1]), float(found[2])


def sheets(page: str) -> list[Sheet]:
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    return [Sheet(ET.fromstring(drawing)) for drawing in drawings]  # noqa: S314 -- our own


def wide(page: str) -> Sheet:
    sheet, _ = sheets(page)
    return sheet


class Elements(HTMLParser):
    """All elements of a page, as a browser's parser meets them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.met: list[tuple[str, dict[str, str | None]]] = []
        self.content: dict[str, str] = {}
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open if tag != self._open else ""

    def handle_data(self, data: str) -> None:
        self.content[self._open] = self.content.get(self._open, "") + data


def policy_of(page: str) -> dict[str, list[str]]:
    (content,) = (
        attributes["content"] or ""
        for tag, attributes in Elements(page).met
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    return {name: sources for name, *sources in map(str.split, content.split(";"))}


# That it is right


@pytest.mark.parametrize("latitude", [0.0, 64.1466, -45.0, 78.2])
@pytest.mark.parametrize("apart", [0.001, 0.1, 5])
def test_the_scale_bar_is_right_where_the_map_is(latitude: float, apart: float) -> None:
    west, east = Coordinates(latitude, 10), Coordinates(latitude, 10 + apart)

    for sheet in sheets(page_of(at("Una", *west), at("Ari", *east))):
        (x1, _), (x2, _) = sheet.dots
        metres_in_a_pixel = distance(west, east) / abs(x2 - x1)
        pixels, says = sheet.bar
        assert pixels * metres_in_a_pixel == pytest.approx(says, rel=0.01)
        assert f"at {abs(latitude):.1f}°" in " ".join(sheet.texts)


@given(st.floats(min_value=0.0001, max_value=60))
def test_the_scale_bar_is_a_round_number_that_fits(apart: float) -> None:
    for sheet in sheets(page_of(at("Una", 10, 10), at("Ari", 10, 10 + apart))):
        pixels, says = sheet.bar
        assert f"{says:e}"[:8] in {"1.000000", "2.000000", "5.000000"}
        assert 40 <= pixels <= 150


@pytest.mark.parametrize("spread", [0.002, 0.3, 20])
def test_the_graticule_names_the_degrees_that_it_stands_at(spread: float) -> None:
    south, west = 40.0, -5.0

    for sheet in sheets(page_of(at("Una", south, west), at("Ari", south + spread, west + spread))):
        (x1, y1), (x2, y2) = sheet.dots
        (labels,) = sheet.all("g", "degrees")
        columns = [text for text in labels if text.attrib.get("text-anchor") == "middle"]
        rows = [text for text in labels if text not in columns]
        assert len(columns) >= 2
        assert len(rows) >= 2
        for text in columns:
            longitude = degrees(text)
            assert float(text.attrib["x"]) == pytest.approx(
                x1 + (longitude - west) / spread * (x2 - x1), abs=0.2
            )
        for text in rows:
            part = (northing(degrees(text)) - northing(south)) / (
                northing(south + spread) - northing(south)
            )
            assert float(text.attrib["y"]) - 4 == pytest.approx(y1 + part * (y2 - y1), abs=0.2)


def degrees(text: ET.Element) -> float:
    number, _, side = (text.text or "").partition("°")
    return float(number) * (-1 if side.strip() in {"S", "W"} else 1)


def northing(latitude: float) -> float:
    return math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))


def test_neighbours_on_both_sides_of_the_antimeridian_are_drawn_as_neighbours() -> None:
    page = page_of(
        Trail("Fiji", [fix(-17, 178), fix(-17, 179.5), fix(-16.8, -179.5)]),
        at("Tonga", -21.1, -175.2),
    )

    for sheet in sheets(page):
        (fiji, _), (tonga, _) = sheet.dots
        width, _ = sheet.size
        pixels, says = sheet.bar
        apart = distance(Coordinates(-19, -179.5), Coordinates(-19, -175.2))
        assert 0 < tonga - fiji < width
        assert (tonga - fiji) * says / pixels == pytest.approx(apart, rel=0.03)
        assert {"180°", "178° W"} & set(sheet.texts)


spots = st.tuples(st.floats(min_value=-90, max_value=90), st.floats(min_value=-180, max_value=180))


@given(st.lists(spots, min_size=1, max_size=6))
def test_everybody_is_on_the_map_wherever_they_are(everywhere: list[tuple[float, float]]) -> None:
    page = page_of(*(at(f"P{number}", *spot) for number, spot in enumerate(everywhere)))

    for sheet in sheets(page):
        width, height = sheet.size
        assert len(sheet.dots) == len(everywhere)
        for x, y in sheet.dots:
            assert 20 < x < width - 20
            assert 20 < y < height - 20


def test_north_is_up_and_east_is_right() -> None:
    sheet = wide(page_of(at("Una", 64, -21), at("Ari", 65, -20)))

    (una_x, una_y), (ari_x, ari_y) = sheet.dots
    assert ari_x > una_x
    assert ari_y < una_y


def test_one_spot_alone_is_shown_with_its_surroundings() -> None:
    sheet = wide(page_of(at("Una", *HOME, accuracy=0)))

    pixels, says = sheet.bar
    assert 400 < sheet.size[0] * says / pixels < 700


def test_a_circle_shows_how_far_off_somebody_may_be() -> None:
    sheet = wide(page_of(at("Una", *HOME, accuracy=250), at("Ari", 64.13, -21.9, accuracy=20)))

    pixels, says = sheet.bar
    radii = [float(circle.attrib["r"]) for circle in sheet.all("circle", "accuracy")]
    assert radii == pytest.approx([250 * pixels / says, 20 * pixels / says], rel=0.01)


def test_a_large_circle_of_accuracy_is_shown_whole() -> None:
    for sheet in sheets(page_of(at("Una", *HOME, accuracy=5000))):
        (circle,) = sheet.all("circle", "accuracy")
        x, y, r = (float(circle.attrib[name]) for name in ("cx", "cy", "r"))
        width, height = sheet.size
        assert 0 < x - r < x + r < width
        assert 0 < y - r < y + r < height


def test_a_track_grows_paler_with_age_and_is_dotted_where_nobody_knows() -> None:
    walked = [fix(64, -21 + step / 100, minutes=300 - 10 * step) for step in range(20)]
    resumed = [fix(64.1, -20.7, minutes=step) for step in (20, 10, 0)]

    sheet = wide(page_of(Trail("Una", [*walked, *resumed])))

    tracks = list(sheet.all("path", "track"))
    shades = [float(track.attrib["opacity"]) for track in tracks]
    assert shades == sorted(shades)
    assert shades[0] < 0.4
    assert shades[-1] == 1
    assert sum("gap" in track.attrib["class"].split() for track in tracks) == 1
    ends = [re.findall(r"[\d.]+ [\d.]+", track.attrib["d"]) for track in tracks]
    assert all(earlier[-1] == later[0] for earlier, later in pairwise(ends))


def test_own_places_are_drawn_to_size_and_name_where_people_are() -> None:
    page = page_of(at("Una", *HOME), places=(Place("Hús & <garður>", *HOME, 100),))

    sheet = wide(page)
    pixels, says = sheet.bar
    (circle,) = sheet.all("circle", "circle")
    assert float(circle.attrib["r"]) == pytest.approx(100 * pixels / says, rel=0.01)
    assert "Hús & <garður>" in sheet.texts
    assert "Hús &amp; &lt;garður&gt; (64.14660, -21.94260)" in page


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (190, ">Home (64.14660, -21.94260)<"),
        (210, ">near Home (64.14660, -21.94260)<"),
        (22_000, ">64.14660, -21.94260<"),
        (None, ">Home (64.14660, -21.94260)<"),
    ],
)
def test_the_legend_names_a_place_only_where_the_fix_is_good_enough(
    accuracy: float | None, said: str
) -> None:
    page = page_of(at("Una", *HOME, accuracy=accuracy), places=(Place("Home", *HOME, 100),))

    assert said in page


@pytest.mark.parametrize("accuracy", [None, 0])
def test_an_accuracy_that_is_unknown_is_neither_written_nor_drawn(accuracy: float | None) -> None:
    page = page_of(at("Una", *HOME, accuracy=accuracy))

    assert "within" not in page.partition("<ul")[2]
    for sheet in sheets(page):
        assert list(sheet.all("circle", "accuracy")) == []


def test_an_accuracy_as_large_as_can_be_believed_is_drawn() -> None:
    page = page_of(at("Una", *HOME, accuracy=20_037_508), at("Ari", 64.13, -21.9))

    assert "within 20,038 km" in page
    assert "nan" not in page.partition("<svg")[2].partition("<ul")[0]


def test_positions_that_are_old_are_said_to_be_old() -> None:
    as_of = NOW - timedelta(hours=5)

    page = maps.drawn([at("Una", *HOME, minutes=400)], (), title="Hearth", now=NOW, as_of=as_of)

    assert "The service did not answer. These positions are old" in page
    assert "These positions are old" not in page_of(at("Una", *HOME))


def test_the_legend_says_where_how_long_ago_and_within_how_much() -> None:
    page = page_of(at("Una", *HOME, minutes=7, accuracy=12))

    assert "64.14660, -21.94260" in page
    assert "7 min ago" in page
    assert "within 12 m" in page


# That it is legible


@pytest.mark.parametrize("people", [2, 5, 10])
def test_tags_keep_off_each_other_when_everybody_is_in_one_spot(people: int) -> None:
    page = page_of(*(at(f"Person {number}", *HOME) for number in range(people)))

    for sheet in sheets(page):
        width, height = sheet.size
        assert len(sheet.tags) == people
        for one, other in combinations(sheet.tags, 2):
            assert not overlap(one, other)
        for left, top, right, bottom in sheet.tags:
            assert 0 < left < right < width
            assert 0 < top < bottom < height


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
def test_tags_of_a_family_about_town_keep_off_each_other(town: list[tuple[float, float]]) -> None:
    page = page_of(*(at("Amma Guðrún", 64 + north, -22 + east) for north, east in town))

    for one, other in combinations(wide(page).tags, 2):
        assert not overlap(one, other)


def test_a_tag_that_stands_off_is_tied_to_its_dot() -> None:
    sheet = wide(page_of(*(at(f"P{number}", *HOME) for number in range(10))))

    assert len(list(sheet.all("path", "lead"))) >= 2


def test_a_long_name_is_cut_on_the_map_and_whole_in_the_legend() -> None:
    name = "Þorgerður Brák Skallagrímsdóttir frá Borg á Mýrum"

    page = page_of(at(name, *HOME))

    (shown,) = (text for text in wide(page).texts if text.startswith("Þorgerður"))
    assert shown.endswith("…")
    assert len(shown) <= 24
    assert f"<bdi>{name}</bdi>" in page


def test_there_is_a_sheet_for_wide_windows_and_one_for_phones_in_light_and_dark() -> None:
    page = page_of(at("Una", *HOME))

    kinds = [sheet.svg.attrib["class"] for sheet in sheets(page)]
    assert kinds == ["wide", "narrow"]
    assert "@media (max-width: 700px)" in page
    assert "prefers-color-scheme: dark" in page


# That it asks nobody, and that nobody can write into it


def test_the_page_names_nothing_that_a_browser_would_fetch() -> None:
    elements = Elements(page_of(at("Una", *HOME), places=(Place("Home", *HOME),)))

    fetching = {"src", "href", "xlink:href", "action", "data", "srcset", "poster", "background"}
    assert not [tag for tag, attributes in elements.met if fetching & attributes.keys()]
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in elements.met
    }
    assert "url(" not in elements.content["style"]
    assert "@import" not in elements.content["style"]
    for asks in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon", "eval("):
        assert asks not in elements.content["script"]


def test_the_policy_allows_this_style_and_this_script_and_nothing_else() -> None:
    page = page_of(at("Una", *HOME))

    content = Elements(page).content
    allowed = {
        kind: "'sha256-"
        + base64.b64encode(hashlib.sha256(content[kind].encode()).digest()).decode()
        + "'"
        for kind in ("style", "script")
    }
    assert policy_of(page) == {
        "default-src": ["'none'"],
        "style-src": [allowed["style"]],
        "script-src": [allowed["script"]],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def test_no_attribute_is_a_style_or_a_script_that_the_policy_would_refuse() -> None:
    elements = Elements(page_of(at("Una", *HOME), tiles="https://tiles.example/{z}/{x}/{y}.png"))

    for _, attributes in elements.met:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "</text></svg><img src=x onerror=alert(1)>",
        '" onload="alert(1)',
        "&lt;b&gt;",
        "$title ${script}",
    ],
)
def test_a_name_is_text_whatever_it_is(name: str) -> None:
    plain = Elements(page_of(at("Una", *HOME), places=(Place("Home", *HOME),)))

    page = maps.drawn([at(name, *HOME)], [Place(name, *HOME)], title=name, now=NOW)

    elements = Elements(page)
    assert [tag for tag, _ in elements.met] == [tag for tag, _ in plain.met]
    assert elements.content["title"] == name
    assert any(text in {name, svg.cut(name)} for text in wide(page).texts)


def test_a_name_cannot_turn_the_direction_of_the_page() -> None:
    page = page_of(at("Una\u202egnp.exe", *HOME))

    assert "\u202e" not in page
    assert "Una\ufffdgnp.exe" in page


def test_tiles_come_from_the_host_that_was_named_and_from_no_other() -> None:
    page = page_of(at("Una", *HOME), tiles="https://tiles.example:8443/{z}/{x}/{y}.png?a=1&b=2")

    assert policy_of(page)["img-src"] == ["https://tiles.example:8443"]
    assert policy_of(page)["default-src"] == ["'none'"]
    assert [sheet.svg.attrib["data-tiles"] for sheet in sheets(page)] == [
        "https://tiles.example:8443/{z}/{x}/{y}.png?a=1&b=2"
    ] * 2
    assert "tiles.example:8443, which learns the area" in page


def test_without_tiles_the_page_says_that_it_needs_no_network() -> None:
    page = page_of(at("Una", *HOME))

    assert "data-tiles" not in page
    assert "without the network" in page


@pytest.mark.parametrize(
    "tiles",
    [
        "tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example/{z}/{x}.png",
        "https://tiles.example; script-src */{z}/{x}/{y}.png",
        "https://user@tiles.example/{z}/{x}/{y}.png",
        "javascript:alert({z}{x}{y})",
        "https:///{z}/{x}/{y}.png",
        'https://tiles.example/{z}/{x}/{y}.png" onload="x\n',
    ],
)
def test_what_is_no_address_of_tiles_is_refused(tiles: str) -> None:
    with pytest.raises(maps.TilesUnclear):
        page_of(at("Una", *HOME), tiles=tiles)
