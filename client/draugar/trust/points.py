"""Points: sealing a fix, and judging whether one that comes back can be believed.

A receiver drops, and tells its person of, what is not from whom the service says, what it has seen
before, what is sealed under a key that was replaced by then, and whatever is unsealed in a group
that ever had a key. What opens and belongs where it is shown, and is no position, is passed over:
that is a phone's other message, or its bad reading, and says nothing about anyone.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from draugar.errors import FailureCode, PointNotPossible
from draugar.models import Fix, Position, StoredPoint
from draugar.protocol.errors import NotALocation, NotAuthentic
from draugar.protocol.locations import (
    LARGEST_MESSAGE,
    LOCATION_BYTES,
    open_location,
    seal_location,
)
from draugar.protocol.secrets import GroupKey
from draugar.protocol.times import CLOCKS_DIFFER, EARLIEST
from draugar.trust.directory import DeviceDirectory
from draugar.trust.state import Seen

LARGEST_ACCURACY = 20_037_508
"""Metres, half of the Earth's circumference. The service takes no more either."""

_LARGEST = 10_000_000  # metres, km/h: what is beyond is left out of a position
_UUID = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_TOPIC = re.compile(f"owntracks/({_UUID})/([^/]+)(?:/.*)?")
_MILLISECONDS = 1e11  # a number above this is no time in seconds


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who shares a point: by these a receiver finds out whether it is where it should be."""

    group_id: UUID
    user_id: UUID
    device_id: UUID
    name: str = field(repr=False)


class _Unbelievable(Exception):
    """A point that is rejected, by default because it does not belong where it is shown."""

    def __init__(self, reason: "Reason | None" = None) -> None:
        self.reason = reason or Reason.MISPLACED
        super().__init__(self.reason)


def _no_position() -> _Unbelievable:
    return _Unbelievable(Reason.NO_POSITION)


# Sealing


def seal(
    fix: Fix, author: Author, counter: int, key: GroupKey, *, is_repeat: bool = False
) -> bytes:
    """Return a fix as an OwnTracks location, sealed; times are whole seconds.

    `is_repeat` marks one that was shared before.

    The app for Android takes whole numbers only, but for the coordinates.
    """
    location: dict[str, Any] = {
        "_type": "location",
        "lat": fix.latitude,
        "lon": fix.longitude,
        "tst": int(fix.at.timestamp()),
        "tid": author.name,
        "draugar": {
            "g": str(author.group_id),
            "u": str(author.user_id),
            "d": str(author.device_id),
            "n": counter,
            **({"r": True} if is_repeat else {}),
        },
    }
    further = {
        # A reader takes 0 for unknown.
        "acc": max(1, fix.accuracy) if fix.accuracy else None,
        "alt": fix.altitude,
        "vel": fix.velocity,
        "cog": fix.course,
        "batt": fix.battery,
    }
    location |= {name: round(value) for name, value in further.items() if value is not None}
    return seal_location(location, key)


def check(fix: Fix, now: datetime) -> None:
    """See that a fix can be shared now. Raises PointNotPossible."""
    if fix.at.tzinfo is None:
        raise PointNotPossible(FailureCode.TIME_WITHOUT_ZONE)
    further = (fix.altitude, fix.velocity, fix.course, fix.battery)
    if not all(number is None or abs(number) <= _LARGEST for number in further):
        raise PointNotPossible(FailureCode.FURTHER_OUT_OF_RANGE, largest=_LARGEST)
    for holds, code in _rules(fix, arrived_at=now):
        if not holds:
            raise PointNotPossible(code, largest=LARGEST_ACCURACY, year=EARLIEST.year)


def is_believable(fix: Fix, *, arrived_at: datetime) -> bool:
    """Whether a device can have been there then, if that arrived at the service at a time."""
    return all(holds for holds, _ in _rules(fix, arrived_at=arrived_at))


def _rules(fix: Fix, *, arrived_at: datetime) -> Iterator[tuple[bool, FailureCode]]:
    yield abs(fix.latitude) <= 90, FailureCode.LATITUDE_OUT_OF_RANGE  # noqa: PLR2004 -- degrees
    yield abs(fix.longitude) <= 180, FailureCode.LONGITUDE_OUT_OF_RANGE  # noqa: PLR2004
    is_accuracy = fix.accuracy is None or 0 <= fix.accuracy <= LARGEST_ACCURACY
    yield is_accuracy, FailureCode.ACCURACY_OUT_OF_RANGE
    yield fix.at >= EARLIEST, FailureCode.TIME_TOO_EARLY
    yield fix.at <= arrived_at + CLOCKS_DIFFER, FailureCode.TIME_AHEAD


# Believing


class Reason(StrEnum):
    """Why a point is rejected."""

    NO_POSITION = "no_position"
    """It belongs where it is shown, and holds no position that can be believed."""
    MISPLACED = "misplaced"
    """It is not from where the service says, or was seen before, or is newer than its key."""
    UNREADABLE = "unreadable"
    """It is sealed under a key that this device does not have."""
    IN_THE_CLEAR = "in_the_clear"
    """It is not sealed, though the group has a key."""


@dataclass(frozen=True)
class Rejected:
    """A point that is not shown."""

    reason: Reason


class Receiver:
    """Judges the points of one group, in the order in which one command reads them.

    It remembers what it has met: a counter that comes again under another id is a repeat.
    """

    def __init__(self, directory: DeviceDirectory) -> None:
        state = directory.state
        self._group_id = state.group_id
        self._me = state.me
        self._is_keyed = state.is_keyed
        self._key = state.key
        self._superseded_at = cache(state.superseded_at)
        self._trusted = state.trusted()
        self._directory = directory
        self._names = {person.user_id: person.name for person in directory.people}
        self._own_name = state.name
        self._name_of = state.trust.name_of
        self._met: dict[tuple[UUID, int, int], UUID] = {}
        self.seen: dict[UUID, Seen] = dict(state.seen)
        """The newest of each device, of this and of earlier commands."""

    def judge(self, point: StoredPoint) -> Position | Rejected:
        """Return a position that can be believed, or why there is none."""
        try:
            return self._read(point)
        except _Unbelievable as rejection:
            return Rejected(rejection.reason)

    def _read(self, point: StoredPoint) -> Position:
        if point.group_id != self._group_id or point.user_id not in self._names:
            raise _Unbelievable
        if point.sealed is None:
            return self._read_plain(point)
        key = self._key(point.key_version)
        if key is None:
            raise _Unbelievable(Reason.UNREADABLE)
        try:
            is_phone = point.device_id in self._directory.phones
            largest = LARGEST_MESSAGE if is_phone else LOCATION_BYTES
            content = open_location(point.sealed, key, largest=largest)
        except NotALocation:
            raise _no_position() from None
        except NotAuthentic:
            raise _Unbelievable from None
        counter = _counter(content, point)
        fix = _fix(content) if counter is not None else self._foreign_fix(content, point)
        self._check_counter(point, counter)
        self._check_age(point, fix)
        if not is_believable(fix, arrived_at=point.received_at):
            raise _no_position()
        self._see(point, fix, counter)
        position = self._position(point, fix)
        if counter is not None:
            return replace(position, is_repeat="r" in content["draugar"])
        if _named_in(content) == (point.device_id, point.user_id):
            return replace(position, is_confirmed=True)
        return position

    def _read_plain(self, point: StoredPoint) -> Position:
        # "A point without `encryptedData`, in a group of which this client has ever held a key, is
        # refused."
        latitude, longitude, accuracy = point.latitude, point.longitude, point.accuracy
        if self._is_keyed or latitude is None or longitude is None:
            raise _Unbelievable(Reason.IN_THE_CLEAR)
        fix = Fix(
            latitude=latitude,
            longitude=longitude,
            accuracy=accuracy or None,
            at=point.recorded_at,
        )
        if not is_believable(fix, arrived_at=point.received_at):
            raise _no_position()
        return self._position(point, fix)

    def _foreign_fix(self, content: dict[str, Any], point: StoredPoint) -> Fix:
        """Read what an OwnTracks phone or the first Draugar app has sealed.

        It says less of where it belongs, so its sender has to be trusted.
        """
        users = {record.device.user_id for record in self._trusted.values()} | {self._me.user_id}
        if point.user_id not in users:
            raise _Unbelievable
        if "userId" in content:
            if content["userId"] != str(point.user_id):
                raise _Unbelievable
            return _first_app_fix(content)
        self._check_phone(content, point)
        return _fix(content)

    def _check_phone(self, content: dict[str, Any], point: StoredPoint) -> None:
        """See that a point is of the phone that the service says it is of.

        The `tid` is inside the seal, so that the service cannot choose it: it only says which
        phone has which tid, and whose that phone is. It is taken at its word where a phone that
        was set up by hand names itself otherwise. One that has what `phones` makes names itself
        and its person in the topic, inside the seal too: then the service's word is not needed,
        and must not contradict it.
        """
        person, phone = self._directory.phones.get(point.device_id, (None, None))
        if person is None or phone is None or person.user_id != point.user_id:
            raise _Unbelievable
        phone_id, user_id = _named_in(content)
        if phone_id not in (None, point.device_id):
            raise _Unbelievable
        if user_id != point.user_id and user_id in self._names:
            raise _Unbelievable
        if content.get("_type") != "location":
            raise _no_position()
        if content.get("tid") != phone.tid:
            raise _Unbelievable

    def _check_age(self, point: StoredPoint, fix: Fix) -> None:
        """Refuse what is newer than its key: a former member may know that key."""
        # "its key is a former one, and `tst`, the time in its `id` or `receivedAt` is more than ten
        # minutes later than when this client first held a higher version"
        superseded_at = self._superseded_at(point.key_version)
        newest = max(fix.at, point.recorded_at, point.received_at).timestamp()
        slack = CLOCKS_DIFFER.total_seconds()
        if superseded_at is not None and newest > superseded_at + slack:
            raise _Unbelievable

    def _check_counter(self, point: StoredPoint, counter: int | None) -> None:
        """Refuse the same point under another id, and a counter that was left out."""
        # "its counter is one that this client has seen from that device in another point (another
        # id)"; "it comes without a counter from a device whose points have had one"
        seen = self.seen.get(point.device_id)
        if counter is None:
            if seen is not None and seen.is_counted:
                raise _Unbelievable
            return
        known = {self._met.setdefault((point.device_id, point.key_version, counter), point.id)}
        if seen is not None and (seen.key_version, seen.counter) == (point.key_version, counter):
            known.add(seen.point_id)
        if known != {point.id}:
            raise _Unbelievable

    def _see(self, point: StoredPoint, fix: Fix, counter: int | None) -> None:
        seen = Seen(
            device_id=point.device_id,
            key_version=point.key_version,
            counter=counter or 0,
            is_counted=counter is not None,
            point_id=point.id,
            recorded_at=point.recorded_at.timestamp(),
            fix_at=fix.at.timestamp(),
        )
        self.seen[point.device_id] = seen.merged(self.seen.get(point.device_id))

    def _position(self, point: StoredPoint, fix: Fix) -> Position:
        is_mine = point.user_id == self._me.user_id
        record = self._trusted.get(point.device_id)
        is_this = point.device_id == self._me.device_id
        return Position(
            point_id=point.id,
            group_id=point.group_id,
            user_id=point.user_id,
            device_id=point.device_id,
            name=self._own_name
            if is_mine
            else self._name_of(point.user_id) or self._names[point.user_id],
            fix=fix,
            received_at=point.received_at,
            key_version=point.key_version if point.sealed is not None else None,
            is_confirmed=is_this or (record is not None and record.device.user_id == point.user_id),
            is_mine=is_mine,
            phone=self._directory.phone(point.device_id),
            mark=self._directory.marks.get(point.user_id, ""),
        )


def belongs(content: dict[str, Any], point: StoredPoint) -> bool:
    """Whether a point is, as far as it says itself, of whom the service says it is."""
    if "draugar" in content:
        with suppress(_Unbelievable):
            return _counter(content, point) is not None
        return False
    phone_id, user_id = _named_in(content)
    return (
        content.get("userId", str(point.user_id)) == str(point.user_id)
        and phone_id in (None, point.device_id)
        and user_id in (None, point.user_id)
    )


def _counter(content: dict[str, Any], point: StoredPoint) -> int | None:
    """Return a point's counter, when it belongs where the service shows it; None: it has none."""
    if "draugar" not in content:
        return None
    said = content["draugar"]
    belongs = {
        "g": str(point.group_id),
        "u": str(point.user_id),
        "d": str(point.device_id),
    }
    if not isinstance(said, dict) or said.get("r", True) is not True:
        raise _Unbelievable
    if {name: value for name, value in said.items() if name not in ("n", "r")} != belongs:
        raise _Unbelievable
    counter = said.get("n")
    if type(counter) is not int or not 0 < counter < 2**53:
        raise _Unbelievable
    return counter


def _named_in(content: dict[str, Any]) -> tuple[UUID | None, UUID | None]:
    """Return the phone and the person that an OwnTracks message says it is of, where it does."""
    topic = content.get("topic")
    said = _TOPIC.fullmatch(topic) if isinstance(topic, str) else None
    if said is None:
        return None, None
    return UUID(said[1]), UUID(said[2]) if re.fullmatch(_UUID, said[2]) else None


def _fix(content: dict[str, Any]) -> Fix:
    if content.get("_type") != "location":
        raise _no_position()
    if content.keys() & {"lat", "lon"}:
        content = {"lat": 0, "lon": 0} | content  # the app for Android leaves out a zero
    return Fix(
        latitude=_number(content, "lat"),
        longitude=_number(content, "lon"),
        accuracy=_accuracy(content, "acc"),
        at=_time(_number(content, "tst")),
        altitude=_further(content, "alt", -_LARGEST, _LARGEST),
        velocity=_further(content, "vel", 0, _LARGEST),
        course=_further(content, "cog", 0, 360),
        battery=_whole(_further(content, "batt", 0, 100)),
    )


def _first_app_fix(content: dict[str, Any]) -> Fix:
    said = content.get("timestamp")
    if isinstance(said, str):
        try:
            at = datetime.fromisoformat(said)
            at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise _no_position() from None
    else:
        number = _number(content, "timestamp")
        at = _time(number / 1000 if number > _MILLISECONDS else number)
    return Fix(
        latitude=_number(content, "latitude"),
        longitude=_number(content, "longitude"),
        accuracy=_accuracy(content, "accuracy"),
        at=at,
    )


def _time(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise _no_position() from None


def _accuracy(content: dict[str, Any], name: str) -> float | None:
    """Read a radius. The apps write 0, or nothing, where they do not know it."""
    return None if content.get(name) is None else _number(content, name) or None


def _number(content: dict[str, Any], name: str) -> float:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _no_position()
    return float(value)  # of at most 2^53, like every number that was sealed


def _further(content: dict[str, Any], name: str, least: float, most: float) -> float | None:
    """Read what a position may go without."""
    with suppress(_Unbelievable):
        value = _number(content, name)
        return value if least <= value <= most else None
    return None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
