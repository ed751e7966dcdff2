"""Positions as people type them, and as maps copy them."""

import re
from urllib.parse import parse_qs, unquote

from draugar.cli import map_links
from draugar.errors import FailureCode, NotPossible
from draugar.maps.geo import HALF_TURN, QUARTER_TURN
from draugar.models import Coordinates
from draugar.text import pasted

SIXTY = 60.0

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


def parse_position(latitude: str, longitude: str = "") -> Coordinates:
    """Read a position as people type it and as maps show it, in one text or in two.

    Decimal degrees or degrees, minutes and seconds, with a sign or a letter of the compass, or
    a `geo:` address, or a link of a map site: `64.1466, -21.9426`,
    `64\u00b0 8' 47.8" N 21\u00b0 56' 33.4" W`. Raises NotAPosition.
    """
    return Coordinates(*_read(f"{latitude} {longitude}"))


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
