"""Reading: groups, where everybody is and was, and all that is stored of oneself."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from draugar.errors import AnswerNotUnderstood
from draugar.models import Code, Group, KeyState, Position, StoredPoint, newest
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.locations import LARGEST_MESSAGE, open_location
from draugar.protocol.times import CLOCKS_DIFFER
from draugar.service.api import PAGE, Api
from draugar.service.responses import ListedGroup
from draugar.trust.directory import DeviceDirectory
from draugar.trust.points import belongs
from draugar.trust.state import GroupState, Seen
from draugar.usecases import sync
from draugar.usecases.context import Context
from draugar.usecases.receive import Reader
from draugar.usecases.sync import GroupSnapshot

_MOST_PAGES = 20_000
_MOST_POINTS_BACK = 3000
_LONGEST_BACK = 10.0  # seconds
_DAY = 86_400
_TIME_ORDERED = 7  # the version of a UUID
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whose points, and of when their fixes are."""

    user_id: UUID | None
    since: datetime | None
    until: datetime | None


def group(context: Context, listed: ListedGroup) -> Group:
    """Present a group, with what this device can do in it."""
    highest = context.group(listed.id).highest
    if highest == 0 == listed.key_version:
        state = KeyState.MISSING
    else:
        state = KeyState.READY if highest == listed.key_version else KeyState.PENDING
    said = {
        name: value
        for name, value in vars(listed).items()
        if name not in ("key_package", "browsers")
    }
    return Group(**said, key_state=state)


def where(context: Context, view: GroupSnapshot) -> list[Position]:
    """Return the present position of each member, by name. Raises KeyPending.

    That is the newest by its own time of all that can be believed, whenever it arrived and from
    whichever device.
    """
    _require_readable(context, view)
    stored = context.api.latest(view.group_id)
    if any(point.key_version > view.key_version for point in stored):
        view = sync.update(context, view.group_id)  # the key has just been changed
        _require_readable(context, view)
    reader = Reader(context, view.directory)
    present = newest(reader.believe(stored))
    search = _Search(context.api, reader, view.group_id)
    due = _due_for_a_search(stored, present, search.seen, view.directory)
    for user_id in sorted(due, key=lambda user_id: _age(present.get(user_id))):
        found = search.newest_of(user_id, present.get(user_id))
        if found is not None:
            present[user_id] = found
    less = _fill_in(present, search, view.directory)
    reader.report()
    _tell_of_less(context, view, less, present)
    for user_id in search.ended_early - less:
        _tell_of_the_end(context, view, user_id)
    shown = [
        replace(position, silent=view.directory.silent_beside(position))
        for position in present.values()
    ]
    return sorted(shown, key=lambda position: (position.name, position.user_id))


def history(context: Context, view: GroupSnapshot, wanted: Wanted) -> Iterator[Position]:
    """Yield points, newest first by the times in their ids. Raises KeyPending.

    A fix that was shared once more for a newcomer is left out where there is another point of it.
    """
    _require_readable(context, view)
    return _once(_history(context, view, wanted))


def _once(positions: Iterable[Position]) -> Iterator[Position]:
    # A repeat is newer by its id, so it comes first. The id of the point that it repeats is no
    # older than the fix.
    waiting: dict[tuple[UUID, datetime], Position] = {}
    for position in positions:
        for subject, repeat in list(waiting.items()):
            if _recorded_at(position) < repeat.fix.at:
                yield waiting.pop(subject)
        subject = (position.device_id, position.fix.at)
        if position.is_repeat:
            waiting.setdefault(subject, position)
        else:
            waiting.pop(subject, None)
            yield position
    yield from waiting.values()


def _history(context: Context, view: GroupSnapshot, wanted: Wanted) -> Iterator[Position]:
    query = {"groupId": str(view.group_id)}
    if wanted.user_id is not None:
        query["userId"] = str(wanted.user_id)
    if wanted.since is not None:
        # The service knows the time in a point's id. It is that of the fix, or later; a clock that
        # is ahead makes the fix later than that, by no more than this.
        query["from"] = (wanted.since.astimezone(UTC) - CLOCKS_DIFFER).isoformat()
    reader = Reader(context, view.directory)
    met: set[str] = set()
    for _ in range(_MOST_PAGES):
        page, cursor = context.api.history(query)
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


def export(context: Context) -> dict[str, Any]:
    """Return all that is stored about the caller, as the service has it, with points opened.

    What is not a point of the caller's stays sealed.
    """
    group = cache(context.group)
    everything: dict[str, Any] = {}
    locations: list[dict[str, Any]] = []
    strange = 0
    cursor: str | None = None
    met: set[str] = set()
    while True:
        page, points, cursor = context.api.export(cursor)
        everything = everything or page
        for raw, point in zip(page["locations"], points, strict=True):
            try:
                locations.append({**raw, **_opened(group(point.group_id), point)})
            except NotAuthentic:
                locations.append(raw)
                strange += 1
        if cursor is None:
            break
        if cursor in met:
            raise AnswerNotUnderstood
        met.add(cursor)
    if strange:
        context.tell(Code.EXPORT_UNVERIFIED, count=strange, total=len(locations))
    return {**everything, "locations": locations, "nextCursor": None}


def _due_for_a_search(
    stored: Iterable[StoredPoint],
    present: Mapping[UUID, Position],
    seen: Iterable[UUID],
    directory: DeviceDirectory,
) -> set[UUID]:
    """Return of whom the service's newest point need not be the newest position.

    It goes by the time in the id. Of our own points that is the time of the fix. Of what a phone
    with OwnTracks seals, and of what is older than the group keeps points, it is a later one.
    `seen` are the devices of which this one has seen points.
    """
    shown = {point.user_id for point in stored}
    shown |= {owner.user_id for owner in map(directory.owner, seen) if owner is not None}
    carriers = {person.user_id for person, _ in directory.phones.values()}
    due = set()
    for person in directory.people:
        known = present.get(person.user_id)
        if known is None:
            is_due = person.user_id in shown
        else:
            is_late = _recorded_at(known) - known.fix.at >= timedelta(seconds=1)
            is_due = known.key_version is not None and (is_late or person.user_id in carriers)
        if is_due:
            due.add(person.user_id)
    return due


def _age(known: Position | None) -> float:
    """Order searches: those that end soonest first."""
    return math.inf if known is None else -known.fix.at.timestamp()


def _recorded_at(position: Position) -> datetime:
    """Return the time in a point's id, or of its arrival where the id has none."""
    if position.point_id.version == _TIME_ORDERED:
        with suppress(OverflowError):
            return _EPOCH + timedelta(milliseconds=position.point_id.int >> 80)
    return position.received_at


class _Search:
    """Looks behind the points that the service shows as the newest, within bounds for all."""

    def __init__(self, api: Api, reader: Reader, group_id: UUID) -> None:
        self._api = api
        self._reader = reader
        self._group_id = group_id
        self._points_left = _MOST_POINTS_BACK
        self._ends_at = time.monotonic() + _LONGEST_BACK
        self.seen = dict(reader.seen)
        """What this command or an earlier one had seen when the search began."""
        self.ended_early: set[UUID] = set()
        """Of whom there may be a newer position that was not looked for."""

    def newest_of(self, user_id: UUID, known: Position | None) -> Position | None:
        """Return a person's newest position, which `known` is unless a newer one is found."""
        query = self._query(user_id)
        met: set[str] = set()
        while self._points_left > 0 and time.monotonic() < self._ends_at:
            if known is not None:
                # What is newer than that by its fix is no older than this by its id.
                query["from"] = (known.fix.at - CLOCKS_DIFFER).isoformat()
            query["limit"] = str(min(PAGE, self._points_left))
            page, cursor = self._api.history(query)
            self._points_left -= max(1, len(page))
            found = newest([*([known] if known else []), *self._reader.believe(page)])
            known = found.get(user_id)
            if cursor is None:
                return known
            if cursor in met:
                break  # the same again: this service never ends
            met.add(cursor)
            query["cursor"] = cursor
        self.ended_early.add(user_id)
        return known

    def find(self, user_id: UUID, seen: Seen) -> Position | None:
        """Ask the service for one point that this device has seen, by the time in its id."""
        start = round(seen.recorded_at * 1000)
        query = self._query(user_id) | {
            "from": (_EPOCH + timedelta(milliseconds=start)).isoformat(),
            "to": (_EPOCH + timedelta(milliseconds=start + 1)).isoformat(),
        }
        for _ in range(_MOST_POINTS_BACK // PAGE):
            page, cursor = self._api.history(query)
            for position in self._reader.believe(page):
                if (position.point_id, position.user_id) == (seen.point_id, user_id):
                    return position
            if cursor is None:
                break
            query["cursor"] = cursor
        return None

    def _query(self, user_id: UUID) -> dict[str, str]:
        return {"groupId": str(self._group_id), "userId": str(user_id)}


def _fill_in(
    present: dict[UUID, Position], search: _Search, directory: DeviceDirectory
) -> set[UUID]:
    """Put in what this device has seen and the service shows when it is asked for just that.

    Return of whom it shows less than this device has seen; their positions are marked as old.
    """
    less = set()
    for seen in sorted(search.seen.values(), key=lambda seen: seen.order, reverse=True):
        owner = directory.owner(seen.device_id)
        if owner is None or not seen.is_newer_than(known := present.get(owner.user_id)):
            continue
        found = search.find(owner.user_id, seen)
        if found is not None:
            present |= newest([found, *([known] if known else [])])
        elif not _may_have_expired(seen, known):
            less.add(owner.user_id)
    for user_id in less & present.keys():
        present[user_id] = replace(present[user_id], is_old=True)
    return less


def _may_have_expired(seen: Seen, known: Position | None) -> bool:
    """Whether the group may keep a point no longer, by its retention, which is a day or more."""
    is_first_to_go = known is None or _recorded_at(known).timestamp() > seen.recorded_at
    return is_first_to_go and seen.recorded_at < time.time() - _DAY


def _opened(state: GroupState, point: StoredPoint) -> dict[str, Any]:
    """Return what a point of one's own says. Raises NotAuthentic."""
    key = state.key(point.key_version)
    if key is None or point.sealed is None:
        return {}
    content = open_location(point.sealed, key, largest=LARGEST_MESSAGE)
    if point.user_id != state.me.user_id or not belongs(content, point):
        raise NotAuthentic
    return {"opened": content}


def _require_readable(context: Context, view: GroupSnapshot) -> None:
    # A group that never had a key, as far as this device knows, is read as it is.
    if view.key_version > 0 or context.group(view.group_id).is_keyed:
        view.require_key()


def _tell_of_less(
    context: Context, view: GroupSnapshot, less: Iterable[UUID], present: Mapping[UUID, Position]
) -> None:
    for user_id in less:
        shown = present.get(user_id)
        context.tell(
            Code.OLDER_THAN_SEEN,
            group_id=view.group_id,
            once=f"{user_id} {shown.point_id if shown else None}",
            name=_name(view, user_id, shown),
        )


def _tell_of_the_end(context: Context, view: GroupSnapshot, user_id: UUID) -> None:
    context.tell(
        Code.SEARCH_ENDED,
        group_id=view.group_id,
        name=_name(view, user_id, None),
        points=_MOST_POINTS_BACK,
        seconds=_LONGEST_BACK,
    )


def _name(view: GroupSnapshot, user_id: UUID, shown: Position | None) -> str:
    if shown is not None:
        return shown.name
    return next(person.name for person in view.directory.people if person.user_id == user_id)
