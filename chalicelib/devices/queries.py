"""Devices in the database."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session, json_object
from chalicelib.groups import queries as groups
from chalicelib.models import DepartedTid, Device, Group, Location, User

_CALLER = auth.caller()
_DEVICES = (
    select(
        Device,
        auth.KIND.label("kind_in_form_2"),
        groups.needs_setup(Device).label("needs_setup"),
    )
    .outerjoin(Group, Group.id == Device.group_id)
    .where(
        Device.user_id == select(_CALLER.c.user_id).scalar_subquery(),
        Device.revoked_at.is_(None),
    )
    .cte("listed")
)
LIST_DEVICES = Compiled(
    lambda: auth.answer(
        _CALLER,
        _DEVICES,
        _DEVICES.c.id,
        _DEVICES.c.name,
        _DEVICES.c.kind,
        _DEVICES.c.kind_in_form_2,
        _DEVICES.c.public_key,
        _DEVICES.c.group_id,
        _DEVICES.c.tid,
        _DEVICES.c.needs_setup,
        _DEVICES.c.created_at,
        _DEVICES.c.last_used_on,
        (_DEVICES.c.id == _CALLER.c.device_id).label("is_this_one"),
    ).order_by(_DEVICES.c.id)
)


def revoke_device(session: Session, *, user_id: UUID, device_id: UUID) -> bool | None:
    """Make a device's token void; None when the person has no such device.

    Else it returns whether this is its first revocation, which stays.
    """
    before = (
        select(Device.id, Device.revoked_at)
        .where(Device.id == device_id, Device.user_id == user_id)
        .cte("before")
    )
    statement = (
        update(Device)
        .where(Device.id == before.c.id)
        .values(revoked_at=func.coalesce(Device.revoked_at, func.now()))
        .returning(before.c.revoked_at.is_(None))
    )
    return session.scalar(statement)


def phones_in_group(person: Any, member: Any) -> ColumnElement[Any]:
    """Return a person's phones of a group as JSON, by whose tids points of theirs are known."""
    return (
        select(
            func.json_agg(
                aggregate_order_by(
                    json_object(
                        id=Device.id, tid=Device.tid, needsSetup=groups.needs_setup(Device)
                    ),
                    Device.id,
                )
            )
        )
        .join(Group, Group.id == Device.group_id)
        .where(Device.user_id == person.id, Device.group_id == member.group_id, auth.IS_VALID)
        .correlate(person, member)
        .scalar_subquery()
    )


def find_name(session: Session, *, user_id: UUID) -> str:
    """Return a person's name."""
    return session.execute(select(User.name).where(User.id == user_id)).scalar_one()


def list_tids_of_others(session: Session, *, group_id: UUID, user_id: UUID) -> list[str]:
    """Return the tids under which a group's phones know one of another's phones, or knew it.

    Those of the person's own phones too that are in use, and those of people who have left.
    """
    statement = (
        select(Device.tid)
        .where(
            Device.group_id == group_id,
            or_(Device.user_id != user_id, Device.revoked_at.is_(None)),
        )
        .union(select(DepartedTid.tid).where(DepartedTid.group_id == group_id))
    )
    return [tid for tid in session.scalars(statement) if tid is not None]


def create_phone(session: Session, **columns: Any) -> UUID:
    """Add a phone with OwnTracks to a person; return its id."""
    statement = insert(Device).values(kind="owntracks", **columns).returning(Device.id)
    return session.execute(statement).scalar_one()


def find_group_of_phone(session: Session, *, user_id: UUID, device_id: UUID) -> UUID | None:
    """Return the group of a person's phone, unless it is revoked."""
    return session.scalar(
        select(Device.group_id).where(
            Device.id == device_id, Device.user_id == user_id, Device.revoked_at.is_(None)
        )
    )


def renew_phone(
    session: Session, *, device_id: UUID, token_hash: bytes, key_version: int
) -> Any | None:
    """Give a phone a new token and its group's present key version; None if it was just revoked.

    The row has its `name` and `tid`. Whoever sets a phone up again uses it.
    """
    statement = (
        update(Device)
        .where(Device.id == device_id, Device.revoked_at.is_(None))
        .values(token_hash=token_hash, key_version=key_version, last_used_on=func.current_date())
        .returning(Device.name, Device.tid)
    )
    return session.execute(statement).one_or_none()


def release_tids(session: Session) -> int:
    """Let the tids of phones be chosen again whose people left 30 days ago; return how many."""
    released: Any = session.execute(
        delete(DepartedTid).where(DepartedTid.departed_at < func.now() - timedelta(days=30))
    )
    return int(released.rowcount)


def note_use_by_posting(session: Session) -> int:
    """Set the last use of devices that have posted in the last two days."""
    posted = (
        select(Location.device_id, cast(func.max(Location.received_at), Date).label("day"))
        .where(
            Location.received_at > func.now() - timedelta(days=2),
            # Bounds what is read; a phone that was off brings older points too.
            Location.recorded_at > func.now() - timedelta(days=30),
        )
        .group_by(Location.device_id)
        .subquery("posted")
    )
    # Whoever is revoking one of these just now must not meet this in the middle of its work.
    stale = (
        select(Device.id, posted.c.day)
        .join(posted, posted.c.device_id == Device.id)
        .where(Device.last_used_on < posted.c.day)
        .with_for_update(of=Device, skip_locked=True)
        .cte("stale")
    )
    changed: Any = session.execute(
        update(Device).where(Device.id == stale.c.id).values(last_used_on=stale.c.day)
    )
    return int(changed.rowcount)
