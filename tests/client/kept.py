"""What a home keeps of one group, as tests look at it and change it."""

from collections.abc import Collection, Iterable
from uuid import UUID

from draugar.models import TrustSource
from draugar.protocol.rosters import RosterEntry
from draugar.protocol.secrets import GroupKey
from draugar.storage import groups
from draugar.storage.home import Home
from draugar.trust import decide
from draugar.trust.state import Ended, GroupState, Trusted
from draugar.usecases.context import local_time


class _Kept:
    def __init__(self, home: Home, group_id: UUID) -> None:
        self._home = home
        self._group_id = group_id

    @property
    def state(self) -> GroupState:
        """What is known now."""
        return groups.load(self._home, self._group_id)


class Keyring(_Kept):
    """The keys of one group."""

    @property
    def highest(self) -> int:
        return self.state.highest

    @property
    def is_burnt(self) -> bool:
        return self.state.is_compromised

    def key(self, version: int) -> GroupKey | None:
        return self.state.key(version)

    def versions(self) -> list[int]:
        return sorted(self.state.keys)

    def holds(self, key: GroupKey) -> bool:
        return self.state.holds(key)

    def accept(self, version: int, key: GroupKey) -> None:
        with groups.changing(self._home, self._group_id) as change:
            change.state = decide.accept(change.state, version, key, local_time().timestamp())

    @property
    def at_risk(self) -> int:
        return self.state.at_risk

    def attempt(self, version: int) -> None:
        with groups.changing(self._home, self._group_id) as change:
            change.state = decide.attempt(change.state, version)

    def mark_compromised(self, version: int) -> None:
        with groups.changing(self._home, self._group_id) as change:
            change.state = decide.mark_compromised(change.state, version)

    def superseded_at(self, version: int) -> float | None:
        return self.state.superseded_at(version)


class TrustStore(_Kept):
    """The devices of one group other than this one."""

    def __init__(self, home: Home, group_id: UUID) -> None:
        super().__init__(home, group_id)
        self._me = home.me()

    def known(self) -> dict[UUID, Trusted]:
        return dict(self.state.devices)

    def trusted(self) -> dict[UUID, Trusted]:
        return self.state.trusted()

    def trust(self, entry: RosterEntry, how: TrustSource, *, version: int) -> None:
        with groups.changing(self._home, self._group_id) as change:
            change.state = decide.trust(change.state, entry, how, version=version)

    def believe(
        self, entries: Iterable[RosterEntry], *, version: int, author: UUID, is_whole: bool
    ) -> list[Trusted]:
        with groups.changing(self._home, self._group_id) as change:
            change.state, left_out = decide.believe(
                change.state, entries, version=version, author=author, is_whole=is_whole
            )
        return left_out

    def contradicts(self, roster: Iterable[RosterEntry], *, is_first: bool) -> bool:
        return self.state.contradicts(roster, is_first=is_first)

    def end(self, device_ids: Collection[UUID], why: Ended, *, version: int) -> None:
        with groups.changing(self._home, self._group_id) as change:
            change.state = decide.end(change.state, device_ids, why, version=version)
