"""What should be true of people, groups, invites, keys and points, in plain Python.

Written from the protocol and the list of errors, and knows nothing of the service. A check raises
`Refused` with the code that a client should be told; what follows from a success is done to these
objects. Times are those of the wire; `age` makes everything older at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

REPEATABLE = timedelta(minutes=15)
AHEAD = timedelta(minutes=10)


class Refused(Exception):
    """A client should be told this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Named:
    """What a failing example shows by its name, without all that hangs together with it."""

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        printer.text(repr(self))


@dataclass(eq=False)
class Person(Named):
    """Somebody, with what they are called."""

    id: str
    name: str
    is_deleted: bool = False

    def __repr__(self) -> str:
        return f"<{self.name} {self.id[-4:]}>"


@dataclass(eq=False)
class Device(Named):
    """What acts for somebody; `is_valid` until it is revoked."""

    id: str
    owner: Person
    token: str
    public_key: str | None
    is_valid: bool = True

    def __repr__(self) -> str:
        return f"<device {self.id[-4:]} of {self.owner}>"


@dataclass(eq=False)
class Point(Named):
    """A point as it was sent, and when, in the order of all that happened."""

    id: UUID
    device: Device
    body: dict[str, Any]
    happened: int

    def __repr__(self) -> str:
        return f"<point {str(self.id)[-4:]} of {self.device}>"

    @property
    def recorded_at(self) -> datetime:
        """The time in its id."""
        return time_of(self.id)


@dataclass(eq=False)
class Member:
    """What somebody is in a group."""

    role: str
    joined_at: datetime
    happened: int
    paused: bool = False
    resumes_at: datetime | None = None
    points: dict[UUID, Point] = field(default_factory=dict)

    @property
    def is_paused(self) -> bool:
        """Whether the pause holds; it ends by itself."""
        return self.paused and (self.resumes_at is None or self.resumes_at > now())


@dataclass(eq=False)
class Envelope:
    """That a device is confirmed in a version, and what was wrapped for it, if it was."""

    happened: int
    wrapped: str | None = None
    wrapper: Device | None = None
    wrapper_key: str | None = None
    entry: str | None = None


@dataclass(eq=False)
class Version:
    """A group's key, as far as the service may know it."""

    commitment: str
    roster: str | None


@dataclass(eq=False)
class Group(Named):
    """People who share their points. Members stand in the order in which they came."""

    id: str
    name: str
    encryption: str
    retention_days: int = 30
    key_version: int = 0
    rotation_required: bool = False
    is_deleted: bool = False
    members: dict[Person, Member] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    envelopes: dict[tuple[int, Device], Envelope] = field(default_factory=dict)
    given: set[tuple[int, Device]] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"<group {self.id[-4:]}>"

    def give(self, version: int, device: Device, envelope: Envelope) -> None:
        """Give a device a version of the key, which nothing undoes."""
        self.envelopes[version, device] = envelope
        self.given.add((version, device))

    def was_given(self, device: Device) -> bool:
        """Whether a device was given any version."""
        return any(device is other for _, other in self.given)

    def is_confirmed(self, device: Device) -> bool:
        """Whether a member's device may act; without a key every one may."""
        return self.key_version == 0 or (self.key_version, device) in self.envelopes


@dataclass(eq=False)
class Invite(Named):
    """A code, what it is for, and what became of it."""

    id: str
    code: str
    group: Group | None
    maker: Person | None
    expires_at: datetime | None
    for_me: bool = False
    package: str | None = None
    key_version: int | None = None
    is_revoked: bool = False
    used_at: datetime | None = None
    used_by: Person | None = None
    used_by_device: Device | None = None
    key: str | None = None
    proof: str | None = None

    def __repr__(self) -> str:
        return f"<invite {self.id[-4:]}>"

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now()

    @property
    def is_live(self) -> bool:
        """Whether it would let somebody in now."""
        return self.used_at is None and not self.is_revoked and not self.is_expired

    def revoke(self) -> None:
        """Make an unused one worthless."""
        if self.used_at is None:
            self.is_revoked, self.package = True, None


@dataclass(eq=False)
class Model:
    """All that there is."""

    people: list[Person] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    invites: list[Invite] = field(default_factory=list)
    ticks: Iterator[int] = field(default_factory=count)

    # --- Who may

    def known(self, device: Device) -> None:
        """Check that somebody is signed in."""
        if not device.is_valid:
            raise Refused("unauthenticated")

    def member(self, device: Device, group: Group) -> Member:
        """Check that they are in the group."""
        self.known(device)
        if group.is_deleted or device.owner not in group.members:
            raise Refused("group_not_found")
        return group.members[device.owner]

    def admin(self, device: Device, group: Group) -> Member:
        """Check that they run it."""
        member = self.member(device, group)
        if member.role != "admin":
            raise Refused("not_an_admin")
        return member

    def confirmed(self, device: Device, group: Group) -> Member:
        """Check that their device was let in to its key."""
        member = self.member(device, group)
        if not group.is_confirmed(device):
            raise Refused("not_confirmed")
        return member

    def named(self, device: Device, group: Group | None) -> Group:
        """Return the group that is meant: the one that is named, or their only one."""
        self.known(device)
        if group is not None:
            return group
        groups = self.groups_of(device.owner)
        if len(groups) != 1:
            raise Refused("group_required")
        return groups[0]

    # --- Who is there

    def groups_of(self, person: Person) -> list[Group]:
        """Return somebody's groups, in the order in which they came to them."""
        found = [group for group in self.groups if person in group.members]
        return sorted(found, key=lambda group: group.members[person].happened)

    def devices_of(self, person: Person) -> list[Device]:
        """Return somebody's devices that are signed in."""
        return [device for device in self.devices if device.owner is person and device.is_valid]

    def devices_ever_of(self, person: Person) -> list[Device]:
        """Return a person's devices, also those that are revoked."""
        return [device for device in self.devices if device.owner is person]

    def keyed_devices(self, group: Group) -> list[Device]:
        """Return the members' devices that a key can be wrapped for."""
        return [
            device
            for person in group.members
            for device in self.devices_of(person)
            if device.public_key is not None
        ]

    def invites_of(self, group: Group) -> list[Invite]:
        """Return the invites to a group."""
        return [invite for invite in self.invites if invite.group is group]

    def forget_old_points(self, group: Group) -> int:
        """Drop what a group keeps no longer; return how many points that were."""
        oldest, deleted = now() - timedelta(days=group.retention_days), 0
        for member in group.members.values():
            kept = {p.id: p for p in member.points.values() if p.recorded_at >= oldest}
            deleted += len(member.points) - len(kept)
            member.points = kept
        return deleted

    def points(self) -> list[Point]:
        """Return every point that is stored."""
        return [
            point
            for group in self.groups
            for member in group.members.values()
            for point in member.points.values()
        ]

    def by_code(self, code: str) -> Invite | None:
        """Return the invite with a code, however it is spelled."""
        canonical = "".join(letter for letter in code if letter.isalnum()).upper()
        return next((invite for invite in self.invites if invite.code == canonical), None)

    def proof_of(self, device: Device, group: Group) -> str | None:
        """Return what a device proved when it came in to the membership that its person has."""
        joined_at = group.members[device.owner].joined_at
        shown = [
            invite
            for invite in self.invites_of(group)
            if invite.used_by_device is device
            and invite.used_at is not None
            and invite.used_at >= joined_at
        ]
        return max(shown, key=lambda invite: invite.used_at or now()).proof if shown else None

    def visible(self, device: Device, group: Group) -> list[Point]:
        """Return the points that a confirmed device is shown, newest first.

        Of others only what was recorded, and came, since its person joined.
        """
        me = group.members[device.owner]
        oldest = now() - timedelta(days=group.retention_days)
        shown = [
            point
            for person, member in group.members.items()
            for point in member.points.values()
            if point.recorded_at >= oldest
            and (
                person is device.owner
                or (point.recorded_at >= me.joined_at and point.happened > me.happened)
            )
        ]
        return sorted(shown, key=lambda point: (point.id.int, point.device.owner.id), reverse=True)

    # --- What follows

    def enter(self, group: Group, person: Person, joined_at: datetime, role: str) -> None:
        """Let somebody in."""
        group.members[person] = Member(role, joined_at, next(self.ticks))

    def found(self, person: Person, told: dict[str, Any]) -> Group:
        """Make a group as its founder is told of it."""
        group = Group(told["id"], told["name"], told["encryption"])
        self.groups.append(group)
        self.enter(group, person, moment(told["joinedAt"]), "admin")
        return group

    def end_membership(self, group: Group, person: Person) -> None:
        """Let a member go, with their points and envelopes, and put the group in order."""
        knew_key = any((group.key_version, d) in group.given for d in self.devices_ever_of(person))
        del group.members[person]
        group.given = {(version, d) for version, d in group.given if d.owner is not person}
        group.envelopes = {
            (version, device): envelope
            for (version, device), envelope in group.envelopes.items()
            if device.owner is not person
        }
        if not group.members:
            self.end_group(group)
            return
        if all(member.role != "admin" for member in group.members.values()):
            next(iter(group.members.values())).role = "admin"
        for invite in self.invites_of(group):
            if invite.maker is person:
                invite.revoke()
        if knew_key:
            self.require_rotation(group)

    def require_rotation(self, group: Group) -> None:
        """Void the codes, and the key, that a device knows which has gone."""
        group.rotation_required = True
        for invite in self.invites_of(group):
            invite.revoke()

    def end_group(self, group: Group) -> None:
        """Delete a group with everything in it."""
        group.is_deleted = True
        group.members.clear()
        group.envelopes.clear()
        self.groups.remove(group)
        self.invites = [invite for invite in self.invites if invite.group is not group]

    def revoke_devices(self, person: Person) -> None:
        """Sign somebody out everywhere."""
        for device in self.devices_of(person):
            device.is_valid = False

    def revoke_device(self, device: Device) -> None:
        """Revoke a device: a key that it knew is to be replaced, codes that it made are void."""
        for invite in self.invites:
            if invite.maker is device.owner and invite.for_me:
                invite.revoke()
        if device.is_valid:
            for group in self.groups_of(device.owner):
                if (group.key_version, device) in group.given:
                    self.require_rotation(group)
        device.is_valid = False

    def delete_person(self, person: Person) -> None:
        """Delete all that is known of somebody; a code that they used stays used."""
        self.revoke_devices(person)
        for group in self.groups_of(person):
            self.end_membership(group, person)
        self.invites = [invite for invite in self.invites if invite.maker is not person]
        for invite in self.invites:
            if invite.used_by is person:
                invite.used_by = invite.used_by_device = None
        self.devices = [device for device in self.devices if device.owner is not person]
        self.people.remove(person)
        person.is_deleted = True

    def age(self, span: timedelta) -> None:
        """Let so much time have passed since everything that has happened."""
        for group in self.groups:
            for member in group.members.values():
                member.joined_at -= span
                if member.resumes_at is not None:
                    member.resumes_at -= span
                for point in member.points.values():
                    point.id = earlier(point.id, span)
                member.points = {point.id: point for point in member.points.values()}
        for invite in self.invites:
            if invite.expires_at is not None:
                invite.expires_at -= span
            if invite.used_at is not None:
                invite.used_at -= span


def now() -> datetime:
    """Return this moment; the server is on the same machine."""
    return datetime.now(UTC)


def moment(text: str) -> datetime:
    """Read a time of the wire."""
    return datetime.fromisoformat(text)


def time_of(id_: UUID) -> datetime:
    """Return the time in a UUID of version 7."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=id_.int >> 80)


def earlier(id_: UUID, span: timedelta) -> UUID:
    """Return the same UUID, made so much earlier."""
    return UUID(int=id_.int - (span // timedelta(milliseconds=1) << 80))
