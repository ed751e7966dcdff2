"""Where membership is decided, and what follows when it changes.

Locks are taken in one order everywhere: groups by id, then a membership, then an invite, then
people, then devices; and each at once as strongly as it is needed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import aliased

from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session
from chalicelib.models import (
    DepartedTid,
    Device,
    GivenKey,
    Group,
    InviteCode,
    KeyEnvelope,
    Location,
    Member,
    User,
)


def membership(caller: CTE, *, locked: bool = False) -> CTE:
    """Return the CTE `membership`: the caller's groups, each with what the caller is in it.

    Of a phone with OwnTracks it is the one group that it was set up for.
    `locked` reads the groups and memberships FOR SHARE: no change of members, devices or keys
    commits between this and the end of the statement.
    """
    found = (
        select(
            Member.group_id,
            Member.user_id,
            Member.role,
            Member.joined_at,
            sharing_paused().label("sharing_paused"),
            Member.sharing_resumes_at,
            Group.name,
            Group.encryption,
            Group.key_version,
            Group.rotation_required,
            Group.retention_days,
            Group.browsers,
            is_confirmed(caller).label("is_confirmed"),
        )
        .join(Group, Group.id == Member.group_id)
        .where(Member.user_id == select(caller.c.user_id).scalar_subquery())
    )
    if _is_phone(caller):
        found = found.where(Group.id == select(caller.c.group_id).scalar_subquery())
    if locked:
        # The group before the member, as everybody does who changes one.
        found = found.order_by(Group.id).with_for_update(read=True, of=[Group, Member])
    return found.cte("membership")


def chosen(membership: CTE) -> CTE:
    """Return the CTE `chosen`: the group named by `asked_group_id`, or the only one there is."""
    asked = cast(bindparam("asked_group_id"), Uuid)
    only = select(func.count()).select_from(membership).scalar_subquery() == literal_column("1")
    return (
        select(membership)
        .where(or_(membership.c.group_id == asked, and_(asked.is_(None), only)))
        .cte("chosen")
    )


def group_ids(membership: CTE) -> ColumnElement[str | None]:
    """Return the ids of the caller's groups as one text, separated by commas."""
    return select(
        func.string_agg(cast(membership.c.group_id, Text), literal_column("', '"))
    ).scalar_subquery()


def is_confirmed(caller: CTE) -> ColumnElement[bool]:
    """Whether the calling device may act in the group: it is confirmed in the group's present key.

    Without a key every member's device is; a phone with OwnTracks was let in by one that is.
    """
    if _is_phone(caller):
        return true()
    envelope = select(KeyEnvelope.id).where(
        KeyEnvelope.device_id == select(caller.c.device_id).scalar_subquery(),
        KeyEnvelope.group_id == Group.id,
        KeyEnvelope.key_version == Group.key_version,
    )
    return or_(Group.key_version == literal_column("0"), envelope.exists())


def _is_phone(caller: CTE) -> bool:
    return "group_id" in caller.c


def needs_setup(phone: Any) -> ColumnElement[bool]:
    """Whether a phone has to be set up again, for its group's key is another now.

    Null for what is no phone. One without a key goes on where plaintext is taken.
    """
    return and_(
        phone.key_version != Group.key_version,
        or_(
            phone.key_version > literal_column("0"),
            Group.encryption == literal_column("'required'"),
        ),
    )


def sharing_paused() -> ColumnElement[bool]:
    """Whether a member's sharing is paused at this moment; it resumes by itself."""
    return and_(
        Member.sharing_paused,
        or_(Member.sharing_resumes_at.is_(None), Member.sharing_resumes_at > func.now()),
    )


_HAS_KEY = and_(Device.public_key.is_not(None), auth.IS_VALID)
_CALLER = auth.caller()
_MEMBERSHIP = membership(_CALLER)
LIST_MEMBERSHIPS = Compiled(
    lambda: auth.answer(_CALLER, _MEMBERSHIP, *_MEMBERSHIP.c).order_by(_MEMBERSHIP.c.group_id)
)
_ASKED = (
    select(_MEMBERSHIP)
    .where(_MEMBERSHIP.c.group_id == bindparam("asked_group_id", type_=Uuid))
    .cte("asked")
)
FIND_MEMBERSHIP = auth.answer(_CALLER, _ASKED, *_ASKED.c, touch=False)
LIST_OWN = auth.answer(_CALLER, _MEMBERSHIP, _MEMBERSHIP.c.group_id, touch=False).order_by(
    _MEMBERSHIP.c.group_id
)


def list_group_ids(session: Session, *, user_id: UUID) -> list[UUID]:
    """Return the ids of a person's groups."""
    statement = select(Member.group_id).where(Member.user_id == user_id).order_by(Member.group_id)
    return list(session.scalars(statement))


def lock_group(session: Session, *, group_id: UUID, user_id: UUID) -> bool:
    """Lock the row of a group that somebody is in; False if there is none.

    Whoever is not in it neither holds the group up nor learns that there is something to wait for.
    """
    mine = select(Member.id).where(Member.group_id == Group.id, Member.user_id == user_id)
    statement = select(Group.id).where(Group.id == group_id, mine.exists()).with_for_update()
    return session.scalar(statement) is not None


def lock_groups_of(session: Session, *, user_id: UUID) -> list[UUID]:
    """Lock the rows of all groups of a person, and return their ids."""
    mine = select(Member.group_id).where(Member.user_id == user_id)
    statement = select(Group.id).where(Group.id.in_(mine)).order_by(Group.id).with_for_update()
    return list(session.scalars(statement))


def lock_user(session: Session, *, user_id: UUID) -> None:
    """Lock a person's row: no request, not one of their own, puts them into a group meanwhile."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update())


def room_for_member(group_id: UUID | None, user_id: UUID) -> Sequence[ColumnElement[Any]]:
    """Return columns that count what is bounded before a person enters a group, or founds one.

    Of the group `members` and `devices_in_group`; of the person `groups` and `devices`. Only
    devices with public keys count.

    They stand in the statement that writes, for it sees what was there before itself, but all that
    was committed before it got the locks: the statement that locks may have seen less.
    """
    in_group = (
        select(func.count())
        .select_from(Device)
        .join(Member, Member.user_id == Device.user_id)
        .where(Member.group_id == group_id, _HAS_KEY)
    )
    return _labelled(
        members=select(func.count()).where(Member.group_id == group_id),
        devices_in_group=in_group,
        groups=select(func.count()).where(Member.user_id == user_id),
        devices=_devices_of(user_id),
    )


def room_for_devices(user_id: UUID) -> Sequence[ColumnElement[Any]]:
    """Return columns that count what is bounded before a person has one more device with a key.

    `devices`, and `devices_in_fullest`, which is how many all members have in that one of the
    person's groups with the most.
    """
    mine, other = aliased(Member), aliased(Member)
    in_each = (
        select(func.count().label("devices"))
        .select_from(mine)
        .join(other, other.group_id == mine.group_id)
        .join(Device, Device.user_id == other.user_id)
        .where(mine.user_id == user_id, _HAS_KEY)
        .group_by(mine.group_id)
        .subquery("in_each")
    )
    return _labelled(
        devices=_devices_of(user_id),
        devices_in_fullest=select(func.coalesce(func.max(in_each.c.devices), 0)),
    )


def _devices_of(user_id: UUID) -> Select[Any]:
    return select(func.count()).where(Device.user_id == user_id, _HAS_KEY)


def _labelled(**counted: Select[Any]) -> Sequence[ColumnElement[Any]]:
    # Or the devices would be those of a statement that updates one.
    return [each.correlate(None).scalar_subquery().label(name) for name, each in counted.items()]


def create_group(session: Session, *, name: str, encryption: str, founder_id: UUID) -> Any:
    """Make a group with one member, its admin; return its `group_id`, and the room there was."""
    founded = new_group(name=name, encryption=encryption, founder_id=founder_id)
    room = room_for_member(None, founder_id)
    return session.execute(select(founded.c.group_id, *room)).one()


def new_group(*, name: str, encryption: str, founder_id: UUID) -> CTE:
    """Return the CTE that makes a group with one member, its admin, and has its `group_id`."""
    founded = insert(Group).values(name=name, encryption=encryption).returning(Group.id)
    group = founded.cte("founded")
    return (
        insert(Member)
        .from_select(
            ["group_id", "user_id", "role"],
            select(group.c.id, cast(literal(founder_id), Uuid), literal("admin")),
        )
        .returning(Member.group_id)
        .cte("entered")
    )


def new_member(*, group_id: UUID, user_id: UUID) -> CTE:
    """Return the CTE that adds a member and has the `group_id`; empty if they are one already."""
    return (
        insert(Member)
        .values(group_id=group_id, user_id=user_id, role="member")
        .on_conflict_do_nothing(index_elements=["group_id", "user_id"])
        .returning(Member.group_id)
        .cte("entered")
    )


def present_member(*, group_id: UUID, user_id: UUID) -> CTE:
    """Return the CTE that has the `group_id` of a membership that there is."""
    return (
        select(Member.group_id)
        .where(Member.group_id == group_id, Member.user_id == user_id)
        .cte("entered")
    )


def update_group(session: Session, *, group_id: UUID, changes: dict[str, Any]) -> None:
    """Set the given columns of a group."""
    session.execute(update(Group).where(Group.id == group_id).values(**changes))


def delete_past_retention(session: Session, *, group_id: UUID) -> None:
    """Delete the points that a group keeps no longer."""
    day: ColumnElement[Any] = literal_column("interval '1 day'")
    session.execute(
        delete(Location).where(
            Location.group_id == group_id,
            Group.id == group_id,
            Location.recorded_at < func.now() - Group.retention_days * day,
        ),
        # Or it would fetch the keys of all that it deletes.
        execution_options={"synchronize_session": False},
    )


def require_new_keys(session: Session) -> int:
    """Require a new key of every group that has one; return how many groups."""
    locked = (
        select(Group.id)
        .where(Group.key_version > 0)
        .order_by(Group.id)
        .with_for_update()
        .scalar_subquery()
    )
    return _count(
        session,
        update(Group).where(Group.id == any_(func.array(locked))).values(rotation_required=True),
    )


def delete_group(session: Session, *, group_id: UUID) -> None:
    """Delete a group with its memberships, invites and points."""
    session.execute(delete(Group).where(Group.id == group_id))


def update_sharing(
    session: Session, *, group_id: UUID, user_id: UUID, paused: bool, until: datetime | None
) -> int:
    """Pause or resume one's sharing; 0 when `until` is not in the future."""
    statement = (
        update(Member)
        .where(Member.group_id == group_id, Member.user_id == user_id)
        .values(sharing_paused=paused, sharing_resumes_at=until)
    )
    if until is not None:
        statement = statement.where(until > func.now())
    return _count(session, statement)


def update_role(session: Session, *, group_id: UUID, user_id: UUID, role: str) -> int:
    """Set a member's role; 0 when there is no such member."""
    statement = (
        update(Member)
        .where(Member.group_id == group_id, Member.user_id == user_id)
        .values(role=role)
    )
    return _count(session, statement)


def has_admin(session: Session, *, group_id: UUID) -> bool:
    """Whether the group has an admin."""
    admins = select(Member.id).where(Member.group_id == group_id, Member.role == "admin")
    return bool(session.scalar(select(admins.exists())))


def delete_membership(session: Session, *, group_id: UUID, user_id: UUID) -> int:
    """End a membership, and with it everything the person posted there."""
    statement = (
        delete(Member)
        .where(Member.group_id == group_id, Member.user_id == user_id)
        .add_cte(*departure(group_ids=[group_id], user_id=user_id))
    )
    return _count(session, statement)


def departure(*, group_ids: Sequence[UUID], user_id: UUID) -> tuple[CTE, ...]:
    """Return the CTEs of what a departure from groups causes there, beside the deletion itself.

    The tids of the person's phones are kept from others, and the person's open invites revoked. A
    group whose present key the person has been given needs a new one, and loses all open invites.
    They go into the statement that deletes, which still sees what was given.
    """
    exposed = _exposed(
        group_ids, given=GivenKey.user_id == user_id, phone=Device.user_id == user_id
    )
    of_person = and_(InviteCode.group_id.in_(group_ids), InviteCode.created_by == user_id)
    tids = _departed_tids(Device.group_id.in_(group_ids), Device.user_id == user_id)
    return (tids, *_replacement(exposed, of_person))


def _departed_tids(*whose: ColumnElement[bool]) -> CTE:
    """Return the CTE that keeps the tids of phones that go with a membership from others."""
    tids = select(Device.group_id, Device.tid).where(Device.tid.is_not(None), *whose).distinct()
    kept = insert(DepartedTid).from_select(["group_id", "tid"], tids)
    return kept.on_conflict_do_update(
        index_elements=["group_id", "tid"], set_={"departed_at": func.now()}
    ).cte("departed")


def settle(session: Session, *, group_ids: Sequence[UUID]) -> None:
    """Put groups in order that a member has just left.

    The longest-standing member becomes admin where none is left; a group without members goes.
    """
    admin, inhabitant = aliased(Member), aliased(Member)
    heirs = (
        select(Member.id)
        .where(
            Member.group_id.in_(group_ids),
            ~select(admin.id)
            .where(admin.group_id == Member.group_id, admin.role == "admin")
            .exists(),
        )
        .ext(distinct_on(Member.group_id))
        .order_by(Member.group_id, Member.joined_at, Member.id)
    )
    promoted = update(Member).where(Member.id.in_(heirs)).values(role="admin")
    inhabited = select(inhabitant.id).where(inhabitant.group_id == Group.id).exists()
    session.execute(
        delete(Group).where(Group.id.in_(group_ids), ~inhabited).add_cte(promoted.cte("promoted"))
    )


def replace_keys_known_to(session: Session, *, group_ids: Sequence[UUID], device_id: UUID) -> None:
    """Require a new key of those groups whose present key a device has been given.

    Their open invites are revoked.
    """
    exposed = _exposed(
        group_ids, given=GivenKey.device_id == device_id, phone=Device.id == device_id
    )
    rotated, revoked = _replacement(exposed)
    session.execute(select(rotated.c.id).add_cte(revoked))


def revoke_invites_with(session: Session, *, device_id: UUID, user_id: UUID) -> None:
    """Make a person's open invites worthless, unless that device of theirs is revoked already."""
    valid = select(Device.id).where(
        Device.id == device_id, Device.user_id == user_id, Device.revoked_at.is_(None)
    )
    session.execute(
        update(InviteCode)
        .where(
            InviteCode.created_by == user_id,
            InviteCode.used_at.is_(None),
            InviteCode.revoked_at.is_(None),
            valid.exists(),
        )
        .values(revoked_at=func.now(), key_package=None)
    )


def revoke_devices_of_the_groupless(session: Session, *, user_id: UUID) -> None:
    """Revoke a person's devices if they are in no group any more."""
    elsewhere = select(Member.id).where(Member.user_id == user_id).exists()
    session.execute(
        update(Device)
        .where(Device.user_id == user_id, Device.revoked_at.is_(None), ~elsewhere)
        .values(revoked_at=func.now())
    )


def _exposed(
    group_ids: Sequence[UUID], *, given: ColumnElement[bool], phone: ColumnElement[bool]
) -> CTE:
    """Return the CTE of those groups whose present key certain devices, or phones, have.

    `given` says of the rows of GivenKey, and `phone` of those of Device, which ones.
    """
    was_given = select(GivenKey.device_id).where(
        given, GivenKey.group_id == Group.id, GivenKey.key_version == Group.key_version
    )
    is_set_up = select(Device.id).where(
        phone, Device.group_id == Group.id, Device.key_version == Group.key_version
    )
    return (
        select(Group.id)
        .where(
            Group.id.in_(group_ids),
            Group.key_version > 0,
            or_(was_given.exists(), is_set_up.exists()),
        )
        .cte("exposed")
    )


def _replacement(exposed: CTE, *others: ColumnElement[bool]) -> tuple[CTE, CTE]:
    """Return the CTEs that require a new key of groups, and revoke their open invites and others.

    Whoever knows the key may also know the invites, or be known to who has one.
    """
    ids = select(exposed.c.id)
    rotated = (
        update(Group).where(Group.id.in_(ids)).values(rotation_required=True).returning(Group.id)
    )
    revoked = (
        update(InviteCode)
        .where(
            or_(InviteCode.group_id.in_(ids), *others),
            InviteCode.used_at.is_(None),
            InviteCode.revoked_at.is_(None),
        )
        .values(revoked_at=func.now(), key_package=None)
    )
    return rotated.cte("rotated"), revoked.cte("revoked")


def _count(session: Session, statement: Any) -> int:
    result: Any = session.execute(statement)
    return int(result.rowcount)
