"""Invite codes in the database."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    SelectBase,
    Uuid,
    and_,
    any_,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from chalicelib.auth import Caller
from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session
from chalicelib.groups import queries as groups
from chalicelib.models import Device, Group, InviteCode, KeyEnvelope, Member, User

IS_EXPIRED = InviteCode.expires_at <= func.now()
IS_LIVE = and_(
    InviteCode.used_at.is_(None),
    InviteCode.revoked_at.is_(None),
    or_(InviteCode.expires_at.is_(None), ~IS_EXPIRED),
)

_CALLER = auth.caller()
_MEMBERSHIP = groups.membership(_CALLER)
_VISIBLE = (
    select(InviteCode)
    .join(_MEMBERSHIP, _MEMBERSHIP.c.group_id == InviteCode.group_id)
    .where(
        or_(
            InviteCode.created_by == _MEMBERSHIP.c.user_id,
            _MEMBERSHIP.c.role == literal_column("'admin'"),
        )
    )
)
_LISTED = _VISIBLE.cte("listed")
LIST_INVITES = Compiled(
    lambda: auth.answer(
        _CALLER,
        _LISTED,
        _LISTED.c.id,
        _LISTED.c.group_id,
        _LISTED.c.created_by,
        _LISTED.c.created_at,
        _LISTED.c.expires_at,
        _LISTED.c.used_by,
        _LISTED.c.used_at,
        _LISTED.c.revoked_at,
        _LISTED.c.for_creator.label("for_me"),
    ).order_by(_LISTED.c.id.desc())
)


def create_invite(session: Session, *, life: timedelta | None, **columns: Any) -> Any | None:
    """Keep a code's hash; None when there is an invite with the same one.

    Unless that one is what is asked for, made by the same person: then it is returned.
    """
    statement = insert(InviteCode).values(
        expires_at=None if life is None else func.now() + life, **columns
    )
    same = ("group_id", "created_by", "key_package", "key_version", "for_creator")
    statement = statement.on_conflict_do_update(
        index_elements=["code_hash"],
        set_={"code_hash": statement.excluded.code_hash},
        # Never a founding invite: it has no group and nobody made it.
        where=and_(
            InviteCode.group_id.is_not(None),
            IS_LIVE,
            *(
                getattr(InviteCode, name).is_not_distinct_from(statement.excluded[name])
                for name in same
            ),
        ),
    )
    return session.execute(statement.returning(InviteCode.id, InviteCode.expires_at)).one_or_none()


def find_live(session: Session, *, code_hash: bytes) -> Any | None:
    """Return the invite with a code that would be accepted now: a row of its `group_id`."""
    found = select(InviteCode.group_id).where(InviteCode.code_hash == code_hash, IS_LIVE)
    return session.execute(found).one_or_none()


def lock_invite(session: Session, *, code_hash: bytes, repeatable: timedelta) -> Any | None:
    """Lock the group that a code leads to, then the code's row; return it as it is now.

    One for its maker adds a device to all the maker's groups, so all of them are locked. Another
    request may just have spent it. One that leads nowhere any more locks no group: whoever has it
    may long have been removed.
    """
    is_repeatable = InviteCode.used_at > func.now() - repeatable
    leads = and_(InviteCode.code_hash == code_hash, or_(IS_LIVE, is_repeatable))
    of_maker = (
        select(Member.group_id)
        .join(InviteCode, InviteCode.created_by == Member.user_id)
        .where(leads, InviteCode.for_creator)
    )
    group = _locked(union(select(InviteCode.group_id).where(leads), of_maker))
    led_to = group.c.id == InviteCode.group_id
    statement = (
        select(
            select(group.c.name).where(led_to).scalar_subquery().label("group_name"),
            select(group.c.browsers).where(led_to).scalar_subquery().label("browsers"),
            InviteCode.id,
            InviteCode.group_id,
            InviteCode.created_by,
            select(User.name)
            .where(User.id == InviteCode.created_by)
            .scalar_subquery()
            .label("creator_name"),
            InviteCode.for_creator,
            InviteCode.used_by,
            InviteCode.used_by_device_id,
            InviteCode.idempotency_hash,
            InviteCode.key_version,
            case(
                (
                    InviteCode.key_version
                    == select(group.c.key_version).where(led_to).scalar_subquery(),
                    InviteCode.key_package,
                )
            ).label("key_package"),
            IS_LIVE.label("is_live"),
            is_repeatable.label("is_repeatable"),
        )
        .where(InviteCode.code_hash == code_hash, _after(group))
        .with_for_update()
    )
    return session.execute(statement).one_or_none()


def _locked(group_ids: SelectBase) -> CTE:
    """Return the CTE of groups that are locked: before the invite, as everywhere."""
    return (
        select(Group.id, Group.name, Group.key_version, Group.browsers)
        .where(Group.id.in_(group_ids))
        .order_by(Group.id)
        .with_for_update()
        .cte("led_to")
    )


def _after(group: CTE) -> ColumnElement[bool]:
    """Return what is true, and known when the group is locked."""
    return select(func.count()).select_from(group).scalar_subquery() >= 0


def spend(
    session: Session,
    *,
    invite: Any,
    user_id: UUID,
    device_id: UUID,
    entering: CTE,
    **columns: Any,
) -> Any | None:
    """Mark a code as used by somebody entering a group; None if nobody enters.

    The row has the `group_id` that `entering` returns; whether the device is `in_browser` and
    `has_key`, a public one; whether it `is_admitted`: it has one, and the invite a package with the
    group's present key; and the room that there was.
    """
    spent = (
        update(InviteCode)
        .where(InviteCode.id == invite.id)
        .values(
            used_by=user_id,
            used_by_device_id=device_id,
            used_at=func.now(),
            key_package=None,
            **columns,
        )
        .cte("spent")
    )
    room = (
        groups.room_for_devices(user_id)
        if invite.for_creator
        else groups.room_for_member(invite.group_id, user_id)
    )
    statement = (
        select(
            entering.c.group_id,
            Device.in_browser,
            Device.public_key.is_not(None).label("has_key"),
            *room,
        )
        .select_from(entering)
        .join(Device, Device.id == device_id)
    )
    if invite.key_package is None:
        return session.execute(
            statement.add_columns(literal_column("false").label("is_admitted")).add_cte(spent)
        ).one_or_none()
    admitted = (
        insert(KeyEnvelope)
        .from_select(
            ["group_id", "user_id", "key_version", "device_id"],
            select(
                entering.c.group_id,
                cast(literal(user_id), Uuid),
                literal(invite.key_version),
                Device.id,
            )
            .select_from(entering)
            .join(Device, Device.id == device_id)
            .where(Device.public_key.is_not(None)),
        )
        .returning(KeyEnvelope.id)
        .cte("admitted")
    )
    return session.execute(
        statement.add_columns(select(admitted.c.id).exists().label("is_admitted")).add_cte(spent)
    ).one_or_none()


def find_joined(session: Session, *, invite: Any) -> Any | None:
    """Return what a redemption made: a person, their device and the group they entered.

    None once they have left that group, or revoked that device.
    """
    statement = (
        select(
            User.id.label("user_id"),
            User.name,
            Device.id.label("device_id"),
            Group.id.label("group_id"),
            Group.name.label("group_name"),
        )
        .join(Device, Device.user_id == User.id)
        .join(Member, Member.user_id == User.id)
        .join(Group, Group.id == Member.group_id)
        .where(Device.id == invite.used_by_device_id, Device.revoked_at.is_(None))
        .order_by(Member.id)
        .limit(1)
    )
    if invite.group_id is not None:
        statement = statement.where(Group.id == invite.group_id)
    return session.execute(statement).one_or_none()


def lock_visible(session: Session, *, caller: Caller, invite_id: UUID) -> Any | None:
    """Lock an invite that the caller may revoke: their own, or any of a group they run."""
    visible = _VISIBLE.where(InviteCode.id == invite_id)
    group = _locked(visible.with_only_columns(InviteCode.group_id))
    statement = visible.with_only_columns(InviteCode.id, InviteCode.used_at)
    locked = statement.where(_after(group)).with_for_update(of=InviteCode)
    return session.execute(locked, caller.credential.parameters).one_or_none()


def revoke(session: Session, *, invite_id: UUID) -> None:
    """Make an unused code worthless; the time of the first revocation stays."""
    session.execute(
        update(InviteCode)
        .where(InviteCode.id == invite_id, InviteCode.revoked_at.is_(None))
        .values(revoked_at=func.now(), key_package=None)
    )


def revoke_all(session: Session) -> int:
    """Make every unused code worthless; return how many."""
    revoked: Any = session.execute(
        update(InviteCode)
        .where(InviteCode.used_at.is_(None), InviteCode.revoked_at.is_(None))
        .values(revoked_at=func.now(), key_package=None)
    )
    return int(revoked.rowcount)


def has_users(session: Session) -> bool:
    """Whether anybody has ever joined."""
    return bool(session.scalar(select(select(User.id).exists())))


def delete_expired(session: Session, *, at_most: int) -> int:
    """Delete expired codes that nobody has used, leaving out those that somebody is redeeming."""
    doomed = (
        select(InviteCode.id)
        .where(InviteCode.used_at.is_(None), IS_EXPIRED)
        .order_by(InviteCode.expires_at)
        .limit(at_most)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    # As an array they are found once, and then each by the index: joined to the table, which the
    # planner may know nothing of yet, every one could be compared with every other.
    deleted: Any = session.execute(
        delete(InviteCode).where(InviteCode.id == any_(func.array(doomed)))
    )
    return int(deleted.rowcount)
