"""The queue of points that are to be shared: on disk, each sent until the service has it.

A point gets its id and its counter when it is queued. The service keeps one point of an id, so that
whatever crashes, and however many commands send at once, it is there once. It is sealed when it is
sent, under the key of that moment.

The time in the id is that of the fix, so that the service, which sees no other time, has points in
the order in which they were taken, and deletes each when the group's retention says so.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from draugar.errors import (
    Failure,
    KeyMissing,
    KeyPending,
    NotAMember,
    NotConfirmed,
    SharingPaused,
    TrustFailure,
)
from draugar.models import Code, Fix, Shared
from draugar.protocol.json import to_base64url
from draugar.protocol.locations import CLOCKS_DIFFER
from draugar.service.api import Api
from draugar.service.responses import Verdict
from draugar.storage.home import Home
from draugar.storage.keyring import Keyring
from draugar.usecases import pause as pausing
from draugar.usecases import points
from draugar.usecases import rotate as rotation
from draugar.usecases.notify import Notifier
from draugar.usecases.sync import GroupSnapshot, KeySync

LARGEST_BATCH = 500
"""Of points of the largest size that is 2.8 MB, and the service takes 3 MiB."""

_ATTEMPTS = 6
_LEAST_RETENTION = 1  # days
_MARGIN = timedelta(hours=1)
"""For a point to be sent before the group's retention ends."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_JUST_NOW = timedelta(seconds=5)
_RANDOM = 74  # bits of a UUID of version 7 beside time, version and variant
_NOT_A_MEMBER = "group_not_found"
_PAUSED = "sharing_paused"
_OUTDATED = {"key_version_conflict", "rotation_required", "group_key_missing"}
_FOR_GOOD = {_PAUSED, "out_of_range", "id_time_mismatch", "invalid_point", _NOT_A_MEMBER}


class Outbox:
    """The queue, of all groups."""

    def __init__(self, home: Home, teller: Notifier) -> None:
        self._home = home
        self._teller = teller
        self._me = home.me()

    def put(self, group_id: UUID, fixes: Sequence[Fix], *, track: str | None = None) -> int:
        """Queue fixes, all or none; `track` names the recording they are of.

        Return how many are not queued, since sharing is paused here.

        Raises PointNotPossible.
        """
        for fix in fixes:
            points.check(fix)
        if fixes and pausing.is_on(self._home, group_id):
            # Not even queued: they must not go once the pause is over.
            _say_not_shared(self._teller, group_id, _PAUSED, len(fixes))
            return len(fixes)
        with self._home.transaction():
            now = datetime.fromtimestamp(time.time_ns() / 1e9, UTC)
            oldest = now - self._retention(group_id) + _MARGIN
            if track is not None:
                self._home.remember(f"{_track_of(group_id)}{track}", now.isoformat())
            for fix in fixes:
                is_kept = oldest <= fix.at <= now + CLOCKS_DIFFER
                self._home.do(
                    "UPDATE groups SET counter = counter + 1 WHERE id = :group", group=group_id
                )
                self._home.do(
                    "INSERT INTO outbox"
                    " SELECT :id, id, counter, :fix FROM groups WHERE id = :group",
                    id=self._new_id(_moment(fix.at, now) if is_kept else now),
                    fix=self._home.seal_json(_as_json(fix)),
                    group=group_id,
                )
        return 0

    def queued_at(self, group_id: UUID, track: str) -> datetime | None:
        """Return when a recording was queued for a group, unless it was deleted or refused."""
        kept = self._home.recall(f"{_track_of(group_id)}{track}")
        return kept and datetime.fromisoformat(kept)

    def waiting(self) -> int:
        """Return how many points are queued."""
        return int(self._home.row("SELECT count(*) AS number FROM outbox")["number"])

    def groups(self) -> list[UUID]:
        """Return the groups for which points are queued."""
        return [
            UUID(row["group_id"])
            for row in self._home.rows("SELECT DISTINCT group_id FROM outbox ORDER BY group_id")
        ]

    def queued(self, group_id: UUID) -> dict[UUID, Fix]:
        """Return the fixes that are queued for a group, by the ids of their points."""
        return {
            UUID(row["id"]): _from_json(self._home.unseal_json(row["fix"]))
            for row in self._home.rows(
                "SELECT id, fix FROM outbox WHERE group_id = :group ORDER BY counter",
                group=group_id,
            )
        }

    def forget_point(self, group_id: UUID, point_id: UUID) -> int:
        """Drop one point that was queued; return how many there were."""
        dropped = self._home.do(
            "DELETE FROM outbox WHERE group_id = :group AND id = :id", group=group_id, id=point_id
        )
        if dropped:
            forget_tracks(self._home, group_id)
        return dropped

    def forget(self, group_id: UUID, *, since: datetime | None, until: datetime | None) -> int:
        """Drop what was queued for a group in [since, until); return how many points."""
        forget_tracks(self._home, group_id)
        return self._home.do(
            "DELETE FROM outbox WHERE group_id = :group"
            " AND id >= :first AND (:last IS NULL OR id < :last)",
            group=group_id,
            first=UUID(int=0) if since is None else _first_id(since),
            last=until and _first_id(until),
        )

    def flush(
        self, api: Api, exchange: KeySync, on_progress: Callable[[int], None] = lambda _: None
    ) -> Shared:
        """Send what can be sent; the rest waits, in a pause what was queued before it.

        `on_progress` hears how many points still wait.

        Raises ServiceFailure and TrustFailure, with all that was not stored still queued.
        """
        stored = 0
        refused: Counter[str] = Counter()
        obstacle: Failure | None = None
        distrust: TrustFailure | None = None
        for group_id in self.groups():
            if pausing.is_on(self._home, group_id):
                obstacle = SharingPaused()
                continue
            sending = _Sending(self._home, self._teller, api, exchange, group_id=group_id)
            try:
                sending.send_all(lambda: on_progress(self.waiting()))
            except (KeyPending, KeyMissing, NotConfirmed) as failure:
                obstacle = failure
            except TrustFailure as failure:
                distrust = failure  # which is of this group alone
            finally:
                stored += sending.stored
                refused += sending.report()
        if distrust is not None:
            raise distrust
        return Shared(
            stored=stored,
            dropped=refused.total(),
            waiting=self.waiting(),
            refused=refused,
            obstacle=obstacle,
        )

    def _retention(self, group_id: UUID) -> timedelta:
        """Return how long a group keeps points: as the service said last, or the least."""
        group = self._home.row("SELECT retention_days FROM groups WHERE id = :id", id=group_id)
        return timedelta(days=(group and group["retention_days"]) or _LEAST_RETENTION)

    def _new_id(self, at: datetime) -> UUID:
        """Make a UUID of version 7 of a time.

        Of one millisecond, what is made next is greater (RFC 9562, 6.2, method 2). Otherwise it
        says nothing of the order in which ids were made.
        """
        milliseconds = _milliseconds(at)
        last = int(self._home.recall("last_point_id") or "0", 16)
        if last >> _RANDOM == milliseconds:
            made = last + 1 + secrets.randbits(32)
        else:
            made = milliseconds << _RANDOM | secrets.randbits(_RANDOM - 1)
        self._home.remember("last_point_id", f"{made:x}")
        head, tail = made >> 62, made & 2**62 - 1
        return UUID(int=head >> 12 << 80 | 7 << 76 | (head & 0xFFF) << 64 | 0b10 << 62 | tail)


@dataclass
class _Sending:
    """The queue of one group on its way."""

    home: Home
    teller: Notifier
    api: Api
    exchange: KeySync
    group_id: UUID = field(kw_only=True)
    stored: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def send_all(self, on_batch: Callable[[], None]) -> None:
        """Send batch after batch. Raises KeyPending, KeyMissing, NotConfirmed."""
        attempts = 0
        view: GroupSnapshot | None = None
        while attempts < _ATTEMPTS and (batch := self._batch()):
            try:
                view = view or self._current()
            except NotAMember:
                self._refuse(_NOT_A_MEMBER, [id_ for id_, _, _ in batch])
                continue
            codes = self._settle(self._send(batch, view.key_version))
            on_batch()
            if not codes:
                attempts = 0
            elif codes <= _OUTDATED:
                attempts += 1
                view = None
            else:
                return

    def report(self) -> Counter[str]:
        """Tell what was refused for good; return how many points that were, by code."""
        if self.refused:
            forget_tracks(self.home, self.group_id)
        for code, count in self.refused.items():
            _say_not_shared(self.teller, self.group_id, code, count)
        return self.refused

    def _current(self) -> GroupSnapshot:
        """Bring the key up to date, making a new one if that is asked for."""
        view = self.exchange.update(self.group_id)
        view.require_key()
        if view.must_rotate:
            rotation.rotate(self.home, self.api, self.exchange, self.teller, self.group_id)
            view = self.exchange.update(self.group_id)
            view.require_key()
        return view

    def _batch(self) -> list[tuple[UUID, int, Fix]]:
        rows = self.home.rows(
            "SELECT * FROM outbox WHERE group_id = :group ORDER BY counter LIMIT :limit",
            group=self.group_id,
            limit=LARGEST_BATCH,
        )
        return [
            (UUID(row["id"]), row["counter"], _from_json(self.home.unseal_json(row["fix"])))
            for row in rows
        ]

    def _send(self, batch: list[tuple[UUID, int, Fix]], key_version: int) -> list[Verdict]:
        key = Keyring(self.home, self.group_id).key(key_version)
        if key is None:
            raise KeyPending
        me = self.home.me()
        author = points.Author(
            group_id=self.group_id, user_id=me.user_id, device_id=me.device_id, name=me.name
        )
        return self.api.store(
            {
                "id": str(id_),
                "groupId": str(self.group_id),
                "encryptedData": to_base64url(points.seal(fix, author, counter, key)),
                "keyVersion": key_version,
            }
            for id_, counter, fix in batch
        )

    def _settle(self, verdicts: list[Verdict]) -> set[str]:
        """Take from the queue what is stored or refused for good; return the other codes."""
        codes = set()
        with self.home.transaction():
            for verdict in verdicts:
                if verdict.code is None:
                    # Another command may have sent the same point: then it counts there.
                    self.stored += self._take(verdict.id)
                elif verdict.code in _FOR_GOOD:
                    self._refuse(verdict.code, [verdict.id])
                else:
                    codes.add(verdict.code)
        return codes

    def _refuse(self, code: str, ids: list[UUID]) -> None:
        self.refused[code] += sum(map(self._take, ids))

    def _take(self, id_: UUID) -> int:
        return self.home.do("DELETE FROM outbox WHERE id = :id", id=id_)


def _track_of(group_id: UUID) -> str:
    return f"track {group_id} "


def forget_tracks(home: Home, group_id: UUID) -> None:
    """Forget which recordings were queued: some of their points are not there any more."""
    home.do("DELETE FROM facts WHERE name LIKE :some", some=f"{_track_of(group_id)}%")


def _first_id(at: datetime) -> UUID:
    """Return the least id that a point of a time can have."""
    return UUID(int=max(0, min(_milliseconds(at), 2**48 - 1)) << 80)


def _moment(at: datetime, now: datetime) -> datetime:
    """Return when a fix was taken, to the millisecond.

    Most receivers give whole seconds. Of one that was just taken the last possible moment of that
    second counts: it is after what happened earlier in it, such as the last fix, or a joining.
    """
    if at.microsecond == 0 and timedelta() <= now - at < _JUST_NOW:
        return min(now, at + _SECOND - _MILLISECOND)
    return at


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def _say_not_shared(teller: Notifier, group_id: UUID, code: str, count: int) -> None:
    teller.tell(Code.NOT_SHARED, group_id=group_id, refusal=code, count=count)


def _as_json(fix: Fix) -> dict[str, Any]:
    return {**vars(fix), "at": fix.at.astimezone(UTC).isoformat()}


def _from_json(value: dict[str, Any]) -> Fix:
    return Fix(**{**value, "at": datetime.fromisoformat(value["at"])})
