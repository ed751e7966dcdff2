"""Devices in the database."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Date, and_, cast, func, select, update

from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session
from chalicelib.models import Device, Location

_CALLER = auth.caller()
_DEVICES = (
    select(Device)
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
        _DEVICES.c.public_key,
        _DEVICES.c.created_at,
        _DEVICES.c.last_used_on,
        (_DEVICES.c.id == _CALLER.c.device_id).label("is_this_one"),
    ).order_by(_DEVICES.c.id)
)


def revoke_device(session: Session, *, user_id: UUID, device_id: UUID) -> Any | None:
    """Make a device's token void; None when the person has no such device.

    The row says whether it `knew_keys` until now: it has a public key, and no former revocation
    has seen to its groups. The first revocation stays.
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
        .returning(
            and_(Device.public_key.is_not(None), before.c.revoked_at.is_(None)).label("knew_keys")
        )
    )
    return session.execute(statement).one_or_none()


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
