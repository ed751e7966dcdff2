"""All members on a map: one HTML file that needs no network and no other file.

The page's policy allows this one style and this one script, by their hashes, and nothing from
elsewhere, unless its owner names a host of map tiles.
"""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from string import Template

from draugar.errors import FailureCode, NotPossible
from draugar.maps.geo import Trail
from draugar.maps.nearby import Nearby, around
from draugar.maps.projection import View
from draugar.maps.svg import Sheet, Walker
from draugar.models import Place
from draugar.text.display import ago, clock, degrees, plain, stamp, within

GENERATOR = b'<meta name="generator" content="draugar">'
HEAD = 2048
"""Bytes of a page in which that is."""

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
    people = [_walker(index, trail, now) for index, trail in enumerate(trails)]
    spots = [(fix, 0.0) for person in people for fix in person.fixes]
    spots += [(person.last, person.last.accuracy or 0.0) for person in people]
    sheets = (
        Sheet("wide", View.of(1120, 680, spots), people, places, now, tiles, 110, 150),
        Sheet("narrow", View.of(400, 520, spots), people, places, now, tiles, 85, 100),
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
        legend="\n".join(_entry(person, places, now) for person in people),
        credit=html.escape(_credit(host)),
    )


def _walker(index: int, trail: Trail, now: datetime) -> Walker:
    age = ", ".join(filter(None, (ago(now - trail.fixes[-1].at), trail.note)))
    return Walker(index, plain(trail.name), trail.fixes, age)


def _entry(person: Walker, places: Sequence[Place], now: datetime) -> str:
    """Write the line of the legend."""
    place = _place(around(person.last, places))
    where = f"{place} ({degrees(person.last)})" if place else degrees(person.last)
    seen = f"{person.age}, {clock(person.last.at, now)}"
    if person.last.accuracy:
        seen += f", within {within(person.last.accuracy)}"
    return (
        f'<li class="{person.colour}" data-person="{person.index}">'
        f"<strong><bdi>{html.escape(person.name)}</bdi></strong>"
        f"<span><bdi>{html.escape(where)}</bdi></span><span>{html.escape(seen)}</span></li>"
    )


def _place(nearby: Nearby | None) -> str:
    """Name the place that a person is at, or near."""
    if nearby is None:
        return ""
    name = plain(nearby.place.name)
    return name if nearby.is_at else f"near {name}"


def _lines(people: Sequence[Walker]) -> str:
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
