"""Groups: who may do what in them, and what follows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chalicelib import auth
from chalicelib.auth import Caller, Credential
from chalicelib.db import OneStatement, Session
from chalicelib.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from chalicelib.groups import queries
from chalicelib.locations import partitions


@dataclass(frozen=True, kw_only=True)
class Membership:
    """A group, and what the caller is in it."""

    group_id: UUID
    user_id: UUID
    role: str
    joined_at: datetime
    sharing_paused: bool
    sharing_resumes_at: datetime | None
    name: str
    encryption: str
    key_version: int
    rotation_required: bool
    retention_days: int
    browsers: str
    is_confirmed: bool

    @property
    def is_admin(self) -> bool:
        """Whether the caller may run the group."""
        return self.role == "admin"

    @classmethod
    def of(cls, row: Any) -> "Membership":
        """Read a row that has the columns of the CTE `membership`."""
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})


class GroupNotFound(NotFound):
    """No such group, or the caller is not in it: nobody can tell which."""

    code = "group_not_found"
    detail = "There is no such group, or you are not in it."


class GroupRequired(Invalid):
    """The caller is in none or several groups and has not said which one is meant."""

    code = "group_required"

    def __init__(self, group_ids: str | None) -> None:
        super().__init__(
            f"groupId: name one of your groups: {group_ids}"
            if group_ids
            else "You are in no group."
        )


class NotAnAdmin(Forbidden):
    """Only an admin of the group may do this."""

    code = "not_an_admin"
    detail = "Only an admin of the group may do this."


class MemberNotFound(NotFound):
    """The person is not in this group."""

    code = "member_not_found"
    detail = "There is no such member in this group."


class NotConfirmed(Forbidden):
    """The group has a key, and nobody has let the calling device in to it."""

    code = "not_confirmed"
    detail = "Nobody has confirmed this device in the group yet. Ask a member to."


class GroupKeyMissing(Conflict):
    """No member has made a group key yet, so nothing can be encrypted under one."""

    code = "group_key_missing"
    detail = "No member of this group has made a key yet."


class KeyVersionConflict(Conflict):
    """What was sent belongs to another key than the group's present one."""

    code = "key_version_conflict"
    detail = "This is not made with the group's present key."

    @classmethod
    def with_present(cls, key_version: int) -> "KeyVersionConflict":
        """Return the error that says which version the group has now."""
        return cls(f"The group's key has version {key_version} now.")


class RotationRequired(Conflict):
    """Somebody who knew the present key has left: a new one has to be made first."""

    code = "rotation_required"
    detail = "The group needs a new key first: somebody who knew the present one has left."


class LastAdmin(Conflict):
    """A group is never without an admin."""

    code = "last_admin"
    detail = "This is the group's last admin. Make another member admin first."


MOST_MEMBERS = 50
MOST_DEVICES = 16
MOST_DEVICES_IN_GROUP = 150
MOST_GROUPS = 20
"""Of a group, of a person, of a group, and of a person: what all members are shown stays in bounds.
Only devices with public keys count. What there was before these bounds stays."""


class TooManyMembers(Conflict):
    """The group has as many members as it can have. The code is not spent."""

    code = "too_many_members"
    detail = (
        f"This group has {MOST_MEMBERS} members, the most that a group can have. The invite was not"
        " used. It works when a member has left."
    )


class TooManyDevices(Conflict):
    """The person has as many devices with public keys as one can have. The code is not spent."""

    code = "too_many_devices"
    detail = (
        f"This person has {MOST_DEVICES} devices with keys, the most that a person can have."
        " Nothing was changed. Revoke a device that is not used, then try again."
    )


class TooManyDevicesInGroup(Conflict):
    """A group would have more devices with public keys than it can. The code is not spent."""

    code = "too_many_devices_in_group"
    detail = (
        f"A group can have {MOST_DEVICES_IN_GROUP} devices with keys, and one of these groups would"
        " have more. Nothing was changed. Members revoke devices that are not used; then try again."
    )


class TooManyGroups(Conflict):
    """The person is in as many groups as one can be in. The code is not spent."""

    code = "too_many_groups"
    detail = (
        f"You are in {MOST_GROUPS} groups, the most that a person can be in. Nothing was changed."
        " Leave a group, then try again."
    )


class BrowsersRefused(Forbidden):
    """The group takes no devices that run in a browser. The code is not spent."""

    code = "browsers_refused"
    detail = (
        "This group does not accept browsers. The invite was not used. Join with an installed app."
    )


class ResumesInThePast(Invalid):
    """A pause has to end later than now, by the database's clock."""

    code = "resumes_in_the_past"
    detail = "until: should be in the future, and only stands beside a pause."


def list_groups(connection: OneStatement, *, credential: Credential) -> list[Membership]:
    """Return the caller's groups. Raises Unauthenticated."""
    rows = auth.read(connection, queries.LIST_MEMBERSHIPS, credential)
    return [Membership.of(row) for row in rows if row.group_id is not None]


def resolve(row: Any, *, group_id: UUID | None) -> None:
    """Check that a one-statement read found the group it was asked for, or the only one.

    `row` has `caller_user_id`, `group_ids`, and of the CTE `chosen` `group_id` and `is_confirmed`.
    Raises Unauthenticated, GroupNotFound, GroupRequired, NotConfirmed.
    """
    if row.caller_user_id is None:
        raise Unauthenticated
    if row.group_id is None and group_id is None:
        raise GroupRequired(row.group_ids)
    resolve_named(row)


def resolve_named(row: Any) -> None:
    """Check the same of a read that names its group, and that a confirmed device asks.

    Raises GroupNotFound, NotConfirmed.
    """
    if row.group_id is None:
        raise GroupNotFound
    if not row.is_confirmed:
        raise NotConfirmed


def only_group(session: Session, *, caller: Caller) -> UUID:
    """Return the caller's group where there is one only. Raises GroupRequired."""
    group_ids = queries.list_group_ids(session, user_id=caller.user_id)
    if len(group_ids) != 1:
        raise GroupRequired(", ".join(map(str, group_ids)) or None)
    return group_ids[0]


def enter(session: Session, *, caller: Caller, group_id: UUID) -> Membership:
    """Lock a group and return what the caller is in it, at the start of every change to it.

    The caller is looked up again under the lock: whoever removed them or revoked their device
    had it before. Raises GroupNotFound, Unauthenticated.
    """
    if not queries.lock_group(session, group_id=group_id, user_id=caller.user_id):
        raise GroupNotFound
    return find(session, caller=caller, group_id=group_id)


def enter_confirmed(session: Session, *, caller: Caller, group_id: UUID) -> Membership:
    """Do the same for what only confirmed devices may do. Raises NotConfirmed too."""
    membership = enter(session, caller=caller, group_id=group_id)
    if not membership.is_confirmed:
        raise NotConfirmed
    return membership


def enter_as_admin(session: Session, *, caller: Caller, group_id: UUID) -> Membership:
    """Do the same for what only admins may do. Raises NotAnAdmin too."""
    membership = enter(session, caller=caller, group_id=group_id)
    if not membership.is_admin:
        raise NotAnAdmin
    return membership


def find(session: Session, *, caller: Caller, group_id: UUID) -> Membership:
    """Return the caller's membership. Raises GroupNotFound, Unauthenticated."""
    row = session.execute(
        queries.FIND_MEMBERSHIP, caller.credential.parameters | {"asked_group_id": group_id}
    ).one()
    if row.caller_user_id is None:
        raise Unauthenticated
    if row.group_id is None:
        raise GroupNotFound
    return Membership.of(row)


def list_own(session: Session, *, caller: Caller) -> list[UUID]:
    """Return the ids of the caller's groups as they are now. Raises Unauthenticated."""
    rows = session.execute(queries.LIST_OWN, caller.credential.parameters).all()
    if rows[0].caller_user_id is None:
        raise Unauthenticated
    return [row.group_id for row in rows if row.group_id is not None]


def check_newcomer(room: Any) -> None:
    """Check that there was room for the person who has just entered a group that is locked.

    `room` has the columns of `queries.room_for_member`; where this raises, the transaction is given
    up. Raises TooManyDevicesInGroup, TooManyGroups, TooManyMembers.
    """
    if room.groups >= MOST_GROUPS:
        raise TooManyGroups
    if room.members >= MOST_MEMBERS:
        raise TooManyMembers
    if room.devices and room.devices_in_group + room.devices > MOST_DEVICES_IN_GROUP:
        raise TooManyDevicesInGroup


def check_devices(room: Any, *, more: int = 0) -> None:
    """Check that a person, and the person's groups, have room for their keyed devices and `more`.

    `room` has the columns of `queries.room_for_devices`; where this raises, the transaction is
    given up. Raises TooManyDevices, TooManyDevicesInGroup.
    """
    if room.devices + more > MOST_DEVICES:
        raise TooManyDevices
    if room.devices_in_fullest + more > MOST_DEVICES_IN_GROUP:
        raise TooManyDevicesInGroup


def found_group(session: Session, *, caller: Caller, name: str, encryption: str) -> Membership:
    """Make a group whose only member and admin is the caller.

    Raises TooManyGroups, Unauthenticated.
    """
    auth.hold(session, caller, alone=True)
    founded = queries.create_group(
        session, name=name, encryption=encryption, founder_id=caller.user_id
    )
    check_newcomer(founded)
    return find(session, caller=caller, group_id=founded.group_id)


def change_group(
    session: Session, *, caller: Caller, group_id: UUID, changes: Mapping[str, Any]
) -> Membership:
    """Set a group's `name`, `retention_days`, `browsers` or `encryption`, that to `required` only.

    Raises GroupNotFound, NotAnAdmin, Unauthenticated.
    """
    before = enter_as_admin(session, caller=caller, group_id=group_id)
    keeps_more = changes.get("retention_days", 0) > before.retention_days
    if keeps_more:
        # What was promised to be gone would come back where it waits for the daily maintenance.
        queries.delete_past_retention(session, group_id=group_id)
    if changes:
        queries.update_group(session, group_id=group_id, changes=dict(changes))
    if keeps_more:
        # Older points are accepted as soon as this commits, so there must be room for them.
        partitions.make(session)
    return replace(before, **changes)


def require_new_keys(session: Session) -> int:
    """Make every group with a key replace it before it takes another point; return how many."""
    return queries.require_new_keys(session)


def delete_group(session: Session, *, caller: Caller, group_id: UUID) -> None:
    """Delete a group and every point in it.

    Raises GroupNotFound, NotAnAdmin, Unauthenticated.
    """
    enter_as_admin(session, caller=caller, group_id=group_id)
    queries.delete_group(session, group_id=group_id)


def leave_group(session: Session, *, caller: Caller, group_id: UUID) -> None:
    """End the caller's membership, and delete what they posted there.

    Raises GroupNotFound, Unauthenticated.
    """
    enter(session, caller=caller, group_id=group_id)
    queries.delete_membership(session, group_id=group_id, user_id=caller.user_id)
    queries.settle(session, group_ids=[group_id])


def remove_member(session: Session, *, caller: Caller, group_id: UUID, user_id: UUID) -> None:
    """End somebody's membership. Where it was their last, their devices are revoked too.

    An account in another group stays signed in: no admin decides over somebody else's group.
    Raises GroupNotFound, NotAnAdmin, MemberNotFound, Unauthenticated.
    """
    enter_as_admin(session, caller=caller, group_id=group_id)
    if not queries.delete_membership(session, group_id=group_id, user_id=user_id):
        raise MemberNotFound
    queries.settle(session, group_ids=[group_id])
    if user_id != caller.user_id:
        # Whoever removes them elsewhere, or lets them in, at the same time waits for the other.
        queries.lock_user(session, user_id=user_id)
        queries.revoke_devices_of_the_groupless(session, user_id=user_id)


def change_role(
    session: Session, *, caller: Caller, group_id: UUID, user_id: UUID, role: str
) -> None:
    """Make a member `admin` or `member`.

    Raises GroupNotFound, NotAnAdmin, MemberNotFound, LastAdmin, Unauthenticated.
    """
    enter_as_admin(session, caller=caller, group_id=group_id)
    if not queries.update_role(session, group_id=group_id, user_id=user_id, role=role):
        raise MemberNotFound
    if role != "admin" and not queries.has_admin(session, group_id=group_id):
        raise LastAdmin


def set_sharing(
    session: Session, *, caller: Caller, group_id: UUID, paused: bool, until: datetime | None
) -> None:
    """Pause the caller's own sharing, for ever or until a time, or resume it.

    Raises GroupNotFound, ResumesInThePast, Unauthenticated.
    """
    enter(session, caller=caller, group_id=group_id)
    if until is not None and not paused:
        raise ResumesInThePast
    if not queries.update_sharing(
        session, group_id=group_id, user_id=caller.user_id, paused=paused, until=until
    ):
        raise ResumesInThePast
