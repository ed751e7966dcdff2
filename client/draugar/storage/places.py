"""Places that a member has named: home, school, grandmother's.

They lie sealed in the home of this device, and go with it. They are never sent.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from draugar.errors import NotPossible, Unknown
from draugar.maps.geo import distance
from draugar.models import Fix
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.naming import same
from draugar.storage.home import Home

RADIUS = 150
"""Metres within which a person is at a place, unless its owner says otherwise."""
SLACK = 100
"""Metres by which a fix and its accuracy may reach beyond a place that is still named."""
NEAR = 3
"""Times as far, a person is said to be near the place."""
_FACT = "places"


class NameTaken(NotPossible):
    """Two places of one name could not be told apart."""

    text = "You have a place of this name already."
    advice = "Choose another name, or remove that place first: draugar places remove NAME"


@dataclass(frozen=True)
class Place:
    """A circle with a name; the radius in metres."""

    name: str = field(repr=False)
    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    radius: float = RADIUS


def listed(home: Home) -> list[Place]:
    """Return all places, by name."""
    sealed = home.recall(_FACT)
    return [Place(**place) for place in home.unseal_json(from_base64url(sealed))] if sealed else []


def add(home: Home, place: Place) -> None:
    """Keep a place. Raises NameTaken."""
    with home.transaction():
        known = listed(home)
        if any(_is_called(other, place.name) for other in known):
            raise NameTaken
        _keep(home, [*known, place])


def remove(home: Home, name: str) -> None:
    """Forget a place. Raises Unknown."""
    with home.transaction():
        known = listed(home)
        left = [place for place in known if not _is_called(place, name)]
        if left == known:
            raise Unknown(
                "You have no place of this name.", advice="See your places: draugar places"
            )
        _keep(home, left)


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


def _keep(home: Home, places: Iterable[Place]) -> None:
    ordered = sorted(places, key=lambda place: same(place.name))
    sealed = home.seal_json([asdict(place) for place in ordered])
    home.remember(_FACT, to_base64url(sealed))


def _is_called(place: Place, name: str) -> bool:
    return same(place.name) == same(name)
