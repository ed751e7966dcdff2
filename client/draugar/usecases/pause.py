"""Pausing: on this device at once, and at the service as soon as it answers.

The service takes nothing of a person who has paused, nor of their phones. What was sealed and sent
all the same it could keep, and hand to a person who has the key. So a device sends nothing of a
group in which sharing was paused on it, and says so when the service shares again.
"""

from datetime import UTC, datetime
from uuid import UUID

from draugar.errors import Refused
from draugar.models import Code
from draugar.service.api import Api
from draugar.storage.home import Home
from draugar.usecases.notify import Notifier

_FACT = "paused "
_UNTOLD = "sharing to be told "
_FOR_EVER = "for ever"
_NOT = "not"


def begin(home: Home, group_id: UUID, *, until: datetime | None) -> None:
    """Pause here, and note that the service has to be told."""
    end = _FOR_EVER if until is None else until.astimezone(UTC).isoformat()
    with home.transaction():
        home.remember(f"{_FACT}{group_id}", end)
        home.remember(f"{_UNTOLD}{group_id}", end)


def end(home: Home, group_id: UUID) -> None:
    """Share again here, and note that the service has to be told."""
    with home.transaction():
        home.do("DELETE FROM facts WHERE name = :name", name=f"{_FACT}{group_id}")
        home.remember(f"{_UNTOLD}{group_id}", _NOT)


def forget(home: Home, group_id: UUID) -> None:
    """Forget a pause, of a group that the member is not in any more."""
    for fact in (_FACT, _UNTOLD):
        home.do("DELETE FROM facts WHERE name = :name", name=f"{fact}{group_id}")


def is_on(home: Home, group_id: UUID) -> bool:
    """Whether sharing was paused here, and still is."""
    until = home.recall(f"{_FACT}{group_id}")
    return until is not None and _is_ahead(until)


def until(home: Home, group_id: UUID) -> datetime | None:
    """Return when a pause that is on ends by itself, if it does."""
    end = home.recall(f"{_FACT}{group_id}")
    return None if end in (None, _FOR_EVER) else datetime.fromisoformat(end)


def tell_service(home: Home, api: Api, group_id: UUID) -> None:
    """Tell the service what was last decided here and it does not know yet.

    Raises ServiceFailure; a refusal is not repeated.
    """
    name = f"{_UNTOLD}{group_id}"
    wanted = home.recall(name)
    if wanted is None:
        return
    try:
        if wanted == _NOT:
            api.set_sharing(group_id, paused=False, until=None)
        elif _is_ahead(wanted):
            end = None if wanted == _FOR_EVER else datetime.fromisoformat(wanted)
            api.set_sharing(group_id, paused=True, until=end)
    except Refused:
        _note_told(home, name, wanted)
        raise
    _note_told(home, name, wanted)


def check(home: Home, api: Api, teller: Notifier) -> None:
    """Tell the service what it has missed, and the member where it has ended a pause.

    It is asked only while there is a pause.
    """
    for row in home.rows("SELECT name FROM facts WHERE name LIKE :some", some=f"{_UNTOLD}%"):
        try:
            tell_service(home, api, UUID(row["name"].removeprefix(_UNTOLD)))
        except Refused:
            continue  # the member has left meanwhile, or the pause is over by the service's clock
    if home.row("SELECT 1 FROM facts WHERE name LIKE :some", some=f"{_FACT}%") is None:
        return
    for group in api.groups():
        if not group.is_paused and is_on(home, group.id):
            teller.tell(Code.PAUSE_ENDED, group_id=group.id, group=group.name)


def _is_ahead(end: str) -> bool:
    return end == _FOR_EVER or datetime.fromisoformat(end) > datetime.now(UTC)


def _note_told(home: Home, name: str, wanted: str) -> None:
    # Another command may have decided otherwise meanwhile: that is still to be told.
    home.do("DELETE FROM facts WHERE name = :name AND value = :value", name=name, value=wanted)
