"""Times as people type them: spans, times of day, dates.

What names no zone is the wall time of this machine's zone on the date that it falls on, with the
offset that holds there then: not the offset of the moment of typing.

Clock changes follow RFC 5545, 3.3.5. A time that the clocks leave out is read with the offset from
before the change: where 02:00 to 03:00 is left out, 02:30 is 03:30. Of a time that comes twice, the
first is meant where a range begins, and the second where a range or a pause ends: a range covers
all that its words can mean, and a pause never ends sooner than was asked for.
"""

import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta

from draugar.cli.failures import CommandFailure
from draugar.cli.refusals import Text
from draugar.text import pasted
from draugar.text.display import clock

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY = timedelta(days=1)
_TIME_OF_DAY = re.compile("([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_END_OF_DAY = re.compile("24:00(?::00)?")
_LISTED = "%a %d %b %Y, %H:%M"
"""As `render.clock` writes a time."""


class NotATime(CommandFailure):
    """What was given is no time."""

    text = Text(
        "This is not a time.",
        "Write 2h, 3d, 18:30, 2026-08-05 or '2026-08-05 18:30', in your own time zone, as in:"
        " draugar history --from 2h",
    )


class EmptyRange(CommandFailure):
    """A range that ends before it begins, or as it begins."""

    text = Text(
        "This range is empty.",
        "Nothing was read or deleted. Give --from an earlier time than --to, as in: draugar history"
        " --from 3h --to 1h",
    )


def parse_time(
    text: str, now: datetime, *, is_ahead: bool = False, is_end: bool = False
) -> datetime:
    """Read a span (2h: so long ago, or ahead), a time of day, a date, or a date and time.

    A date and time may also be as draugar shows it: Wed 5 Aug 2026, 18:30. 24:00 ends a day. A time
    of day is the last one there was, or with `is_ahead` the next one. `is_end` says that a
    range ends there; what is ahead is always an end. Raises NotATime.
    """
    typed = _cleaned(text)
    is_end = is_end or is_ahead
    try:
        if span := re.fullmatch("([0-9]{1,4}) ?([mhdw])", typed):
            length = timedelta(**{UNITS[span[2]]: int(span[1])})
            return now + length if is_ahead else now - length
        if at := _time_of_day(typed):
            return _next(at, now) if is_ahead else _last(at, now, is_end=is_end)
        return _local(_dated(typed), is_end=is_end)
    except (ValueError, OverflowError, OSError):
        raise NotATime from None


def between(
    since: str | None, until: str | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Read both ends of a range of the past; None is an end that was not given.

    A time of day that ends it is the last one, or today's where only that follows the beginning:
    `--from 08:00 --to 18:00` in the afternoon means today, and so does `--to 24:00`.
    Raises NotATime, EmptyRange.
    """
    start = parse_time(since, now) if since is not None else None
    end = parse_time(until, now, is_end=True) if until is not None else None
    ends = _cleaned(until or "")
    if start and end and end <= start and (at := _time_of_day(ends)):
        is_end_of_day = _END_OF_DAY.fullmatch(ends) is not None
        day = now.astimezone().date() + _DAY * (at == time())
        ahead = _on(day, at, is_end=True)
        # The same time of day at both ends is no range, whatever the time is now.
        is_range = is_end_of_day or at != _time_of_day(_cleaned(since or ""))
        end = ahead if is_range and ahead > now > start else end
    if start and start >= (end or now):
        raise EmptyRange(
            f"This range is empty: it would begin {clock(start)} and end {clock(end or now)}."
        )
    return start, end


def _cleaned(text: str) -> str:
    """Return a time as it was pasted in one form; a hyphen before it is no part of one."""
    return " ".join(pasted.bare(pasted.cleaned(text), keep="-+").split())


def _time_of_day(typed: str) -> time | None:
    """Return a time of day, or None for another text. Raises ValueError."""
    if _END_OF_DAY.fullmatch(typed):
        return time()
    found = _TIME_OF_DAY.fullmatch(typed)
    return time(int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _dated(typed: str) -> datetime:
    """Read a date, or a date and time. Raises ValueError, OverflowError."""
    with suppress(ValueError):
        return datetime.strptime(typed, _LISTED)  # noqa: DTZ007 -- a wall time
    day, hour = typed[:10], typed[11:]
    if _END_OF_DAY.fullmatch(hour):
        return datetime.fromisoformat(day) + _DAY
    return datetime.fromisoformat(typed)


def _next(at: time, now: datetime) -> datetime:
    today = now.astimezone().date()
    ahead = _on(today, at, is_end=True)
    return ahead if ahead > now else _on(today + _DAY, at, is_end=True)


def _last(at: time, now: datetime, *, is_end: bool) -> datetime:
    today = now.astimezone().date()
    day = today if _on(today, at, is_end=False) <= now else today - _DAY
    return _on(day, at, is_end=is_end)


def _on(day: date, at: time, *, is_end: bool) -> datetime:
    return _local(datetime.combine(day, at), is_end=is_end)


def _local(at: datetime, *, is_end: bool) -> datetime:
    """Return the moment of a wall time of this machine's zone; what has an offset keeps it."""
    if at.tzinfo is not None:
        return at.astimezone()
    either = [at.replace(fold=fold).astimezone() for fold in (0, 1)]
    # Where the clocks leave the time out, neither shows it.
    shown = [one for one in either if one.replace(tzinfo=None, fold=0) == at]
    return min(shown) if shown and not is_end else max(shown or either)
