"""Reading: groups, where everybody is and was, and all that is stored of oneself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from draugar.answers import ListedGroup, StoredPoint
from draugar.api import Api
from draugar.crypto import NotAuthentic, open_location
from draugar.errors import AnswerNotUnderstood
from draugar.exchange import Exchange, View
from draugar.home import Home
from draugar.model import Group, KeyState, Kind, Position
from draugar.points import CLOCKS_DIFFER, Reader, belongs
from draugar.ring import Ring
from draugar.teller import Teller

_MOST_PAGES = 20_000
_PAGES_BACK = 3


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whose points, and of when their fixes are."""

    user_id: UUID | None
    since: datetime | None
    until: datetime | None


def group(home: Home, listed: ListedGroup) -> Group:
    """Present a group, with what this device can do in it."""
    highest = Ring(home, listed.id).highest
    if highest == 0 == listed.key_version:
        state = KeyState.MISSING
    else:
        state = KeyState.READY if highest == listed.key_version else KeyState.PENDING
    said = {name: value for name, value in vars(listed).items() if name != "key_package"}
    return Group(**said, key_state=state)


def where(home: Home, api: Api, exchange: Exchange, teller: Teller, view: View) -> list[Position]:
    """Return the current position of everybody, by name. Raises KeyPending."""
    _require_readable(home, view)
    stored = api.latest(view.group_id)
    if any(point.key_version > view.key_version for point in stored):
        view = exchange.update(view.group_id)  # the key has just been changed
        _require_readable(home, view)
    reader = Reader(home, teller, view.census)
    latest: dict[UUID, Position] = {}
    for position in reader.believe(stored):
        known = latest.get(position.user_id)
        if known is None or _supersedes(position, known):
            latest[position.user_id] = position
    is_late = {
        user_id
        for user_id, position in latest.items()
        if position.is_old and position.device_id in view.census.phones
    }
    for user_id in reader.passed_over | is_late:
        before = _look_back(api, reader, view, user_id)
        if before is not None:
            latest[user_id] = before
    reader.report()
    _tell_of_less(home, teller, view, stored, latest)
    return sorted(latest.values(), key=lambda position: (position.name, position.user_id))


def history(home: Home, api: Api, teller: Teller, view: View, wanted: Wanted) -> Iterator[Position]:
    """Yield points, newest first by when they were sent. Raises KeyPending."""
    _require_readable(home, view)
    return _history(home, api, teller, view, wanted)


def _history(
    home: Home, api: Api, teller: Teller, view: View, wanted: Wanted
) -> Iterator[Position]:
    query = {"groupId": str(view.group_id)}
    if wanted.user_id is not None:
        query["userId"] = str(wanted.user_id)
    if wanted.since is not None:
        # The service knows when a point was sent: that is not before its fix, but for the clocks.
        query["from"] = (wanted.since.astimezone(UTC) - CLOCKS_DIFFER).isoformat()
    reader = Reader(home, teller, view.census)
    met: set[str] = set()
    for _ in range(_MOST_PAGES):
        page, cursor = api.history(query)
        for position in reader.believe(page):
            is_asked = wanted.user_id in (None, position.user_id)
            at = position.fix.at
            is_late = wanted.until is not None and at >= wanted.until
            if is_asked and not is_late and (wanted.since is None or at >= wanted.since):
                yield position
        if cursor is None:
            reader.report()
            return
        if cursor in met:
            break
        met.add(cursor)
        query["cursor"] = cursor
    raise AnswerNotUnderstood  # pages that never end


def export(home: Home, api: Api, teller: Teller) -> dict[str, Any]:
    """Return all that is stored about the caller, as the service has it, with points opened.

    What is not a point of the caller's stays sealed.
    """
    everything: dict[str, Any] = {}
    locations: list[dict[str, Any]] = []
    strange = 0
    cursor: str | None = None
    met: set[str] = set()
    while True:
        page, points, cursor = api.export(cursor)
        everything = everything or page
        for raw, point in zip(page["locations"], points, strict=True):
            try:
                locations.append({**raw, **_opened(home, point)})
            except NotAuthentic:
                locations.append(raw)
                strange += 1
        if cursor is None:
            break
        if cursor in met:
            raise AnswerNotUnderstood
        met.add(cursor)
    if strange:
        teller.warn(
            Kind.POINTS_DROPPED,
            f"The service lists {strange} of {len(locations)} points as yours that this device"
            " cannot verify. They are in the file as they came, and were not opened.",
        )
    return {**everything, "locations": locations, "nextCursor": None}


def _supersedes(position: Position, known: Position) -> bool:
    """Whether a position is the present one, though the service shows another one too."""
    if position.is_old != known.is_old:
        return known.is_old
    # Of one device the later read is the newer, or it would be old.
    return position.device_id == known.device_id or position.fix.at > known.fix.at


def _look_back(api: Api, reader: Reader, view: View, user_id: UUID) -> Position | None:
    """Return the newest position of somebody whose newest point is none, or an older one.

    Of what a phone with OwnTracks seals the service knows neither kind nor time: only when it came.
    """
    found: Position | None = None
    query = {"groupId": str(view.group_id), "userId": str(user_id)}
    for _ in range(_PAGES_BACK):
        page, cursor = api.history(query)
        for position in reader.believe(page):
            is_theirs = position.user_id == user_id
            if is_theirs and (found is None or _supersedes(position, found)):
                found = position
        if found is not None or cursor is None:
            break
        query["cursor"] = cursor
    return found


def _opened(home: Home, point: StoredPoint) -> dict[str, Any]:
    """Return what a point of one's own says. Raises NotAuthentic."""
    key = Ring(home, point.group_id).key(point.key_version)
    if key is None or point.sealed is None:
        return {}
    content = open_location(point.sealed, key)
    if point.user_id != home.me().user_id or not belongs(content, point):
        raise NotAuthentic
    return {"opened": content}


def _require_readable(home: Home, view: View) -> None:
    # A group that never had a key, as far as this device knows, is read as it is.
    if view.key_version > 0 or Ring(home, view.group_id).is_keyed:
        view.require_key()


def _tell_of_less(
    home: Home,
    teller: Teller,
    view: View,
    stored: list[StoredPoint],
    latest: dict[UUID, Position],
) -> None:
    """Tell where the service shows less than this device has seen."""
    less = {position.user_id: position.name for position in latest.values() if position.is_old}
    shown = {point.user_id for point in stored}
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    for row in home.rows(
        "SELECT * FROM seen WHERE group_id = :group AND at > :since",
        group=view.group_id,
        since=yesterday,  # no group keeps its points for less
    ):
        owner = view.census.owner(UUID(row["device_id"]))
        if owner is not None and owner.user_id not in shown:
            less[owner.user_id] = owner.name
    for user_id, name in less.items():
        teller.warn(
            Kind.OLDER_THAN_SEEN,
            f"The service shows less of {name} than it did before: either they have deleted"
            " points, or the service withholds them.",
            group_id=view.group_id,
            once=f"{user_id} {latest[user_id].point_id if user_id in latest else None}",
        )
