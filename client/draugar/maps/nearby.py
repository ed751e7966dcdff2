"""Which of the places that a member has named a position is at, or near."""

from collections.abc import Iterable
from dataclasses import dataclass

from draugar.maps.geo import distance
from draugar.models import Fix, Place

SLACK = 100
"""Metres by which a fix and its accuracy may reach beyond a place that is still named."""
NEAR = 3
"""Times as far, a person is said to be near the place."""


@dataclass(frozen=True)
class Nearby:
    """A place that a fix is at, or only near."""

    place: Place
    is_at: bool


def around(fix: Fix, places: Iterable[Place]) -> Nearby | None:
    """Return the place that a fix is at, else the place that it is near.

    Its accuracy counts as a distance: the device may be anywhere within it. Of several places that
    the fix is at, the smallest is meant; of those that it is near, the nearest.
    """
    reaches = [(distance(fix, place) + (fix.accuracy or 0), place) for place in places]
    at = [place for reach, place in reaches if reach <= place.radius + SLACK]
    if at:
        return Nearby(min(at, key=lambda place: place.radius), is_at=True)
    near = [(reach, place) for reach, place in reaches if reach <= NEAR * (place.radius + SLACK)]
    if near:
        return Nearby(min(near, key=lambda found: found[0])[1], is_at=False)
    return None
