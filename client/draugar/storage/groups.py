"""What this device knows of each group: loaded as one value, saved as what has changed.

Whom this device trusts and its keys are sealed as one value of each group, so that nothing but this
home can write it. Its person's devices are of all groups, and so kept by themselves.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from draugar.errors import FailureCode, HomeUnusable
from draugar.protocol.statements import Device, DeviceKind
from draugar.storage.home import Home, Me
from draugar.trust.as_json import decoded, encoded
from draugar.trust.state import GroupState, Seen
from draugar.trust.values import Held, Name, OwnDevice, State

_MET = "own"
_OWN = "own_devices"


@dataclass
class Change:
    """A group that is being changed: the state that is saved at the end."""

    state: GroupState

    def trust(self, trust: State) -> None:
        """Change whom this device trusts."""
        self.state = replace(self.state, trust=trust)


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
    """Return what this device knows of a group. Raises HomeUnusable for what was changed there."""
    me = home.me()
    numbers = home.row("SELECT has_key FROM groups WHERE id = :group", group=group_id)
    revision, trust = _trust(home, me, group_id)
    prefix = f"{group_id} "
    return GroupState(
        trust=trust,
        name=me.name,
        is_further=me.is_further,
        revision=revision,
        has_key=bool(numbers and numbers["has_key"]),
        seen={seen.device_id: seen for seen in _seen(home, group_id)},
        met={
            UUID(row["name"].removeprefix(f"{_MET} ")): date.fromisoformat(row["value"])
            for row in home.rows("SELECT * FROM facts WHERE name LIKE :some", some=f"{_MET} %")
        },
        has_met=home.recall(_MET) is not None,
        told=frozenset(
            (row["kind"], row["about"].removeprefix(prefix))
            for row in home.rows("SELECT * FROM told WHERE about LIKE :some", some=f"{prefix}%")
        ),
    )


def _trust(home: Home, me: Me, group_id: UUID) -> tuple[int, State]:
    kept: dict[UUID, tuple[int, dict[str, Any]]] = {}
    for row in home.rows("SELECT * FROM states"):
        value = home.unseal_json(row["state"])
        # A state of another group, or of an earlier time, was put in its place.
        if (value["groupId"], value["revision"]) != (row["group_id"], row["revision"]):
            raise HomeUnusable(FailureCode.HOME_SECRET_NOT_OPENED)
        kept[UUID(row["group_id"])] = row["revision"], value["state"]
    revision, value = kept.pop(group_id, (0, {}))
    this = Device(me.user_id, me.device_id, me.device_key.public, DeviceKind.APP)
    found = {
        "me": encoded(this),
        "key": encoded(me.device_key),
        "groupId": str(group_id),
        # The name of a further device comes with its key package.
        **({} if me.is_further else {"card": encoded(Name(0, me.name))}),
    } | value
    if found["me"] != encoded(this):
        raise HomeUnusable(FailureCode.HOME_SECRET_NOT_OPENED)
    elsewhere = [
        one.key
        for _, other in kept.values()
        for one in decoded(Mapping[int, Held], other.get("held", {})).values()
    ]
    state: State = decoded(State, found)
    return revision, replace(state, own=own_devices(home), elsewhere=frozenset(elsewhere))


def own_devices(home: Home) -> dict[UUID, OwnDevice]:
    """Return the other devices of this home's person."""
    sealed = home.recall(_OWN)
    own: dict[UUID, OwnDevice] = (
        decoded(Mapping[UUID, OwnDevice], home.unseal_json(sealed)) if sealed is not None else {}
    )
    return own


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
    if after.trust != before.trust:
        keep_state(home, after.trust, revision=before.revision + 1)
    if after.has_key != before.has_key:
        home.do(
            "UPDATE groups SET has_key = :has_key WHERE id = :group",
            has_key=after.has_key,
            group=group_id,
        )
    for id_, seen in after.seen.items():
        if before.seen.get(id_) != seen:
            _save_seen(home, group_id, seen)
    for id_, day in after.met.items():
        if before.met.get(id_) != day:
            home.remember(f"{_MET} {id_}", day.isoformat())
    if after.has_met and not before.has_met:
        home.remember(_MET, "met")
    for kind, about in sorted(after.told - before.told):
        home.is_news(kind, f"{group_id} {about}")


def keep_state(home: Home, state: State, *, revision: int) -> None:
    """Save whom this device trusts in a group, and which devices are its person's in all."""
    kept = {
        "groupId": str(state.group_id),
        "revision": revision,
        "state": encoded(replace(state, own={}, elsewhere=frozenset())),
    }
    home.do(
        "INSERT OR REPLACE INTO states VALUES (:group, :revision, :state)",
        group=state.group_id,
        revision=revision,
        state=home.seal_json(kept),
    )
    keep_own_devices(home, state.own)


def keep_own_devices(home: Home, own: Mapping[UUID, OwnDevice]) -> None:
    """Save which devices are this home's person's."""
    home.remember(_OWN, home.seal_json(encoded(own)))


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
