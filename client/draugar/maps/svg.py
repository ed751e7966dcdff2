"""The map itself: people, their tracks and the reader's places, drawn as SVG.

Python draws it, so that it stands without any script; map.js then lets one zoom and move it.
"""

import html
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import NamedTuple

from draugar.maps.geo import is_gap
from draugar.maps.projection import EQUATOR, LATITUDE, View, turned
from draugar.models import Fix, Located, Place
from draugar.text.display import plain

COLOURS = 8
"""As many as map.css has; the tags tell people apart, whatever the colours do."""
SHADES = (1.0, 0.8, 0.62, 0.46, 0.32)
"""Opacity of a track, from its newest fifth to its oldest."""
KILOMETRE = 1000
MARGIN = 40
"""Pixels along the edges in which no degrees are written, lest they meet in a corner."""
DOT = 9
TAG_HEIGHT = 36
NAME_PIXELS = 8.8
"""Of a letter in a name, generously: the page's font is not known."""
LINE_PIXELS = 6.6
LONGEST_NAME = 24
"""Columns; the legend has all of it."""
REACHES = (12, 24, 44, 68, 96, 128, 164, 204, 248)
"""Pixels between a dot and its tag, tried in this order."""
GRAIN = 8
"""Pixels of a track that a tag should not cover without need."""
COLLISION = 1000
"""What a tag upon another costs, in pixels that it would rather stand off."""
DIRECTIONS = ((1, 0), (-1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (0, 1))
"""East and south of the dot."""
STEPS = (10, 20, 30, 60, 90)
"""Degrees between lines of the graticule from ten up: all go into a full turn."""

_NO_WIDTH = ("Mn", "Me", "Cf")
"""Categories of marks that stand upon a letter, and of what joins emoji."""


@dataclass(frozen=True)
class Walker:
    """A person with a trail, as a map shows them."""

    index: int
    name: str
    fixes: Sequence[Fix]
    age: str
    """Of the position where the trail ends, with what else is said of it."""

    @property
    def last(self) -> Fix:
        """Where they are."""
        return self.fixes[-1]

    @property
    def colour(self) -> str:
        """The class of their colour in map.css."""
        return f"c{self.index % COLOURS}"


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "_Box") -> float:
        """Square pixels in common."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across * down if across > 0 and down > 0 else 0.0


@dataclass(frozen=True)
class Sheet:
    """The map in one size: the page shows the one that suits its window."""

    kind: str
    view: View
    people: Sequence[Walker]
    places: Sequence[Place]
    now: datetime
    tiles: str | None
    spacing: int
    """Least pixels between lines of the graticule."""
    bar: int
    """Most pixels of the scale bar."""

    def svg(self) -> Iterator[str]:
        """Draw it, from the ground up."""
        view = self.view
        width, height = view.width, view.height
        tiles = f' data-tiles="{html.escape(self.tiles)}"' if self.tiles else ""
        yield (
            f'<svg class="{self.kind}" viewBox="0 0 {width} {height}" role="img"'
            f' aria-label="Map" data-scale="{view.scale:.3f}" data-middle="{view.middle:.8f}"'
            f' data-top="{view.top:.14f}" data-equator="{EQUATOR:.1f}"'
            f' data-spacing="{self.spacing}" data-bar="{self.bar}"{tiles}>'
            '<rect class="ground" width="100%" height="100%"/><g class="tiles"></g>'
        )
        yield from self._graticule()
        yield '<g class="world">'
        yield from self._circles()
        yield from self._tracks()
        yield "</g>"
        yield from self._pins()
        yield f'<rect class="border" x="5" y="5" width="{width - 10}" height="{height - 10}"/>'
        yield f'<g class="north" transform="translate({width - 30} 22)">'
        yield '<path d="M0 0L7 20L0 15L-7 20Z"/><text y="34">N</text></g>'
        yield from self._scale()
        yield "</svg>"

    def _graticule(self) -> Iterator[str]:
        """Draw lines of latitude and longitude, their degrees, and a band that counts them."""
        view = self.view
        width, height = view.width, view.height
        least = self.spacing / view.scale * 360
        grid, band, labels = [], [], []

        step = _step(least)
        half = width / 2 / view.scale * 360
        first, last = (view.middle - half) / step, (view.middle + half) / step
        for index in range(math.floor(first), math.ceil(last)):
            x, following = (view.x((index + i) * step - view.middle) for i in (0, 1))
            grid.append(f"M{x:.1f} 0V{height}")
            if index % 2 == 0:
                start, end = max(0, x), min(width, following)
                band += [f"M{start:.1f} {y}H{end:.1f}" for y in (2.5, height - 2.5)]
            if MARGIN < x < width - MARGIN:
                text = _degrees(turned(index * step), step, "EW")
                labels.append(f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle">{text}')

        step = _step(least * math.cos(math.radians(view.centre)))
        south, north = map(view.latitude, (height, 0))
        for index in range(math.floor(south / step), math.ceil(north / step)):
            y, following = (view.y((index + i) * step) for i in (0, 1))
            if abs(index * step) > LATITUDE:
                continue
            grid.append(f"M0 {y:.1f}H{width}")
            if index % 2 == 0:
                start, end = min(height, y), max(0, following)
                band += [f"M{x} {start:.1f}V{end:.1f}" for x in (2.5, width - 2.5)]
            if MARGIN / 2 < y < height - MARGIN * 1.5:
                labels.append(f'<text x="11" y="{y + 4:.1f}">{_degrees(index * step, step, "NS")}')

        yield f'<path class="grid" d="{"".join(grid)}"/><path class="band" d="{"".join(band)}"/>'
        yield f'<g class="degrees">{"".join(f"{label}</text>" for label in labels)}</g>'

    def _circles(self) -> Iterator[str]:
        """Draw own places, and how far off each person may be."""
        for place in self.places:
            yield self._circle("circle", place, place.radius)
        for person in self.people:
            if person.last.accuracy:
                yield self._circle(f"accuracy {person.colour}", person.last, person.last.accuracy)

    def _circle(self, kind: str, spot: Located, length: float) -> str:
        x, y = self.view.xy(spot)
        radius = self.view.pixels(length, spot.latitude)
        return f'<circle class="{kind}" cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}"/>'

    def _tracks(self) -> Iterator[str]:
        """Draw where each person has been, the paler the longer ago."""
        oldest = min(person.fixes[0].at for person in self.people)
        span = max((self.now - oldest) / len(SHADES), timedelta(seconds=1))
        for person in self.people:
            pieces = [
                (max(0, min(len(SHADES) - 1, (self.now - there.at) // span)), is_gap(here, there))
                for here, there in pairwise(person.fixes)
            ]
            points = [f"{x:.2f} {y:.2f}" for x, y in map(self.view.xy, person.fixes)]
            start = 0
            for (shade, gap), piece in groupby(pieces):
                end = start + sum(1 for _ in piece)
                yield (
                    f'<path class="track {"gap " if gap else ""}{person.colour}"'
                    f' opacity="{SHADES[shade]}" d="M{"L".join(points[start : end + 1])}"/>'
                )
                start = end

    def _pins(self) -> Iterator[str]:
        """Draw what keeps its size: names of places, dots, and tags that keep off each other."""
        width, height = self.view.width, self.view.height
        taken = [
            _Box(0, height - 78, self.bar + 40, height),
            _Box(width - 56, 0, width, 64),
            _Box(width - 60, height - 140, width, height),
        ]
        for place in self.places:
            x, y = self.view.xy(place)
            y -= self.view.pixels(place.radius, place.latitude)
            name = plain(place.name)
            half = _columns(name) * NAME_PIXELS / 2
            taken.append(_Box(x - half, y - 20, x + half, y))
            yield f'<g class="pin place" transform="translate({x:.2f} {y:.2f})">'
            yield f'<text y="-6">{html.escape(name)}</text></g>'
        dots = [self.view.xy(person.last) for person in self.people]
        taken += [_Box(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in dots]
        sheet = _Box(8, 8, width - 8, height - 26)
        walked = {
            (x // GRAIN * GRAIN, y // GRAIN * GRAIN)
            for person in self.people
            for x, y in map(self.view.xy, person.fixes)
        }

        def cost(spot: tuple[_Box, float]) -> float:
            """Near the dot is best; on a track, on another tag and off the sheet ever worse."""
            box, reach = spot
            area = (box.right - box.left) * (box.bottom - box.top)
            return (
                reach
                + GRAIN
                * sum(box.left < x < box.right and box.top < y < box.bottom for x, y in walked)
                + sum(COLLISION + covered for covered in map(box.overlap, taken) if covered)
                + COLLISION * (area - box.overlap(sheet))
            )

        tags = []
        for person, (x, y) in zip(self.people, dots, strict=True):
            tag = _Tag.of(person)
            box, reach = min(tag.spots(x, y), key=cost)
            taken.append(box)
            tags.append(tag.svg(person, x, y, box, is_far=reach > REACHES[0]))
        # The newest stands first, so it is drawn last: on top.
        for person, (x, y) in reversed(list(zip(self.people, dots, strict=True))):
            yield f'<g class="pin {person.colour}" transform="translate({x:.2f} {y:.2f})">'
            yield '<circle class="dot" r="7"/></g>'
        yield from reversed(tags)

    def _scale(self) -> Iterator[str]:
        """Draw how long a round number of metres is, in the middle of the map."""
        metre = self.view.pixels(1, self.view.centre)
        length = _round_down(self.bar / metre)
        end = length * metre
        latitude = f"at {_degrees(self.view.centre, 0.1, 'NS')}"
        yield f'<g class="scale" transform="translate(30 {self.view.height - 42})">'
        yield f'<path d="M-4 0H{end + 4:.1f}"/><path class="bar" d="M0 -4V4M0 0H{end:.2f}V-4V4"/>'
        yield f'<path class="half" d="M0 0H{end / 2:.2f}"/>'
        yield f'<text x="{end / 2:.1f}" y="-9">{_length(length)}</text>'
        yield f'<text x="{end / 2:.1f}" y="17">{latitude}</text></g>'


class _Tag(NamedTuple):
    """A person's name and the age of their position, beside a dot."""

    name: str
    line: str
    width: float

    @classmethod
    def of(cls, person: Walker) -> "_Tag":
        name = cut(person.name)
        width = max(_columns(name) * NAME_PIXELS, _columns(person.age) * LINE_PIXELS)
        return cls(name, person.age, width + 18)

    def spots(self, x: float, y: float) -> Iterator[tuple[_Box, float]]:
        """Give where it could stand about a dot, and how far off that is."""
        for reach in REACHES:
            for right, down in DIRECTIONS:
                left = x + right * reach + (right - 1) / 2 * self.width
                top = y + down * reach + (down - 1) / 2 * TAG_HEIGHT
                yield _Box(left, top, left + self.width, top + TAG_HEIGHT), reach

    def svg(self, person: Walker, x: float, y: float, box: _Box, *, is_far: bool) -> str:
        """Draw it around a dot at (x, y), with a line to it if the tag is not right beside."""
        left, top = box.left - x, box.top - y
        near_x = min(max(0, left), left + self.width)
        near_y = min(max(0, top), top + TAG_HEIGHT)
        lead = f'<path class="lead" d="M0 0L{near_x:.1f} {near_y:.1f}"/>' if is_far else ""
        return (
            f'<g class="pin {person.colour}" data-person="{person.index}"'
            f' transform="translate({x:.2f} {y:.2f})">{lead}'
            f'<g class="tag" transform="translate({left:.1f} {top:.1f})">'
            f'<rect width="{self.width:.1f}" height="{TAG_HEIGHT}" rx="6"/>'
            f'<text class="name" x="9" y="16">{html.escape(self.name)}</text>'
            f'<text x="9" y="30">{html.escape(self.line)}</text></g></g>'
        )


def cut(name: str) -> str:
    """Shorten a name to what a tag has room for."""
    if _columns(name) <= LONGEST_NAME:
        return name
    kept = ""
    for character in name:
        if _columns(kept + character) >= LONGEST_NAME:
            break  # the last column is the ellipsis's
        kept += character
    return kept.rstrip() + "…"


def _columns(text: str) -> int:
    """Count how wide a text is, in Latin letters: emoji and letters of East Asia are two wide."""
    return sum(
        1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
        if unicodedata.category(character) not in _NO_WIDTH
    )


def _round_down(value: float) -> float:
    """Return the greatest 1, 2 or 5 times a power of ten that is not above."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(part * power for part in (1, 2, 5) if part * power <= value)


def _step(least: float) -> float:
    """Return the round number of degrees that is not below."""
    if least > STEPS[0] / 2:
        return next((step for step in STEPS if step >= least), STEPS[-1])
    power = 10.0 ** math.floor(math.log10(least))
    return next(part * power for part in (1, 2, 5, 10) if part * power >= least * (1 - 1e-6))


def _degrees(value: float, step: float, letters: str) -> str:
    """Write degrees as finely as steps need it: 64.15° N."""
    shown = f"{abs(value):.{max(0, -math.floor(math.log10(step) + 1e-9))}f}°"
    return f"{shown} {letters[value < 0]}" if round(value, 9) % 180 else shown


def _length(length: float) -> str:
    if length < 1:
        return f"{length * 100:.0f} cm"
    return f"{length:.0f} m" if length < KILOMETRE else f"{length / KILOMETRE:,.0f} km"
