"""Points: sealing a fix, and deciding which of those that come back can be believed.

A receiver drops what is not from whom the service says, what it has seen before, what is sealed
under a key that was replaced by then, and whatever is unsealed in a group that ever had a key.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from draugar.answers import StoredPoint
from draugar.census import Census
from draugar.circle import Circle
from draugar.crypto import GroupKey, NotAuthentic, open_location, seal_location
from draugar.home import Home
from draugar.model import Fix, Kind, Phone, Position
from draugar.ring import Ring
from draugar.teller import Teller

CLOCKS_DIFFER = timedelta(minutes=10)
"""By which the clocks of devices and service may differ. The service takes no more either."""

_LAST_SECOND = 2**33
_LARGEST = 1e7  # metres, km/h: what is beyond is no position of a person
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


class _NotAPosition(Exception):
    """What a phone with OwnTracks has posted, and is of another kind: nobody needs to be told."""


class _Unbelievable(Exception):
    """A point that is dropped; `kind` says how the member is told."""

    def __init__(self, kind: Kind = Kind.POINTS_DROPPED) -> None:
        super().__init__(kind)
        self.kind = kind


_TOLD = {
    Kind.POINTS_DROPPED: (
        "Left out {} of {}: what the service shows is not what was shared. If it happens again, ask"
        " the person who runs the service."
    ),
    Kind.POINTS_UNREADABLE: (
        "Left out {} of {}: sealed under a key that this device does not have. You see them when"
        " they next share."
    ),
    Kind.PLAINTEXT_REFUSED: (
        "Left out {} of {}: not sealed, though the group has a key, so the service could have made"
        " it up."
    ),
}


# Sealing


def seal(fix: Fix, author: Author, counter: int, key: GroupKey) -> bytes:
    """Return a fix as an OwnTracks location, sealed; times are whole seconds.

    The app for Android takes whole numbers only, but for the coordinates.
    """
    location: dict[str, Any] = {
        "_type": "location",
        "lat": fix.latitude,
        "lon": fix.longitude,
        "acc": round(fix.accuracy),
        "tst": int(fix.at.timestamp()),
        "tid": author.name,
        "draugar": {
            "g": str(author.group_id),
            "u": str(author.user_id),
            "d": str(author.device_id),
            "n": counter,
        },
    }
    further = {
        "alt": fix.altitude,
        "vel": fix.velocity,
        "cog": fix.course,
        "batt": fix.battery,
    }
    location |= {name: round(value) for name, value in further.items() if value is not None}
    return seal_location(location, key)


def is_possible(fix: Fix) -> bool:
    """Whether a fix can be shared."""
    numbers = (fix.latitude, fix.longitude, fix.accuracy)
    further = (fix.altitude, fix.velocity, fix.course, fix.battery)
    return (
        fix.at.tzinfo is not None
        and all(math.isfinite(number) for number in numbers)
        and all(number is None or abs(number) <= _LARGEST for number in further)
        and abs(fix.latitude) <= 90  # noqa: PLR2004 -- degrees
        and abs(fix.longitude) <= 180  # noqa: PLR2004
        and 0 <= fix.accuracy <= _LARGEST
        and 0 < fix.at.timestamp() < _LAST_SECOND
        and fix.at <= datetime.now(UTC) + CLOCKS_DIFFER
    )


# Believing


class Reader:
    """Reads the points of one group, as one answer brings them."""

    def __init__(self, home: Home, teller: Teller, census: Census) -> None:
        self._home = home
        self._teller = teller
        self._group_id = census.group_id
        self._me = home.me()
        self._ring = Ring(home, census.group_id)
        self._circle = Circle(home, census.group_id).trusted()
        self._census = census
        self._names = {person.user_id: person.name for person in census.people}
        self._marks = census.marks()
        self._dropped: Counter[tuple[Kind, UUID]] = Counter()
        self._met: dict[tuple[UUID, int, int], UUID] = {}
        self.passed_over: set[UUID] = set()
        """Whose phones have posted what is no position."""

    def believe(self, points: Iterable[StoredPoint]) -> Iterator[Position]:
        """Yield those that can be believed; remember the newest of each device."""
        for point in points:
            try:
                yield self._read(point)
            except _NotAPosition:
                self.passed_over.add(point.user_id)
            except _Unbelievable as reason:
                self._dropped[reason.kind, point.user_id] += 1

    def report(self) -> None:
        """Tell what was dropped."""
        for (kind, user_id), count in self._dropped.items():
            name = self._names.get(user_id, "somebody who is not in the group")
            many = "1 point" if count == 1 else f"{count} points"
            self._teller.warn(kind, _TOLD[kind].format(many, name), group_id=self._group_id)
        self._dropped.clear()

    def _read(self, point: StoredPoint) -> Position:
        if point.group_id != self._group_id or point.user_id not in self._names:
            raise _Unbelievable
        if point.sealed is None:
            return self._read_plain(point)
        key = self._ring.key(point.key_version)
        if key is None:
            raise _Unbelievable(Kind.POINTS_UNREADABLE)
        try:
            content = open_location(point.sealed, key)
        except NotAuthentic:
            raise _Unbelievable from None
        counter = _counter(content, point)
        fix = _fix(content) if counter is not None else self._foreign_fix(content, point)
        self._check_time(point, fix)
        position = self._judge(point, fix, counter)
        if counter is None and _named_in(content) == (point.device_id, point.user_id):
            return replace(position, is_confirmed=True)
        return position

    def _read_plain(self, point: StoredPoint) -> Position:
        if self._ring.is_keyed or point.place is None:
            raise _Unbelievable(Kind.PLAINTEXT_REFUSED)
        latitude, longitude, accuracy = point.place
        fix = Fix(latitude=latitude, longitude=longitude, accuracy=accuracy, at=point.recorded_at)
        return self._position(point, fix)

    def _foreign_fix(self, content: dict[str, Any], point: StoredPoint) -> Fix:
        """Read what an OwnTracks phone or the first Draugar app has sealed.

        It says less of where it belongs, so its sender has to be somebody who is trusted.
        """
        users = {device.user_id for device in self._circle.values()} | {self._me.user_id}
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
        person, phone = self._census.phones.get(point.device_id, (None, None))
        if person is None or phone is None or person.user_id != point.user_id:
            raise _Unbelievable
        phone_id, user_id = _named_in(content)
        if phone_id not in (None, point.device_id):
            raise _Unbelievable
        if user_id != point.user_id and user_id in self._names:
            raise _Unbelievable
        if isinstance(content.get("_type"), str) and content["_type"] != "location":
            raise _NotAPosition
        if content.get("tid") != phone.tid:
            raise _Unbelievable

    def _check_time(self, point: StoredPoint, fix: Fix) -> None:
        """Refuse what is not yet, or newer than its key: somebody who left may know that."""
        # By whichever clock is ahead: this device's own may be wrong.
        now = max(datetime.now(UTC), point.received_at)
        if fix.at > now + CLOCKS_DIFFER:
            raise _Unbelievable
        superseded_at = self._ring.superseded_at(point.key_version)
        newest = max(fix.at, point.recorded_at, point.received_at).timestamp()
        slack = CLOCKS_DIFFER.total_seconds()
        if superseded_at is not None and newest > superseded_at + slack:
            raise _Unbelievable

    def _judge(self, point: StoredPoint, fix: Fix, counter: int | None) -> Position:
        """Hold a point against what was seen of its device before."""
        order = int(fix.at.timestamp()) if counter is None else counter
        met = (point.device_id, point.key_version, order)
        if self._met.setdefault(met, point.id) != point.id and counter is not None:
            raise _Unbelievable  # the same point under another id
        with self._home.transaction():
            seen = self._home.row(
                "SELECT * FROM seen WHERE group_id = :group AND device_id = :device",
                group=self._group_id,
                device=point.device_id,
            )
            now = (point.key_version, order)
            before = (0, 0) if seen is None else (seen["key_version"], seen["counter"])
            if seen is not None:
                if seen["is_counted"] and counter is None:
                    raise _Unbelievable  # it counts its points: who leaves that out is not it
                if counter is not None and now == before and seen["point_id"] != str(point.id):
                    raise _Unbelievable
            if now > before:
                self._home.do(
                    "INSERT OR REPLACE INTO seen VALUES"
                    " (:group, :device, :version, :counter, :is_counted, :id, :at, :fix_at)",
                    group=self._group_id,
                    device=point.device_id,
                    version=point.key_version,
                    counter=order,
                    is_counted=counter is not None,
                    id=point.id,
                    at=point.recorded_at.timestamp(),
                    fix_at=fix.at.timestamp(),
                )
        return replace(self._position(point, fix), is_old=now < before)

    def _position(self, point: StoredPoint, fix: Fix) -> Position:
        is_mine = point.user_id == self._me.user_id
        device = self._circle.get(point.device_id)
        names = {trusted.user_id: trusted.name for trusted in self._circle.values()}
        is_this = point.device_id == self._me.device_id
        return Position(
            point_id=point.id,
            group_id=point.group_id,
            user_id=point.user_id,
            device_id=point.device_id,
            name=self._me.name if is_mine else names.get(point.user_id, self._names[point.user_id]),
            fix=fix,
            received_at=point.received_at,
            key_version=point.key_version if point.sealed is not None else None,
            is_confirmed=is_this or (device is not None and device.user_id == point.user_id),
            is_mine=is_mine,
            phone=self._phone(point.device_id),
            mark=self._marks.get(point.user_id, ""),
        )

    def _phone(self, device_id: UUID) -> Phone | None:
        _, phone = self._census.phones.get(device_id, (None, None))
        since = self._census.waiting.get(device_id)
        return phone and replace(phone, needs_setup=since is not None, waits_since=since)


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
    if not isinstance(said, dict) or {**said, "n": None} != {**belongs, "n": None}:
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
        raise _Unbelievable
    at = _number(content, "tst", 1, _LAST_SECOND)
    if content.keys() & {"lat", "lon"}:
        content = {"lat": 0, "lon": 0} | content  # the app for Android leaves out a zero
    return Fix(
        latitude=_number(content, "lat", -90, 90),
        longitude=_number(content, "lon", -180, 180),
        accuracy=_number(content, "acc", 0, _LARGEST) if "acc" in content else 0.0,
        at=datetime.fromtimestamp(at, UTC),
        altitude=_further(content, "alt", -_LARGEST, _LARGEST),
        velocity=_further(content, "vel", 0, _LARGEST),
        course=_further(content, "cog", 0, 360),
        battery=_whole(_further(content, "batt", 0, 100)),
    )


def _first_app_fix(content: dict[str, Any]) -> Fix:
    said = content.get("timestamp")
    try:
        if isinstance(said, str):
            at = datetime.fromisoformat(said)
            at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        else:
            number = _number(content, "timestamp", 1, _LAST_SECOND * 1000)
            at = datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS else number, UTC)
    except (ValueError, OverflowError):
        raise _Unbelievable from None
    if at.timestamp() <= 0:
        raise _Unbelievable
    return Fix(
        latitude=_number(content, "latitude", -90, 90),
        longitude=_number(content, "longitude", -180, 180),
        accuracy=_number(content, "accuracy", 0, _LARGEST),
        at=at,
    )


def _number(content: dict[str, Any], name: str, least: float, most: float) -> float:
    value = content.get(name)
    if type(value) not in (int, float) or not least <= value <= most:  # type: ignore[operator]
        raise _Unbelievable
    return float(value)  # type: ignore[arg-type]


def _further(content: dict[str, Any], name: str, least: float, most: float) -> float | None:
    """Read what a position may go without."""
    try:
        return _number(content, name, least, most)
    except _Unbelievable:
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
