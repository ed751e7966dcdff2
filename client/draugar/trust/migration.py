"""What a home of form 1 knows, as states of form 2."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from draugar.protocol.secrets import DeviceKey, GroupKey, Secret
from draugar.protocol.statements import Device, DeviceKind
from draugar.trust.values import (
    NEVER,
    Held,
    Link,
    Name,
    OwnDevice,
    Record,
    Source,
    State,
    introduced,
)


class FormerSource(StrEnum):
    """By what a device was trusted, as form 1 writes it."""

    PROOF = "invite proof"
    SAFETY = "safety number"
    ROSTER = "another member"


_SOURCES = {
    FormerSource.PROOF: Source.PROOF,
    FormerSource.SAFETY: Source.SAFETY,
    FormerSource.ROSTER: Source.MEMBER,
}


@dataclass(frozen=True, kw_only=True)
class FormerDevice:
    """A row of `trust`."""

    device_id: UUID
    user_id: UUID
    name: str = field(repr=False)
    public_key: bytes
    source: FormerSource
    version: int
    vouched_by: UUID | None = None
    ended: str | None = None
    ended_version: int | None = None

    @property
    def device(self) -> Device:
        """The device; form 1 knows no browsers."""
        return Device(self.user_id, self.device_id, self.public_key, DeviceKind.APP)


@dataclass(frozen=True, kw_only=True)
class FormerLink:
    """A row of `invites`, with its proof opened."""

    id: UUID
    for_me: bool
    proof_key: Secret
    code: str = field(repr=False)
    expires_at: float
    device_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class FormerGroup:
    """What a home knows of a group."""

    group_id: UUID
    highest: int
    attempted: int
    compromised: int
    keys: Mapping[int, tuple[GroupKey, float]]
    """With when they were accepted."""
    devices: tuple[FormerDevice, ...] = ()
    compared: Mapping[UUID, bytes] = field(default_factory=dict)
    """Of each person the public keys that were compared, one after the other."""
    links: tuple[FormerLink, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FormerHome:
    """A home of form 1."""

    user_id: UUID
    device_id: UUID
    key: DeviceKey
    name: str = field(repr=False)
    is_further: bool
    """Whether this device came in by a link for a further device of a person."""
    groups: tuple[FormerGroup, ...]
    met: Mapping[UUID, int] = field(default_factory=dict)
    """Other devices of this person, with the day on which they were first seen."""

    @property
    def me(self) -> Device:
        """This device."""
        return Device(self.user_id, self.device_id, self.key.public, DeviceKind.APP)


def migrated(home: FormerHome) -> tuple[State, ...]:
    """Return the states of a home's groups, in the same order."""
    own = _own(home)
    return tuple(_state(home, group, own) for group in home.groups)


def _own(home: FormerHome) -> dict[UUID, OwnDevice]:
    # "Own devices are those of its person that it trusts by proof and that either used a `me` link
    # of this home or, where this device is a further one, are the inviter in the group with the
    # earliest key."
    used = {link.device_id for group in home.groups for link in group.links if link.for_me}
    inviter = _inviter(home, used)
    return {
        one.device_id: OwnDevice(
            one.public_key,
            frozenset(
                group.group_id
                for group in home.groups
                for row in group.devices
                if row.device == one.device and row.ended is None
            ),
        )
        for one in _mine_by_proof(home, home.groups)
        if one.device_id in used or one.device_id == inviter
    }


def _inviter(home: FormerHome, used: Iterable[UUID | None]) -> UUID | None:
    keyed = [group for group in home.groups if group.keys]
    if not home.is_further or not keyed:
        return None
    first = min(keyed, key=lambda group: min(at for _, at in group.keys.values()))
    # Form 1 does not note who the inviter was. Where several may be it, none is believed to be.
    candidates = {one.device_id for one in _mine_by_proof(home, [first])} - {*used}
    return candidates.pop() if len(candidates) == 1 else None


def _mine_by_proof(home: FormerHome, groups: Iterable[FormerGroup]) -> Iterator[FormerDevice]:
    for group in groups:
        for one in group.devices:
            if (
                one.user_id == home.user_id
                and one.source is FormerSource.PROOF
                and one.ended is None
            ):
                yield one


def _state(home: FormerHome, group: FormerGroup, own: Mapping[UUID, OwnDevice]) -> State:
    others = [other for other in home.groups if other is not group]
    mine = [one.device_id for one in group.devices if one.user_id == home.user_id]
    return State(
        me=home.me,
        key=home.key,
        group_id=group.group_id,
        # "a version was last current when its key was accepted."
        held={
            version: Held(key=key, first_held=at, last_current=at)
            for version, (key, at) in group.keys.items()
        },
        elsewhere=frozenset(key for other in others for key, _ in other.keys.values()),
        highest=group.highest,
        attempted=group.attempted,
        compromised=group.compromised,
        records={
            one.device_id: _record(one, home, own)
            for one in group.devices
            if one.device_id != home.device_id
        },
        links=tuple(_link(link) for link in group.links),
        own=own,
        card=Name(0, home.name),
        introduced=_names(home, group),
        compared={
            user_id: frozenset(
                one.device_id
                for one in group.devices
                if one.user_id == user_id and one.public_key in _chunks(keys)
            )
            for user_id, keys in group.compared.items()
        },
        greeted=frozenset(one.device_id for one in group.devices),
        met=dict.fromkeys(mine, 0) | dict(home.met),
    )


def _record(one: FormerDevice, home: FormerHome, own: Mapping[UUID, OwnDevice]) -> Record:
    # "`since` is the version by which a device was trusted, `ended` the version at which that
    # ended;" What has ended stays so.
    ended = NEVER if one.ended is None else max(one.ended_version or NEVER, one.version)
    is_ordinary = one.user_id == home.user_id and one.device_id not in own
    return Record(
        device=one.device,
        since=one.version,
        source=Source.MEMBER if is_ordinary else _SOURCES[one.source],
        by=one.vouched_by,
        observed=ended,
        removed=one.ended == "removed",
    )


def _link(link: FormerLink) -> Link:
    # Under which version it was made is not known: any end closes it.
    return Link(
        id=link.id,
        for_me=link.for_me,
        proof_key=link.proof_key,
        code=link.code,
        version=0,
        expires_at=link.expires_at,
        used_by=link.device_id,
    )


def _names(home: FormerHome, group: FormerGroup) -> dict[UUID, str]:
    # "names are introductions;" of a trusted device before those of others.
    ordered = sorted(group.devices, key=lambda one: (one.ended is not None, one.device_id))
    return introduced(
        {}, [(one.user_id, one.name) for one in ordered if one.user_id != home.user_id]
    )


def _chunks(keys: bytes) -> frozenset[bytes]:
    return frozenset(keys[start : start + 32] for start in range(0, len(keys), 32))
