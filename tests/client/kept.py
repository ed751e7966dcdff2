"""What a home keeps of one group, as tests look at it and change it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

from draugar.protocol.secrets import GroupKey
from draugar.protocol.statements import Device
from draugar.storage import groups
from draugar.storage.home import Home
from draugar.trust import words
from draugar.trust.state import GroupState
from draugar.trust.values import Held, Record
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
        return 0 < self.state.highest <= self.state.trust.compromised

    def key(self, version: int) -> GroupKey | None:
        return self.state.key(version)

    def versions(self) -> list[int]:
        return sorted(self.state.trust.held)

    def holds(self, key: GroupKey) -> bool:
        trust = self.state.trust
        return key in trust.elsewhere or any(held.key == key for held in trust.held.values())

    def accept(self, version: int, key: GroupKey) -> None:
        with groups.changing(self._home, self._group_id) as change:
            now = local_time().timestamp()
            change.trust(words.rotated(change.state.trust, version, key, None, now))

    @property
    def at_risk(self) -> int:
        return self.state.trust.at_risk

    def attempt(self, version: int) -> None:
        with groups.changing(self._home, self._group_id) as change:
            change.trust(words.attempted(change.state.trust, version))

    def mark_compromised(self, version: int) -> None:
        with groups.changing(self._home, self._group_id) as change:
            trust = change.state.trust
            change.trust(replace(trust, compromised=max(trust.compromised, version)))

    def superseded_at(self, version: int) -> float | None:
        return self.state.superseded_at(version)


class TrustStore(_Kept):
    """The devices of one group other than this one."""

    def known(self) -> dict[UUID, Record]:
        return dict(self.state.trust.records)

    def trusted(self) -> dict[UUID, Record]:
        return self.state.trusted()

    def remove(self, device_ids: Collection[UUID]) -> None:
        with groups.changing(self._home, self._group_id) as change:
            trust = change.state.trust
            devices = [trust.records[id_].device for id_ in device_ids]
            change.trust(words.removed(trust, devices))

    def trust(self, device: Device, name: str) -> None:
        """Trust a device as one whose number was compared."""
        with groups.changing(self._home, self._group_id) as change:
            trust = change.state.trust
            ids = [device.device_id]
            change.trust(words.confirmed(trust, [device], name=name, covers=ids))


def key_states(home: Home) -> Iterator[tuple[UUID, Mapping[int, Held]]]:
    """Yield the keys of every group that a home knows, by their versions."""
    for row in home.rows("SELECT group_id FROM states"):
        group_id = UUID(row["group_id"])
        yield group_id, groups.load(home, group_id).trust.held


def age_keys(home: Home, group_id: UUID, seconds: float) -> None:
    """Let a home have held its keys for so much longer."""
    with groups.changing(home, group_id) as change:
        held = {
            version: replace(
                one,
                first_held=one.first_held - seconds,
                last_current=one.last_current - seconds,
                made=None,
            )
            for version, one in change.state.trust.held.items()
        }
        change.trust(replace(change.state.trust, held=held))


def age_links(home: Home, group_id: UUID, seconds: float) -> None:
    """Let the links that a home has made end so much earlier."""
    with groups.changing(home, group_id) as change:
        links = tuple(
            replace(link, expires_at=link.expires_at - seconds) for link in change.state.trust.links
        )
        change.trust(replace(change.state.trust, links=links))


def age_meetings(home: Home, group_id: UUID, days: int) -> None:
    """Let a home have met the devices and phones of its own person so many days earlier."""
    with groups.changing(home, group_id) as change:
        trust = change.state.trust
        met = {id_: day - days for id_, day in trust.met.items()}
        change.trust(replace(trust, met=met))
    for row in home.rows("SELECT name, value FROM facts WHERE name LIKE 'own %'"):
        earlier = date.fromisoformat(row["value"]) - timedelta(days=days)
        home.remember(row["name"], earlier.isoformat())


def forget_links(home: Home, group_id: UUID) -> None:
    """Let a home know none of the links that it has made."""
    with groups.changing(home, group_id) as change:
        change.trust(replace(change.state.trust, links=()))


def move(home: Home, url: str) -> None:
    """Let a home be of a service at another address, as no one but its own client can."""
    me = home.me()
    home.do(
        "UPDATE me SET url = :url, identity = :identity",
        url=url,
        identity=home.seal_identity(url, str(me.user_id), str(me.device_id)),
    )
