"""What this device knows of each group: loaded as one value, saved as what has changed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

from draugar.models import TrustSource
from draugar.protocol.secrets import GroupKey
from draugar.storage import invites
from draugar.storage.home import Home
from draugar.trust.state import Ended, GroupState, HeldKey, Seen, ThisDevice, Trusted

_OWN = "own"
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass
class Change:
    """A group that is being changed: the state that is saved at the end."""

    state: GroupState


@contextmanager
def changing(home: Home, group_id: UUID) -> Iterator[Change]:
    """Load a group, and save what has become of it: one transaction, so no change is lost."""
    with home.transaction():
        before = load(home, group_id)
        change = Change(before)
        yield change
        save(home, before, change.state)


# Loading


def load(home: Home, group_id: UUID) -> GroupState:
    """Return what this device knows of a group."""
    me = home.me()
    numbers = home.row("SELECT * FROM groups WHERE id = :group", group=group_id)
    devices = [
        (UUID(row["group_id"]), _device(row))
        for row in home.rows(
            "SELECT * FROM trust WHERE group_id = :group OR user_id = :user"
            " ORDER BY group_id, device_id",
            group=group_id,
            user=me.user_id,
        )
    ]
    keys = home.rows("SELECT * FROM keys ORDER BY group_id, version")
    prefix = f"{group_id} "
    return GroupState(
        group_id=group_id,
        me=ThisDevice(
            user_id=me.user_id,
            name=me.name,
            device_id=me.device_id,
            key=me.device_key,
            is_further=me.is_further,
        ),
        devices={one.device_id: one for group, one in devices if group == group_id},
        own_elsewhere=tuple(one for group, one in devices if group != group_id),
        keys={
            row["version"]: HeldKey(key=_key(home, row), accepted_at=row["accepted_at"])
            for row in keys
            if row["group_id"] == str(group_id)
        },
        keys_elsewhere=frozenset(
            _key(home, row) for row in keys if row["group_id"] != str(group_id)
        ),
        highest=numbers["highest_version"] if numbers else 0,
        attempted=numbers["attempted_version"] if numbers else 0,
        compromised=numbers["burnt_version"] if numbers else 0,
        has_key=bool(numbers and numbers["has_key"]),
        links={link.id: link for link in invites.of_group(home, group_id)},
        compared={
            UUID(row["user_id"]): row["keys"]
            for row in home.rows("SELECT * FROM compared WHERE group_id = :group", group=group_id)
        },
        seen={seen.device_id: seen for seen in _seen(home, group_id)},
        met={
            UUID(row["name"].removeprefix(f"{_OWN} ")): date.fromisoformat(row["value"])
            for row in home.rows("SELECT * FROM facts WHERE name LIKE :some", some=f"{_OWN} %")
        },
        has_met=home.recall(_OWN) is not None,
        told=frozenset(
            (row["kind"], row["about"].removeprefix(prefix))
            for row in home.rows("SELECT * FROM told WHERE about LIKE :some", some=f"{prefix}%")
        ),
    )


def _key(home: Home, row: Any) -> GroupKey:
    return GroupKey(home.unseal(row["key"]))


def _device(row: Any) -> Trusted:
    return Trusted(
        device_id=UUID(row["device_id"]),
        user_id=UUID(row["user_id"]),
        name=row["name"],
        public_key=row["public_key"],
        how=TrustSource(row["how"]),
        version=row["version"],
        vouched_by=row["vouched_by"] and UUID(row["vouched_by"]),
        ended=row["ended"] and Ended(row["ended"]),
        ended_version=row["ended_version"],
    )


def _seen(home: Home, group_id: UUID) -> Iterator[Seen]:
    for row in home.rows("SELECT * FROM seen WHERE group_id = :group", group=group_id):
        yield Seen(
            device_id=UUID(row["device_id"]),
            key_version=row["key_version"],
            counter=row["counter"],
            is_counted=bool(row["is_counted"]),
            point_id=UUID(row["point_id"]),
            recorded_at=row["at"],
            fix_at=row["fix_at"],
        )


# Saving


def save(home: Home, before: GroupState, after: GroupState) -> None:
    """Save what is different in `after`; `before` was loaded in the same transaction."""
    group_id = after.group_id
    _save_numbers(home, before, after)
    for version, held in _changed(before.keys, after.keys):
        home.do(
            "INSERT OR IGNORE INTO keys VALUES (:group, :version, :key, :at)",
            group=group_id,
            version=version,
            key=home.seal(held.key.value),
            at=held.accepted_at,
        )
    for _, device in _changed(before.devices, after.devices):
        _save_device(home, group_id, device)
    for link_id in before.links.keys() - after.links.keys():
        invites.forget(home, link_id)
    for _, link in _changed(before.links, after.links):
        invites.keep(home, group_id, link)
    for user_id, public_keys in _changed(before.compared, after.compared):
        home.do(
            "INSERT OR REPLACE INTO compared VALUES (:group, :user, :keys)",
            group=group_id,
            user=user_id,
            keys=public_keys,
        )
    for _, seen in _changed(before.seen, after.seen):
        _save_seen(home, group_id, seen)
    for id_, day in _changed(before.met, after.met):
        home.remember(f"{_OWN} {id_}", day.isoformat())
    if after.has_met and not before.has_met:
        home.remember(_OWN, "met")
    for kind, about in sorted(after.told - before.told):
        home.is_news(kind, f"{group_id} {about}")


def _changed(
    before: Mapping[_Key, _Value], after: Mapping[_Key, _Value]
) -> Iterator[tuple[_Key, _Value]]:
    for key, value in after.items():
        if key not in before or before[key] != value:
            yield key, value


def _save_numbers(home: Home, before: GroupState, after: GroupState) -> None:
    numbers = (after.highest, after.attempted, after.compromised, after.has_key)
    if numbers != (before.highest, before.attempted, before.compromised, before.has_key):
        home.do(
            "UPDATE groups SET highest_version = :highest, attempted_version = :attempted,"
            " burnt_version = :compromised, has_key = :has_key WHERE id = :group",
            highest=after.highest,
            attempted=after.attempted,
            compromised=after.compromised,
            has_key=after.has_key,
            group=after.group_id,
        )


def _save_device(home: Home, group_id: UUID, device: Trusted) -> None:
    home.do(
        "INSERT OR REPLACE INTO trust VALUES (:group, :device, :user, :name, :key, :how, :version,"
        " :vouched_by, :ended, :ended_version)",
        group=group_id,
        device=device.device_id,
        user=device.user_id,
        name=device.name,
        key=device.public_key,
        how=device.how,
        version=device.version,
        vouched_by=device.vouched_by,
        ended=device.ended,
        ended_version=device.ended_version,
    )


def _save_seen(home: Home, group_id: UUID, seen: Seen) -> None:
    home.do(
        "INSERT OR REPLACE INTO seen (group_id, device_id, key_version, counter, is_counted,"
        " point_id, at, fix_at) VALUES (:group, :device, :version, :counter, :is_counted, :point,"
        " :at, :fix_at)",
        group=group_id,
        device=seen.device_id,
        version=seen.key_version,
        counter=seen.counter,
        is_counted=seen.is_counted,
        point=seen.point_id,
        at=seen.recorded_at,
        fix_at=seen.fix_at,
    )


# Membership


def ids(home: Home) -> list[UUID]:
    """Return the groups that the member is in, as far as this device knows."""
    return [UUID(row["id"]) for row in home.rows("SELECT id FROM groups WHERE is_member")]


def names(home: Home) -> dict[UUID, str]:
    """Return what the groups are called that the member is in."""
    rows = home.rows("SELECT id, name FROM groups WHERE is_member")
    return {UUID(row["id"]): row["name"] for row in rows}


def enter(home: Home, group_id: UUID, name: str, *, is_founding: bool) -> None:
    """Remember a group that the member is in."""
    home.do(
        "INSERT INTO groups (id, name, is_founding) VALUES (:id, :name, :is_founding)"
        " ON CONFLICT DO UPDATE SET name = :name, is_member = 1",
        id=group_id,
        name=name,
        is_founding=is_founding,
    )


def note_key(home: Home, group_id: UUID) -> None:
    """Remember that a group has a key, by the word of the member who invites."""
    home.do("UPDATE groups SET has_key = 1 WHERE id = :id", id=group_id)


def leave(home: Home, group_id: UUID) -> None:
    """Remember that the member is not in a group any more."""
    home.do("UPDATE groups SET is_member = 0 WHERE id = :id", id=group_id)


def leave_all(home: Home) -> None:
    """Remember no membership; what is known of the groups stays."""
    home.do("UPDATE groups SET is_member = 0")


def founding(home: Home) -> list[UUID]:
    """Return the groups whose first key is still to be made."""
    rows = home.rows("SELECT id FROM groups WHERE is_founding AND is_member")
    return [UUID(row["id"]) for row in rows]


def founded(home: Home, group_id: UUID) -> None:
    """Note that a group has its first key, or is not this member's to give it."""
    home.do("UPDATE groups SET is_founding = 0 WHERE id = :id", id=group_id)


def knows_retentions(home: Home) -> bool:
    """Whether it is known of every group how long it keeps points."""
    unknown = home.row("SELECT 1 FROM groups WHERE is_member AND retention_days IS NULL")
    return unknown is None


def note_retention(home: Home, group_id: UUID, days: int) -> None:
    """Remember how long a group keeps points, for when they are queued without network."""
    home.do("UPDATE groups SET retention_days = :days WHERE id = :id", days=days, id=group_id)


# Joining


def packages(home: Home) -> list[tuple[UUID, dict[str, Any]]]:
    """Return the key packages that are still to be opened, with how."""
    return [
        (UUID(row["group_id"]), home.unseal_json(row["plan"]))
        for row in home.rows("SELECT * FROM packages")
    ]


def keep_package(home: Home, group_id: UUID, plan: dict[str, Any]) -> None:
    """Keep a key package, which comes once only, with what opens it."""
    sealed = home.seal_json(plan)
    home.do("INSERT OR REPLACE INTO packages VALUES (:group, :plan)", group=group_id, plan=sealed)


def drop_package(home: Home, group_id: UUID) -> None:
    """Forget a key package that was opened or refused."""
    home.do("DELETE FROM packages WHERE group_id = :group", group=group_id)
