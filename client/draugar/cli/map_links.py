"""Links of map sites: the one position that a link holds, read without opening it.

Opening it would tell the map site where the family is. Of other sites no link is read: in some of
them the longitude comes first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote_plus, urlsplit

from draugar.errors import FailureCode, NotPossible
from draugar.text import pasted

_LINK = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)
_SITE = re.compile(
    r"(?:[a-z0-9-]+\.)*(?:google(?:\.[a-z]{2,3}){1,2}|apple\.com|openstreetmap\.org|osm\.org"
    r"|bing\.com|waze\.com|osmand\.net)"
)
_PLACES = (
    *("q", "query", "ll", "coordinate", "pin", "sp", "where1"),
    *("daddr", "destination", "address"),
)
"""Parameters that name a spot, and not only which part of the map is shown."""
_VIEWS = ("cp", "center", "map", "sll")
_TWO = r"([+-]?[0-9]+(?:\.[0-9]*)?)"
_BETWEEN = r"(?:[~,_/]|,? )"
_SPOT = re.compile(rf"(?:loc:|point\.)?\s*{_TWO}{_BETWEEN}\s*{_TWO}(?:[,_/ (].*)?", re.DOTALL)
_PIN = re.compile(rf"!3d{_TWO}!4d{_TWO}")
_PART = re.compile(r"/(?:place|search)/([^/@?]+)")
_ANGLES = re.compile(r"[^/@]*[0-9]\u00b0[^/@]*")
_VIEW = re.compile(rf"/@{_TWO},{_TWO}(?:,|$)")


class NoSpot(NotPossible):
    """A link that holds no position, or several; it is never repeated."""


@dataclass(frozen=True)
class MapLink:
    """A link to a map."""

    url: SplitResult = field(repr=False)

    def position(self) -> str:
        """Return the position of its spot as text, or of what it shows. Raises NoSpot."""
        if _SITE.fullmatch((self.url.hostname or "").lower()):
            for spots in self._spots():
                if len(spots) > 1:
                    raise NoSpot(FailureCode.MAP_LINK_AMBIGUOUS)
                if spots:
                    return spots.pop()
        raise NoSpot(FailureCode.MAP_LINK_WITHOUT_POSITION)

    def _spots(self) -> Iterator[set[str]]:
        """Yield what names positions, the surest first."""
        said = parse_qs(self.url.query)
        fragment = parse_qs(self.url.fragment)
        path = unquote_plus(self.url.path)
        yield {" ".join(pin) for pin in _PIN.findall(self.url.path)}
        yield {
            f"{latitude} {longitude}"
            for latitude in said.get("mlat", ())
            for longitude in said.get("mlon", ())
        }
        yield _read(value for name in _PLACES for value in said.get(name, ()))
        parts = _PART.findall(path)
        yield _read(parts) or {part for part in parts if _ANGLES.fullmatch(part)}
        yield {" ".join(view) for view in _VIEW.findall(self.url.path)}
        yield _read(
            value.partition("/")[2] if name == "map" and "/" in value else value
            for parameters in (said, fragment)
            for name in _VIEWS
            for value in parameters.get(name, ())
        )


def found(text: str) -> MapLink | None:
    """Find the link in a text, if there is one. Raises NoSpot for several."""
    links = {pasted.bare(link, keep="/") for link in _LINK.findall(text)}
    if len(links) > 1:
        raise NoSpot(FailureCode.SEVERAL_MAP_LINKS)
    try:
        return MapLink(urlsplit(links.pop())) if links else None
    except ValueError:
        raise NoSpot(FailureCode.MAP_LINK_DAMAGED) from None


def _read(values: Iterator[str] | list[str]) -> set[str]:
    return {" ".join(spot.groups()) for spot in map(_SPOT.fullmatch, values) if spot}
