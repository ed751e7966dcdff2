"""How lengths, times, positions and the names that others chose are written for people."""

import re
from datetime import UTC, datetime, timedelta

from draugar.models import Located

REPLACEMENT = "\ufffd"
_STEERS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]")
"""Controls, embeddings, overrides and isolates of directions, annotations, half characters."""
_BLANK = re.compile("[\u2028\u2029]|[^\\S ]")
KILOMETRE = 1000
LONG = 10_000
"""Metres from which nobody asks for hundreds."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def plain(text: str) -> str:
    """Return others' text without what controls a terminal or turns the direction of writing.

    What steers nothing stays: marks of scripts, flags, characters that this Python does not know.
    """
    return _BLANK.sub(" ", _STEERS.sub(REPLACEMENT, text))


def metres(length: float) -> str:
    """Write a length: 12 m, 850 m, 2.3 km, 1,240 km."""
    if round(length) < KILOMETRE:
        return f"{length:.0f} m"
    if length < LONG:
        return f"{length / KILOMETRE:.1f} km"
    return f"{length / KILOMETRE:,.0f} km"


def within(accuracy: float | None) -> str:
    """Write how far off a fix may be; nothing where that is unknown."""
    return metres(max(1.0, accuracy)) if accuracy else ""


def ago(age: timedelta) -> str:
    """Write how long ago something was."""
    if age < MINUTE:
        return "just now"
    if age < HOUR:
        return f"{age // MINUTE} min ago"
    if age < 2 * DAY:
        return f"{age // HOUR} h ago"
    return f"{age // DAY} days ago"


def clock(at: datetime, now: datetime | None = None) -> str:
    """Write a time as a person here reads it, without the date on the day of `now`."""
    local = at.astimezone()
    if now and local.date() == now.astimezone().date():
        return f"{local:%H:%M}"
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"


def stamp(at: datetime) -> str:
    """Write a time as programs read it, to the millisecond (or finer, where it is), in UTC."""
    precision = "microseconds" if at.microsecond % 1000 else "milliseconds"
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def degrees(spot: Located) -> str:
    """Write a position to the metre, as maps and GPS devices read it."""
    return f"{spot.latitude:z.5f}, {spot.longitude:z.5f}"
