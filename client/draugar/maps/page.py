"""Everybody on a map: one HTML file that needs no network and no other file.

Python draws the map, so that it stands without any script; map.js then lets one zoom and move it.
The page's policy allows this one style and this one script, by their hashes, and nothing from
elsewhere, unless its owner names a host of map tiles.

Mercator on the sphere of `geo.EARTH_RADIUS`: in world units the equator is 1 long, x grows east
from the middle of the map and y south from the latitude where the square world begins.
"""

import base64
import hashlib
import html
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from itertools import groupby, pairwise
from string import Template
from typing import NamedTuple

from draugar.errors import FailureCode, NotPossible
from draugar.maps.geo import EARTH_RADIUS, Trail, is_gap
from draugar.maps.gpx import stamp
from draugar.maps.nearby import Nearby, around
from draugar.models import Fix, Located, Place
from draugar.text.display import ago, clock, degrees, plain, within

EQUATOR = math.tau * EARTH_RADIUS
"""Metres."""
LATITUDE = 89.9
"""Nearer to the poles Mercator has no room."""
NEAREST = 0.5
"""Metres in a pixel when there is but one spot to show."""
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

GENERATOR = b'<meta name="generator" content="draugar">'
HEAD = 2048
"""Bytes of a page in which that is."""

_NO_WIDTH = ("Mn", "Me", "Cf")
"""Categories of marks that stand upon a letter, and of what joins emoji."""

TILES = re.compile(r"https?://(?P<host>[A-Za-z0-9.-]+(:[0-9]{1,5})?)/[!-~]*")


class TilesUnclear(NotPossible):
    """The address of map tiles cannot be used."""

    code = FailureCode.TILES_NOT_USABLE


def drawn(  # noqa: PLR0913 -- what one page shows
    trails: Sequence[Trail],
    places: Sequence[Place],
    *,
    title: str,
    now: datetime,
    tiles: str | None = None,
    as_of: datetime | None = None,
) -> str:
    """Draw a page of trails with at least one fix each.

    `as_of`: they are what was known then, for the service does not answer. Raises TilesUnclear.
    """
    host = _host(tiles) if tiles else None
    people = [_Person.of(index, trail, places, now) for index, trail in enumerate(trails)]
    sheets = (
        _Sheet("wide", _View.of(1120, 680, people), people, places, now, tiles, 110, 150),
        _Sheet("narrow", _View.of(400, 520, people), people, places, now, tiles, 85, 100),
    )
    page, style, script = (
        resources.files("draugar.maps").joinpath(f"map.{kind}").read_text("utf-8")
        for kind in ("html", "css", "js")
    )
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    policy += "; base-uri 'none'; form-action 'none'"
    return Template(page).substitute(
        policy=policy + (f"; img-src {host}" if host else ""),
        title=html.escape(plain(title)),
        style=style,
        script=script,
        stamp=stamp(now),
        written=clock(now),
        lines=_lines(people) + _oldness(as_of),
        sheets="\n".join("".join(sheet.svg()) for sheet in sheets),
        legend="\n".join(person.entry(now) for person in people),
        credit=html.escape(_credit(host)),
    )


@dataclass(frozen=True)
class _Person:
    """Somebody with a trail, and what the map says about where it ends."""

    index: int
    name: str
    fixes: Sequence[Fix]
    age: str
    place: str
    """Of the reader's places the one that they are at, or near; else empty."""

    @classmethod
    def of(cls, index: int, trail: Trail, places: Sequence[Place], now: datetime) -> "_Person":
        last = trail.fixes[-1]
        place = _place(around(last, places))
        age = ", ".join(filter(None, (ago(now - last.at), trail.note)))
        return cls(index, plain(trail.name), trail.fixes, age, place)

    @property
    def last(self) -> Fix:
        return self.fixes[-1]

    @property
    def colour(self) -> str:
        return f"c{self.index % COLOURS}"

    def entry(self, now: datetime) -> str:
        """Write the line of the legend."""
        where = f"{self.place} ({degrees(self.last)})" if self.place else degrees(self.last)
        seen = f"{self.age}, {clock(self.last.at, now)}"
        if self.last.accuracy:
            seen += f", within {within(self.last.accuracy)}"
        return (
            f'<li class="{self.colour}" data-person="{self.index}">'
            f"<strong><bdi>{html.escape(self.name)}</bdi></strong>"
            f"<span><bdi>{html.escape(where)}</bdi></span><span>{html.escape(seen)}</span></li>"
        )


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
class _View:
    """How much of the world a sheet shows: pixels to a world unit, and what lies where."""

    width: int
    height: int
    scale: float
    middle: float
    """Longitude of the vertical line in the middle."""
    top: float
    """World y of the upper edge."""

    @classmethod
    def of(cls, width: int, height: int, people: Sequence[_Person]) -> "_View":
        """Show all trails, and all of the circles where they end."""
        middle = _middle([fix.longitude for person in people for fix in person.fixes])
        spots = [(fix, 0.0) for person in people for fix in person.fixes]
        spots += [(person.last, person.last.accuracy or 0.0) for person in people]
        half, north, south = 0.0, math.inf, -math.inf
        for fix, accuracy in spots:
            y, radius = _world_y(fix.latitude), accuracy / _parallel(fix.latitude)
            half = max(half, abs(_turn(fix.longitude - middle)) / 360 + radius)
            north, south = min(north, y - radius), max(south, y + radius)
        centre = (north + south) / 2
        metre = 1 / _parallel(_latitude(centre))
        scale = min(
            (0.86 * width - 60) / max(2 * half, metre),
            (0.86 * height - 60) / max(south - north, metre),
            1 / (metre * NEAREST),
        )
        return cls(width, height, scale, middle, centre - height / 2 / scale)

    def xy(self, spot: Located) -> tuple[float, float]:
        """Return the pixel of a spot."""
        return self.x(_turn(spot.longitude - self.middle)), self.y(spot.latitude)

    def x(self, east: float) -> float:
        """Return the column so many degrees east of the middle."""
        return self.width / 2 + east / 360 * self.scale

    def y(self, latitude: float) -> float:
        """Return the row of a latitude."""
        return (_world_y(latitude) - self.top) * self.scale

    def pixels(self, length: float, latitude: float) -> float:
        """Return the pixels of so many metres there."""
        return length / _parallel(latitude) * self.scale

    @property
    def centre(self) -> float:
        """The latitude of the horizontal line in the middle."""
        return _latitude(self.top + self.height / 2 / self.scale)


@dataclass(frozen=True)
class _Sheet:
    """The map in one size: the page shows the one that suits its window."""

    kind: str
    view: _View
    people: Sequence[_Person]
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
                text = _degrees(_turn(index * step), step, "EW")
                labels.append(f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle">{text}')

        step = _step(least * math.cos(math.radians(view.centre)))
        south, north = (_latitude(view.top + y / view.scale) for y in (height, 0))
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
        """Draw own places, and how far off everybody may be."""
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
        """Draw where everybody has been, the paler the longer ago."""
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
    def of(cls, person: _Person) -> "_Tag":
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

    def svg(self, person: _Person, x: float, y: float, box: _Box, *, is_far: bool) -> str:
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


def _place(nearby: Nearby | None) -> str:
    """Name the place that a person is at, or near."""
    if nearby is None:
        return ""
    name = plain(nearby.place.name)
    return name if nearby.is_at else f"near {name}"


def _lines(people: Sequence[_Person]) -> str:
    """Say how far back the tracks go."""
    starts = [person.fixes[0].at for person in people if len(person.fixes) > 1]
    return f" The lines begin on {clock(min(starts))}; they are paler the older." if starts else ""


def _oldness(as_of: datetime | None) -> str:
    """Say that the positions are old."""
    if as_of is None:
        return ""
    return (
        f" The service did not answer. These positions are old: the last that were known, of"
        f" {clock(as_of)}."
    )


def _middle(longitudes: Iterable[float]) -> float:
    """Return the longitude about which all lie closest, also across the antimeridian."""
    around_world = sorted({longitude % 360 for longitude in longitudes})
    following = [*around_world[1:], around_world[0] + 360]
    gap, west = max((east - west, east) for west, east in zip(around_world, following, strict=True))
    return _turn(west + (360 - gap) / 2)


def _turn(longitude: float) -> float:
    """Return the same longitude, from -180 up to 180."""
    return (longitude + 180) % 360 - 180


def _world_y(latitude: float) -> float:
    near = math.radians(max(-LATITUDE, min(LATITUDE, latitude)))
    return 0.5 - math.asinh(math.tan(near)) / math.tau


def _latitude(world_y: float) -> float:
    return math.degrees(math.atan(math.sinh((0.5 - world_y) * math.tau)))


def _parallel(latitude: float) -> float:
    """Return the metres around the earth at a latitude."""
    return EQUATOR * math.cos(math.radians(max(-LATITUDE, min(LATITUDE, latitude))))


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


def _host(tiles: str) -> str:
    """Return whom the page will ask for tiles. Raises TilesUnclear."""
    found = TILES.fullmatch(tiles)
    if found is None or any(part not in tiles for part in ("{z}", "{x}", "{y}")):
        raise TilesUnclear
    return f"{tiles.partition(':')[0]}://{found['host']}"


def _credit(host: str | None) -> str:
    if host is None:
        return (
            "Drawn on this device, without the network. Whoever gets this file sees where you are."
        )
    name = host.partition("://")[2]
    credit = " Map data © OpenStreetMap contributors." if "openstreetmap" in name else ""
    return f"Map tiles come from {name}, which learns the area that you look at.{credit}"


def _hash(content: str) -> str:
    """Name a style or script in the page's policy."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
