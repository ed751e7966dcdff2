"""OwnTracks: what becomes of a message, and what its sender is told of the others.

An app knows three outcomes: taken, try again, and a refusal that blocks its queue (Android) or
alarms its person (iOS). So whatever a phone that is signed in sends is taken, and what is of no use
is put down; the log says why, as a code.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from chalicelib import auth
from chalicelib.auth import PhoneCredential
from chalicelib.db import OneStatement, Session
from chalicelib.errors import Unauthenticated
from chalicelib.owntracks import queries


class Fix(NamedTuple):
    """Where a phone was, in the clear. `key` is the same whenever the app sends it again."""

    at: int
    latitude: float
    longitude: float
    accuracy: float
    key: str = ""


class Sealed(NamedTuple):
    """A message that only members can read: a fix, most likely, or anything else."""

    ciphertext: bytes


class Card(NamedTuple):
    """How a phone's person wants to be shown."""

    name: str | None
    face: str | None


class Transition(NamedTuple):
    """That a phone entered or left a region, which was made at `waypoint_at`."""

    event: str
    description: str
    at: int
    waypoint_at: int
    latitude: float | None
    longitude: float | None
    accuracy: float | None


class Unwanted(NamedTuple):
    """What is not kept, and why not."""

    code: str


Message = Fix | Sealed | Card | Transition | Unwanted


@dataclass(frozen=True, kw_only=True)
class Friend:
    """What a phone is told of a member. The apps tell friends apart by `tid` alone."""

    tid: str
    name: str
    face: str | None
    is_card_due: bool
    fix: Fix | None
    transitions: Sequence[Transition]


@dataclass(frozen=True, kw_only=True)
class Told:
    """The answer to a message: friends, or a sealed message of one of them.

    `ignored` says as a code why the message was put down, if it was.
    """

    friends: Sequence[Friend] = ()
    sealed: bytes | None = field(default=None, repr=False)
    ignored: str | None = None


def take(
    connection: OneStatement, *, credential: PhoneCredential, message: Message, is_android: bool
) -> Told:
    """Keep what is to be kept of a message, and return what its sender is told.

    Raises Unauthenticated, and nothing else that is not the database's.
    """
    match message:
        case Fix():
            return _take_fix(connection, credential, message, is_android=is_android)
        case Sealed():
            row = _signed_in(queries.post_sealed(connection, credential, message.ciphertext))
            return Told(sealed=row.sealed, ignored=_ignored(row))
        case Card():
            row = queries.put_card(connection, credential, message._asdict())
            return Told(ignored=_ignored(_signed_in(row)))
        case Transition():
            row = queries.post_transition(
                connection,
                credential,
                message._asdict()
                | {"at": _moment(message.at), "waypoint_at": _moment(message.waypoint_at)},
            )
            return Told(ignored=_ignored(_signed_in(row)))
        case Unwanted():
            auth.read(connection, queries.SIGN_IN, credential)
            return Told(ignored=message.code)


def delete_old_transitions(session: Session) -> int:
    """Delete transitions that nobody is told of any more; return how many."""
    return queries.delete_old_transitions(session)


def fix_id(device_id: UUID, fix: Fix) -> UUID:
    """Return the id of a fix: the same whenever its phone sends it, a UUID v7 of its time."""
    known = hashlib.sha256(f"{device_id} {fix.key}".encode()).digest()
    value = (fix.at * 1000) << 80 | int.from_bytes(known[:10])
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def _take_fix(
    connection: OneStatement, credential: PhoneCredential, fix: Fix, *, is_android: bool
) -> Told:
    row = _signed_in(
        queries.post_fix(
            connection,
            credential,
            {
                "id": fix_id(credential.device_id, fix),
                "latitude": fix.latitude,
                "longitude": fix.longitude,
                "accuracy": fix.accuracy,
                # On Android a transition makes up a contact that is not there.
                "tells_transitions": not is_android,
            },
        )
    )
    friends = [_friend(told) for told in row.friends or []]
    return Told(
        friends=[
            # What this statement has stored it does not see yet.
            replace(friend, fix=_newer(friend.fix, fix)) if told["isCaller"] else friend
            for friend, told in zip(friends, row.friends or [], strict=True)
        ],
        ignored=_ignored(row),
    )


def _signed_in(row: Any) -> Any:
    if not row.is_signed_in:
        raise Unauthenticated
    return row


def _ignored(row: Any) -> str | None:
    code = row.refusal or (None if row.is_stored else "duplicate")
    return code and f"owntracks_{code}"


def _newer(stored: Fix | None, posted: Fix) -> Fix:
    return posted if stored is None or posted.at >= stored.at else stored


def _friend(told: dict[str, Any]) -> Friend:
    return Friend(
        tid=told["tid"],
        name=told["name"],
        face=told["face"],
        is_card_due=told["isCardDue"],
        fix=None if told["at"] is None else Fix(*(told[name] for name in _FIX)),
        transitions=[
            Transition(*(transition[name] for name in _TRANSITION))
            for transition in told["transitions"] or []
        ],
    )


_FIX = ("at", "latitude", "longitude", "accuracy")
_TRANSITION = ("event", "description", "at", "waypointAt", "latitude", "longitude", "accuracy")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)
