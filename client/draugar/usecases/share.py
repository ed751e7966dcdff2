"""Sharing: points are queued on disk, and each is sent until the service has it.

A point gets its id and its counter when it is queued. The service keeps one point of an id, so that
whatever crashes, and however many commands send at once, it is there once. It is sealed when it is
sent, under the key of that moment.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
from draugar.protocol.times import CLOCKS_DIFFER
from draugar.service.responses import OUTDATED, Verdict
from draugar.storage import last_shared, outbox, pauses
from draugar.storage.outbox import Queued
from draugar.trust import points
from draugar.usecases import rotate as rotation
from draugar.usecases.context import Context

LARGEST_BATCH = 500
"""Of points of the largest size that is 2.8 MB, and the service takes 3 MiB."""

_ATTEMPTS = 6
_MARGIN = timedelta(hours=1)
"""For a point to be sent before the group's retention ends."""
_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_JUST_NOW = timedelta(seconds=5)
_NOT_A_MEMBER = "group_not_found"
_PAUSED = "sharing_paused"
_FOR_GOOD = {_PAUSED, "out_of_range", "id_time_mismatch", "invalid_point", _NOT_A_MEMBER}


def unheard(waiting: int) -> None:
    """Hear of no progress."""
    del waiting


def put(context: Context, group_id: UUID, fixes: Sequence[Fix], *, track: str | None = None) -> int:
    """Queue fixes, all or none; `track` names the recording they are of.

    Return how many are not queued, since sharing is paused here.

    Raises PointNotPossible.
    """
    home = context.home
    now = datetime.fromtimestamp(time.time_ns() / 1e9, UTC)
    for fix in fixes:
        points.check(fix, now)
    if fixes and pauses.is_on(home, group_id):
        # Not even queued: they must not go once the pause is over.
        _tell_not_shared(context, group_id, _PAUSED, len(fixes))
        return len(fixes)
    with home.transaction():
        now = datetime.fromtimestamp(time.time_ns() / 1e9, UTC)
        oldest = now - outbox.retention(home, group_id) + _MARGIN
        if track is not None:
            outbox.note_track(home, group_id, track, now)
        latest = now + CLOCKS_DIFFER
        dated = [
            (fix, _moment(fix.at, now) if oldest <= fix.at <= latest else now) for fix in fixes
        ]
        outbox.put(home, group_id, dated)
    return 0


def flush(context: Context, on_progress: Callable[[int], None]) -> Shared:
    """Send what can be sent; the rest waits, in a pause what was queued before it.

    `on_progress` hears how many points still wait.

    Raises ServiceFailure and TrustFailure, with all that was not stored still queued.
    """
    home = context.home
    stored = 0
    refused: Counter[str] = Counter()
    obstacle: Failure | None = None
    distrust: TrustFailure | None = None
    for group_id in outbox.groups(home):
        if pauses.is_on(home, group_id):
            obstacle = SharingPaused()
            continue
        sending = _Sending(context, group_id)
        try:
            sending.send_all(lambda: on_progress(outbox.waiting(home)))
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
        waiting=outbox.waiting(home),
        refused=refused,
        obstacle=obstacle,
    )


@dataclass
class _Sending:
    """The queue of one group on its way."""

    context: Context
    group_id: UUID
    stored: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def send_all(self, on_batch: Callable[[], None]) -> None:
        """Send batch after batch. Raises KeyPending, KeyMissing, NotConfirmed."""
        attempts = 0
        version: int | None = None
        while attempts < _ATTEMPTS and (batch := self._batch()):
            try:
                if version is None:
                    version = rotation.current(self.context, self.group_id).key_version
            except NotAMember:
                self._refuse(_NOT_A_MEMBER, [one.id for one in batch])
                continue
            codes = self._settle(batch, self._send(batch, version))
            on_batch()
            if not codes:
                attempts = 0
            elif codes <= OUTDATED:
                attempts += 1
                version = None
            else:
                return

    def report(self) -> Counter[str]:
        """Tell what was refused for good; return how many points that were, by code."""
        if self.refused:
            outbox.forget_tracks(self.context.home, self.group_id)
        for code, count in self.refused.items():
            _tell_not_shared(self.context, self.group_id, code, count)
        return self.refused

    def _batch(self) -> list[Queued]:
        return outbox.queued(self.context.home, self.group_id, limit=LARGEST_BATCH)

    def _send(self, batch: list[Queued], key_version: int) -> list[Verdict]:
        state = self.context.group(self.group_id)
        key = state.key(key_version)
        if key is None:
            raise KeyPending
        me = state.me
        author = points.Author(
            group_id=self.group_id, user_id=me.user_id, device_id=me.device_id, name=state.name
        )
        return self.context.api.store(
            [
                {
                    "id": str(one.id),
                    "groupId": str(self.group_id),
                    "encryptedData": to_base64url(points.seal(one.fix, author, one.counter, key)),
                    "keyVersion": key_version,
                }
                for one in batch
            ]
        )

    def _settle(self, batch: list[Queued], verdicts: list[Verdict]) -> set[str]:
        """Take from the queue what is stored or refused for good; return the other codes."""
        codes = set()
        stored = {verdict.id for verdict in verdicts if verdict.code is None}
        with self.context.home.transaction():
            fixes = [one.fix for one in batch if one.id in stored]
            last_shared.note_stored(self.context.home, self.group_id, fixes)
            for verdict in verdicts:
                if verdict.code is None:
                    # Another command may have sent the same point: then it counts there.
                    self.stored += outbox.take(self.context.home, verdict.id)
                elif verdict.code in _FOR_GOOD:
                    self._refuse(verdict.code, [verdict.id])
                else:
                    codes.add(verdict.code)
        return codes

    def _refuse(self, code: str, ids: list[UUID]) -> None:
        self.refused[code] += sum(outbox.take(self.context.home, id_) for id_ in ids)


def _moment(at: datetime, now: datetime) -> datetime:
    """Return when a fix was taken, to the millisecond.

    Most receivers give whole seconds. Of one that was just taken the last possible moment of that
    second counts: it is after what happened earlier in it, such as the last fix, or a joining.
    """
    if at.microsecond == 0 and timedelta() <= now - at < _JUST_NOW:
        return min(now, at + _SECOND - _MILLISECOND)
    return at


def _tell_not_shared(context: Context, group_id: UUID, code: str, count: int) -> None:
    context.tell(Code.NOT_SHARED, group_id=group_id, refusal=code, count=count)
