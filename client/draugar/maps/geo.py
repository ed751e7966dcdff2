"""Positions on the earth: how far apart they are, and which way.

Degrees of WGS 84 throughout, as phones and GPX files give them. Distances are great circles on a
sphere of the ellipsoid's mean radius: wrong by at most 0.6 %, which nobody sees in "2.3 km NE".
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from draugar.models import Coordinates, Fix, Located

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
QUARTER_TURN, HALF_TURN = 90.0, 180.0
"""Degrees: the most of a latitude, and of a longitude."""


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


def is_gap(here: Fix, there: Fix) -> bool:
    """Whether reception was lost between two fixes that follow each other."""
    return there.at - here.at > GAP


def decimal(text: str, *, limit: float) -> float | None:
    """Read a decimal number from -limit to limit; None is no such number."""
    text = text.strip()
    # What Python reads beyond a decimal number (1_0, infinity, other scripts' digits) is a
    # mistake in a position.
    if not text or set(text) - set("0123456789+-.eE"):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value + 0.0 if abs(value) <= limit else None  # and not -0.0


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
