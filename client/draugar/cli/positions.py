"""How positions look: to programs, as JSON of stable keys, and to people, as rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from draugar.cli.output import called, stamp
from draugar.maps.geo import bearing, compass, distance
from draugar.maps.nearby import SLACK, Nearby, around
from draugar.models import (
    Fix,
    Place,
    Position,
)
from draugar.text.display import ago, clock, degrees, metres, plain, within
from draugar.text.naming import told_apart

HERE = 20.0
"""Metres within which two people are in the same spot, where their fixes are as good as that."""


@dataclass(frozen=True)
class PositionRow:
    """A position as its reader sees it: from where they are, by the names they gave."""

    position: Position
    nearby: Nearby | None
    """The place of the reader's that they are at, or near."""
    away: float | None
    """Metres from the reader; None where they are not known, or look at themselves."""
    heading: float | None
    slack: float = 0
    """Metres by which the two may be further apart than that."""

    @classmethod
    def of(cls, position: Position, mine: Position | None, named: Sequence[Place]) -> "PositionRow":
        """See a position from one's own, if there is one."""
        fix, nearby = position.fix, around(position.fix, named)
        if mine is None or position.is_mine:
            return cls(position, nearby, None, None)
        slack = (mine.fix.accuracy or 0) + (fix.accuracy or 0)
        return cls(position, nearby, distance(mine.fix, fix), bearing(mine.fix, fix), slack)

    @property
    def fix(self) -> Fix:
        """Where and when it was."""
        return self.position.fix

    @property
    def name(self) -> str:
        """Whose it is, and whether that is sure."""
        you = " (you)" if self.position.is_mine else ""
        return called(self.position) + you + _doubt([self.position])

    @property
    def spot(self) -> str:
        """The name of the place, or the position."""
        return spot(self.nearby) or degrees(self.fix)

    @property
    def way(self) -> str:
        """How far, and which way: 2.3 km NE."""
        if self.away is None or self.heading is None:
            return ""
        if self.away < HERE:
            return "here" if self.away + self.slack <= HERE + SLACK else "near"
        return f"{metres(self.away)} {compass(self.heading)}"

    def row(self, now: datetime) -> tuple[str, ...]:
        """Write it for people."""
        missing = " (a newer one is missing)" if self.position.is_old else ""
        seen = ago(now - self.fix.at) + missing + waits(self.position, now, " ({})")
        battery = "" if self.fix.battery is None else f"{self.fix.battery} %"
        return self.name, self.spot, self.way, seen, within(self.fix.accuracy), battery

    def data(self, as_of: datetime | None = None) -> dict[str, Any]:
        """Write it for programs: degrees, metres, km/h, percent.

        `as_of`: it is what was known then, for the service does not answer.
        """
        position, fix = self.position, self.fix
        return {
            "userId": str(position.user_id),
            "deviceId": str(position.device_id),
            "groupId": str(position.group_id),
            "pointId": str(position.point_id),
            "name": position.name,
            "isMine": position.is_mine,
            "isConfirmed": position.is_confirmed,
            "isOld": position.is_old,
            "latitude": fix.latitude,
            "longitude": fix.longitude,
            "accuracy": fix.accuracy or None,
            "altitude": fix.altitude,
            "velocity": fix.velocity,
            "course": fix.course,
            "battery": fix.battery,
            "recordedAt": stamp(fix.at),
            "receivedAt": stamp(position.received_at),
            "asOf": stamp(as_of),
            "tid": position.phone and position.phone.tid,
            "needsSetup": bool(silent(position)),
            "waitsSince": stamp(min(silent(position).values(), default=None)),
            "place": self.nearby.place.name if self.nearby and self.nearby.is_at else None,
            "nearPlace": self.nearby.place.name if self.nearby and not self.nearby.is_at else None,
            "distance": None if self.away is None else round(self.away, 1),
            "bearing": None if self.heading is None else round(self.heading, 1),
        }


def silent(position: Position) -> dict[str, datetime]:
    """Return since when phones of a position's person share nothing, by their tids."""
    phones = [*([position.phone] if position.phone else []), *position.silent]
    return {phone.tid: phone.waits_since for phone in phones if phone.waits_since}


def waits(position: Position, now: datetime, form: str = "{}") -> str:
    """Say which phones of a person must be set up again, and since when; else nothing."""
    said = [
        f"phone {plain(tid)} waits since {clock(since, now)}"
        for tid, since in silent(position).items()
    ]
    return form.format(", ".join(said)) if said else ""


def spot(nearby: Nearby | None) -> str:
    """Name a place that a person is at, or near; nothing where there is none."""
    if nearby is None:
        return ""
    return plain(nearby.place.name) if nearby.is_at else f"near {plain(nearby.place.name)}"


def owner(positions: Sequence[Position]) -> str:
    """Name whose positions these are, of one device, and whether that is sure of all of them."""
    return told_apart(positions[-1].name, positions[-1].mark) + _doubt(positions)


def _doubt(positions: Sequence[Position]) -> str:
    return "" if all(position.is_confirmed for position in positions) else " (not confirmed)"
