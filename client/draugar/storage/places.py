"""Places that a member has named: home, school, grandmother's.

They lie sealed in the home of this device, and go with it. They are never sent.
"""

from collections.abc import Iterable
from dataclasses import asdict

from draugar.errors import FailureCode, NotPossible, Unknown
from draugar.models import Place
from draugar.protocol.json import from_base64url, to_base64url
from draugar.storage.home import Home
from draugar.text.naming import same

_FACT = "places"


class NameTaken(NotPossible):
    """Two places of one name could not be told apart."""

    code = FailureCode.PLACE_NAME_TAKEN


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
            raise Unknown(FailureCode.PLACE_UNKNOWN)
        _keep(home, left)


def _keep(home: Home, places: Iterable[Place]) -> None:
    ordered = sorted(places, key=lambda place: same(place.name))
    sealed = home.seal_json([asdict(place) for place in ordered])
    home.remember(_FACT, to_base64url(sealed))


def _is_called(place: Place, name: str) -> bool:
    return same(place.name) == same(name)
