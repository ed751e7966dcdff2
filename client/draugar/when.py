"""Times as people type them."""

import re
from datetime import datetime, timedelta

from draugar.errors import NotPossible

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class NotATime(NotPossible):
    """What was given is no time."""

    text = "This is not a time."
    advice = "Write 2h, 3d, 18:30, 2026-08-05 or '2026-08-05 18:30'; it means your own time zone."


def moment(text: str, now: datetime, *, is_ahead: bool = False) -> datetime:
    """Read a span (2h: so long ago, or ahead), a time of day, a date, or a date and time.

    Without a zone it means the zone of this machine. Raises NotATime.
    """
    typed = text.strip()
    try:
        if span := re.fullmatch("([0-9]{1,4}) ?([mhdw])", typed):
            length = timedelta(**{UNITS[span[2]]: int(span[1])})
            return now + length if is_ahead else now - length
        if re.fullmatch("[0-9]{1,2}:[0-9]{2}", typed):
            hour, minute = map(int, typed.split(":"))
            at = now.astimezone().replace(hour=hour, minute=minute, second=0, microsecond=0)
            return at + timedelta(days=is_ahead and at <= now)
        return datetime.fromisoformat(typed).astimezone()
    except (ValueError, OverflowError, OSError):
        raise NotATime from None
