"""Pausing, as far as this device sees to it itself.

The service takes nothing of somebody who has paused, their phones' positions neither. What was
sealed and sent all the same it could keep, and hand to somebody who has the key. So a device sends
nothing of a group in which sharing was paused on it, and says so when the service shares again.
"""

from datetime import UTC, datetime
from uuid import UUID

from draugar.api import Api
from draugar.home import Home
from draugar.model import Kind
from draugar.teller import Teller

_FACT = "paused "
_FOR_EVER = "for ever"


def begin(home: Home, group_id: UUID, *, until: datetime | None) -> None:
    """Remember a pause that the service knows of."""
    end = _FOR_EVER if until is None else until.astimezone(UTC).isoformat()
    home.remember(f"{_FACT}{group_id}", end)


def end(home: Home, group_id: UUID) -> None:
    """Share again."""
    home.do("DELETE FROM facts WHERE name = :name", name=f"{_FACT}{group_id}")


def is_on(home: Home, group_id: UUID) -> bool:
    """Whether sharing was paused here, and still is."""
    until = home.recall(f"{_FACT}{group_id}")
    if until is None:
        return False
    return until == _FOR_EVER or datetime.fromisoformat(until) > datetime.now(UTC)


def mind(home: Home, api: Api, teller: Teller) -> None:
    """Tell where the service has ended a pause; it is asked only while there is one."""
    if home.row("SELECT 1 FROM facts WHERE name LIKE :some", some=f"{_FACT}%") is None:
        return
    for group in api.groups():
        if not group.is_paused and is_on(home, group.id):
            teller.warn(
                Kind.PAUSE_ENDED,
                f"You have paused sharing with {group.name} here, and the service says that you"
                " share: another device of yours has ended the pause, or the service has. Phones"
                " with OwnTracks share again. Next: draugar pause, or draugar resume",
                group_id=group.id,
            )
