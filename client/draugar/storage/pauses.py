"""Pauses of this device, and what of them the service has still to be told."""

from datetime import UTC, datetime
from uuid import UUID

from draugar.storage.home import Home

_FACT = "paused "
_UNTOLD = "sharing to be told "
FOR_EVER = "for ever"
NOT = "not"


def begin(home: Home, group_id: UUID, *, until: datetime | None) -> None:
    """Pause here, and note that the service has to be told."""
    end = FOR_EVER if until is None else until.astimezone(UTC).isoformat()
    with home.transaction():
        home.remember(f"{_FACT}{group_id}", end)
        home.remember(f"{_UNTOLD}{group_id}", end)


def end(home: Home, group_id: UUID) -> None:
    """Share again here, and note that the service has to be told."""
    with home.transaction():
        home.forget(f"{_FACT}{group_id}")
        home.remember(f"{_UNTOLD}{group_id}", NOT)


def forget(home: Home, group_id: UUID) -> None:
    """Forget a pause, of a group that the member is not in any more."""
    for fact in (_FACT, _UNTOLD):
        home.forget(f"{fact}{group_id}")


def is_on(home: Home, group_id: UUID) -> bool:
    """Whether sharing was paused here, and still is."""
    end = home.recall(f"{_FACT}{group_id}")
    return end is not None and is_ahead(end)


def until(home: Home, group_id: UUID) -> datetime | None:
    """Return when a pause that is on ends by itself, if it does."""
    end = home.recall(f"{_FACT}{group_id}")
    return None if end in (None, FOR_EVER) else datetime.fromisoformat(end)


def are_any(home: Home) -> bool:
    """Whether there is a pause in any group."""
    return bool(home.recall_all(_FACT))


def untold(home: Home) -> list[UUID]:
    """Return the groups of which the service has still to be told."""
    return [UUID(about) for about in home.recall_all(_UNTOLD)]


def wanted(home: Home, group_id: UUID) -> str | None:
    """Return what the service has to be told: FOR_EVER, NOT or an end; None: nothing."""
    found: str | None = home.recall(f"{_UNTOLD}{group_id}")
    return found


def note_told(home: Home, group_id: UUID, told: str) -> None:
    """Note what the service was told."""
    # Another command may have decided otherwise meanwhile: that is still to be told.
    home.forget(f"{_UNTOLD}{group_id}", value=told)


def is_ahead(end: str) -> bool:
    """Whether a pause is not over."""
    return end == FOR_EVER or datetime.fromisoformat(end) > datetime.now(UTC)
