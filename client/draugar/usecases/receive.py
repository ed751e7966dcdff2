"""Receiving: the points of one group, page by page, judged and remembered."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from draugar.models import Code, Position, StoredPoint
from draugar.trust.directory import DeviceDirectory
from draugar.trust.points import Reason, Receiver, Rejected
from draugar.trust.state import Seen
from draugar.usecases.context import Context

_TOLD = {
    Reason.MISPLACED: Code.POINTS_DROPPED,
    Reason.UNREADABLE: Code.POINTS_UNREADABLE,
    Reason.IN_THE_CLEAR: Code.PLAINTEXT_REFUSED,
}


class Reader:
    """Reads the points of one group."""

    def __init__(self, context: Context, directory: DeviceDirectory) -> None:
        self._context = context
        self._group_id = directory.group_id
        # Another command may have read since the list was fetched.
        directory = replace(directory, state=context.group(directory.group_id))
        self._receiver = Receiver(directory)
        self._names = {person.user_id: person.name for person in directory.people}
        self._dropped: defaultdict[tuple[Code, UUID], set[UUID]] = defaultdict(set)

    @property
    def seen(self) -> dict[UUID, Seen]:
        """The newest of each device, of this and of earlier commands."""
        return self._receiver.seen

    def believe(self, points: Iterable[StoredPoint]) -> list[Position]:
        """Return those that are positions; remember the newest of each device."""
        believed = []
        before = dict(self.seen)
        for point in points:
            judged = self._receiver.judge(point)
            if isinstance(judged, Rejected):
                if judged.reason in _TOLD:
                    self._dropped[_TOLD[judged.reason], point.user_id].add(point.id)
            else:
                believed.append(judged)
        if self.seen != before:
            self._remember()
        return believed

    def report(self) -> None:
        """Tell what was dropped."""
        for (code, user_id), ids in self._dropped.items():
            self._context.tell(
                code, group_id=self._group_id, count=len(ids), name=self._names.get(user_id)
            )
        self._dropped.clear()

    def _remember(self) -> None:
        with self._context.changing(self._group_id) as change:
            stored = change.state.seen  # another command may read, too
            newest = {id_: seen.merged(stored.get(id_)) for id_, seen in self.seen.items()}
            change.state = replace(change.state, seen={**stored, **newest})
