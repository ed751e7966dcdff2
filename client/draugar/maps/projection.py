"""How much of the world a map shows, and where in it a spot lies.

Mercator on the sphere of `geo.EARTH_RADIUS`: in world units the equator is 1 long, x grows east
from the middle of the map and y south from the latitude where the square world begins.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from draugar.maps.geo import EARTH_RADIUS
from draugar.models import Located

EQUATOR = math.tau * EARTH_RADIUS
"""Metres."""
LATITUDE = 89.9
"""Nearer to the poles Mercator has no room."""
NEAREST = 0.5
"""Metres in a pixel when there is but one spot to show."""


@dataclass(frozen=True)
class View:
    """How much of the world a map shows: pixels to a world unit, and what lies where."""

    width: int
    height: int
    scale: float
    middle: float
    """Longitude of the vertical line in the middle."""
    top: float
    """World y of the upper edge."""

    @classmethod
    def of(cls, width: int, height: int, spots: Sequence[tuple[Located, float]]) -> "View":
        """Show all spots, and the circle about each: its radius in metres."""
        middle = _middle([spot.longitude for spot, _ in spots])
        half, north, south = 0.0, math.inf, -math.inf
        for spot, length in spots:
            y, radius = _world_y(spot.latitude), length / _parallel(spot.latitude)
            half = max(half, abs(turned(spot.longitude - middle)) / 360 + radius)
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
        return self.x(turned(spot.longitude - self.middle)), self.y(spot.latitude)

    def x(self, east: float) -> float:
        """Return the column so many degrees east of the middle."""
        return self.width / 2 + east / 360 * self.scale

    def y(self, latitude: float) -> float:
        """Return the row of a latitude."""
        return (_world_y(latitude) - self.top) * self.scale

    def pixels(self, length: float, latitude: float) -> float:
        """Return the pixels of so many metres there."""
        return length / _parallel(latitude) * self.scale

    def latitude(self, y: float) -> float:
        """Return the latitude of a row."""
        return _latitude(self.top + y / self.scale)

    @property
    def centre(self) -> float:
        """The latitude of the horizontal line in the middle."""
        return self.latitude(self.height / 2)


def _middle(longitudes: Iterable[float]) -> float:
    """Return the longitude about which all lie closest, also across the antimeridian."""
    around_world = sorted({longitude % 360 for longitude in longitudes})
    following = [*around_world[1:], around_world[0] + 360]
    gap, west = max((east - west, east) for west, east in zip(around_world, following, strict=True))
    return turned(west + (360 - gap) / 2)


def turned(longitude: float) -> float:
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
