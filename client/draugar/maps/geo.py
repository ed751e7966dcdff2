"""Positions on the earth: reading them, how far apart they are, and which way.

Degrees of WGS 84 throughout, as phones and GPX files give them. Distances are great circles on a
sphere of the ellipsoid's mean radius: wrong by at most 0.6 %, which nobody sees in "2.3 km NE".
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qs, unquote

from draugar.errors import FailureCode, NotPossible
from draugar.maps import map_links
from draugar.models import Coordinates, Fix, Located
from draugar.text import pasted

EARTH_RADIUS = 6_371_008.8
"""Metres: (2a + b) / 3 of WGS 84."""

COMPASS = (
    *("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE"),
    *("S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"),
)
POLE = 89.9999
"""Degrees beyond which every way leads to the other pole, whatever the longitude."""
FAR, SURELY = 100_000, 10
"""Metres, and how often nearer, from which on positions look swapped."""
GAP = timedelta(minutes=30)
"""Without a point for longer, the way between two of them is not known."""


QUARTER_TURN, HALF_TURN, SIXTY = 90.0, 180.0, 60.0

_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_LETTER = "N(?:orth)?|S(?:outh)?|E(?:ast)?|W(?:est)?"
_PARTS = ("named", "letter", "sign", "degrees", "degree", "minutes", "minute", "seconds", "end")


def _angle(which: str) -> str:
    named, letter, sign, degrees, degree, minutes, minute, seconds, end = (
        f"{which}_{name}" for name in _PARTS
    )
    return (
        rf"(?:[\"']?(?P<{named}>lat(?:itude)?|lon(?:g(?:itude)?)?|lng)[\"']?\.? ?[:=]? ?)?"
        rf"(?:(?P<{letter}>{_LETTER}) ?)?(?P<{sign}>[+-])?"
        rf"(?P<{degrees}>(?:{_NUMBER})(?:e[+-]?[0-9]+)?)"
        rf"(?:(?:(?P<{degree}> ?[\u00b0\u00ba\u02da] ?)|[: ])"
        rf"(?:(?P<{minutes}>{_NUMBER})(?:(?P<{minute}> ?['\u2032\u2019\u00b4] ?)|[: ])?"
        rf"(?:(?P<{seconds}>{_NUMBER}) ?(?:[\"\u2033\u201d]|''|\u2032\u2032|\u2019\u2019)?)?)?)?"
        rf"(?({letter})|(?: ?(?P<{end}>{_LETTER}))?)"
    )


_POSITION = re.compile(
    rf"{_angle('first')}(?P<between> ?[,;/|~&\u060c\u3001] ?| ){_angle('second')}", re.IGNORECASE
)
_GEO = re.compile(
    r"geo:(?P<latitude>-?[0-9.]+), ?(?P<longitude>-?[0-9.]+)(?:,-?[0-9.]+)?"
    r"(?P<parameters>(?:;[^?;]+)*)(?:\?(?P<query>.*))?",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"(?P<latitude>-?[0-9]+(?:\.[0-9]*)?), ?(?P<longitude>-?[0-9]+(?:\.[0-9]*)?) ?(?:\(.*\))?"
)


class NotAPosition(NotPossible):
    """What was given is no latitude and longitude. No failure repeats it."""

    code = FailureCode.NOT_A_POSITION


@dataclass(frozen=True)
class Trail:
    """Where somebody has been, oldest first; the last is where they are."""

    name: str = field(repr=False)
    fixes: Sequence[Fix]
    note: str = ""
    """What a map says besides of where they are."""

    def stretches(self) -> Iterator[Sequence[Fix]]:
        """Yield the parts between which reception was lost."""
        start = 0
        for end, there in enumerate(self.fixes):
            if end and is_gap(self.fixes[end - 1], there):
                yield self.fixes[start:end]
                start = end
        if self.fixes:
            yield self.fixes[start:]


def parse_position(latitude: str, longitude: str = "") -> Coordinates:
    """Read a position as people type it and as maps show it, in one text or in two.

    Decimal degrees or degrees, minutes and seconds, with a sign or a letter of the compass, or
    a `geo:` address, or a link of a map site: `64.1466, -21.9426`,
    `64\u00b0 8' 47.8" N 21\u00b0 56' 33.4" W`. Raises NotAPosition.
    """
    return Coordinates(*_read(f"{latitude} {longitude}"))


def is_gap(here: Fix, there: Fix) -> bool:
    """Whether reception was lost between two fixes that follow each other."""
    return there.at - here.at > GAP


def number(text: str, *, limit: float, name: str) -> float:
    """Read a decimal number from -limit to limit.

    Raises NotAPosition.
    """
    text = text.strip()
    # What Python reads beyond a decimal number (1_0, infinity, other scripts' digits) is a
    # mistake in a position.
    if text and not set(text) - set("0123456789+-.eE"):
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            if abs(value) <= limit:
                return value + 0.0  # and not -0.0
    raise NotAPosition(FailureCode.NUMBER_OUT_OF_RANGE, name=name, limit=round(limit))


def _read(text: str) -> tuple[float, float]:
    """Return latitude and longitude. Raises NotAPosition."""
    typed = _written_out(" ".join(pasted.cleaned(text).split()))
    # The marks of minutes and seconds are also quotes, so they are kept only if need be.
    for kept in ("+-.", "+-.'\"\u2032\u2019\u2033\u201d"):
        if found := _POSITION.fullmatch(pasted.bare(typed, keep=kept).rstrip(".")):
            break
    else:
        raise NotAPosition(FailureCode.POSITION_NOT_FOUND)
    first, second = (
        {name: found[f"{which}_{name}"] or "" for name in _PARTS} for which in ("first", "second")
    )
    if found["between"] == "," and not set(typed) - set("0123456789,"):
        # A decimal comma, and no second number.
        raise NotAPosition(FailureCode.DECIMAL_COMMA)
    if (_axis(first), _axis(second)) in {("lon", "lat"), ("lon", ""), ("", "lat")}:
        first, second = second, first
    if _axis(first) == "lon" or _axis(second) == "lat":
        raise NotAPosition(FailureCode.NOT_ONE_OF_EACH)
    parts = (first, second)
    if not all(map(_letters, parts)) and not all(map(_is_marked, parts)):
        raise NotAPosition(
            FailureCode.POSITION_NOT_FOUND
        )  # only letters tell where the first of six numbers ends
    latitude, longitude = map(_degrees, parts)
    if HALF_TURN >= abs(latitude) > QUARTER_TURN >= abs(longitude):
        raise NotAPosition(FailureCode.LOOKS_SWAPPED)
    return (
        _within(latitude, limit=QUARTER_TURN, name="latitude"),
        _within(longitude, limit=HALF_TURN, name="longitude"),
    )


def _written_out(typed: str) -> str:
    """Return the numbers of an address of a spot, and other texts as they are."""
    try:
        if link := map_links.found(typed):
            return link.position()
    except map_links.NoSpot as failure:
        raise NotAPosition(failure.code) from None
    located = _GEO.fullmatch(unquote(pasted.bare(typed, keep="-)")))
    return _of_geo(located) if located else typed


def _of_geo(found: re.Match[str]) -> str:
    """Return the two numbers of a `geo:` address (RFC 5870), or those that it searches for."""
    parameters = dict(
        pair.partition("=")[::2] for pair in found["parameters"].casefold().split(";") if pair
    )
    if parameters.get("crs", "wgs84") != "wgs84":
        raise NotAPosition(FailureCode.NOT_WGS84)
    query = parse_qs(found["query"] or "").get("q", [""])[0]
    numbers = _LABELLED.fullmatch(query)
    latitude, longitude = (numbers or found).group("latitude", "longitude")
    if query and not numbers and float(latitude) == float(longitude) == 0:
        raise NotAPosition(FailureCode.SEARCH_ADDRESS)
    return f"{latitude} {longitude}"


def _axis(part: dict[str, str]) -> str:
    """Return which of both a number says that it is, if it does."""
    named = part["named"].casefold()[:3] or _letters(part)[:1]
    return {"N": "lat", "S": "lat", "E": "lon", "W": "lon", "lng": "lon"}.get(named, named)


def _letters(part: dict[str, str]) -> str:
    return "".join(word[:1].upper() for word in (part["letter"], part["end"]))


def _is_marked(part: dict[str, str]) -> bool:
    """Whether each number of an angle shows what it is."""
    has_marks = (part["degree"] or not part["minutes"]) and (part["minute"] or not part["seconds"])
    return bool(has_marks)


def _degrees(part: dict[str, str]) -> float:
    letters = _letters(part)
    if len(letters) > 1 or (letters and part["sign"] == "-"):
        raise NotAPosition(FailureCode.SIGN_AND_LETTER)
    minutes, seconds = float(part["minutes"] or 0), float(part["seconds"] or 0)
    if max(minutes, seconds) >= SIXTY:
        raise NotAPosition(FailureCode.SIXTY_OR_MORE)
    value = float(part["degrees"]) + minutes / SIXTY + seconds / SIXTY**2
    return -value + 0.0 if part["sign"] == "-" or letters in ("S", "W") else value


def _within(value: float, *, limit: float, name: str) -> float:
    if abs(value) > limit:
        raise NotAPosition(FailureCode.NUMBER_OUT_OF_RANGE, name=name, limit=round(limit))
    return value


def distance(here: Located, there: Located) -> float:
    """Return the metres between two positions, by the haversine formula."""
    south, north = math.radians(here.latitude), math.radians(there.latitude)
    across = math.radians(there.longitude - here.longitude)
    chord = (
        math.sin((north - south) / 2) ** 2
        + math.cos(south) * math.cos(north) * math.sin(across / 2) ** 2
    )
    return 2 * EARTH_RADIUS * math.asin(min(1.0, math.sqrt(chord)))


def look_swapped(spots: Sequence[Located], known: Sequence[Located]) -> bool:
    """Whether positions look as though latitude and longitude were exchanged.

    They are far from all spots that are known, and exchanged the middle one is near one of them.
    """
    if not spots or not known:
        return False
    middle = spots[len(spots) // 2]
    if abs(middle.longitude) > 90:  # noqa: PLR2004 -- degrees of latitude
        return False
    exchanged = Coordinates(middle.longitude, middle.latitude)
    away = min(distance(spot, middle) for spot in known)
    return away > FAR and SURELY * min(distance(spot, exchanged) for spot in known) < away


def bearing(here: Located, there: Located) -> float:
    """Return the degrees, clockwise from north, in which one sets out from here to there."""
    if abs(here.latitude) > POLE:
        return 180.0 if here.latitude > 0 else 0.0
    start, end = math.radians(here.latitude), math.radians(there.latitude)
    across = math.radians(there.longitude - here.longitude)
    east = math.sin(across) * math.cos(end)
    north = math.cos(start) * math.sin(end) - math.sin(start) * math.cos(end) * math.cos(across)
    # A hair west of north is 360.0 in floating point, which is north.
    return math.degrees(math.atan2(east, north)) % 360 % 360


def compass(degrees: float) -> str:
    """Name the nearest of the sixteen points of the compass."""
    return COMPASS[math.floor(degrees / 22.5 + 0.5) % len(COMPASS)]
