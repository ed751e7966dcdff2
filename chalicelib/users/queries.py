"""People in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, select, update

from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session
from chalicelib.groups import queries as groups
from chalicelib.models import Device, Member, User

_CALLER = auth.caller()
_MEMBERSHIP = groups.membership(_CALLER)
_PEOPLE = (
    select(User.id, User.name, Member.group_id, Member.role, Member.joined_at)
    .join(Member, Member.user_id == User.id)
    .join(_MEMBERSHIP, _MEMBERSHIP.c.group_id == Member.group_id)
)
_ALL = _PEOPLE.cte("people")
LIST_PEOPLE = Compiled(
    lambda: auth.answer(_CALLER, _ALL, *_ALL.c).order_by(_ALL.c.id, _ALL.c.group_id)
)
_ONE = _PEOPLE.where(User.id == bindparam("sought_user_id", type_=Uuid)).cte("person")
FIND_PERSON = Compiled(lambda: auth.answer(_CALLER, _ONE, *_ONE.c).order_by(_ONE.c.group_id))


def update_name(session: Session, *, user_id: UUID, name: str) -> None:
    """Rename a person."""
    session.execute(update(User).where(User.id == user_id).values(name=name))


def delete_user(session: Session, *, user_id: UUID) -> None:
    """Delete a person with their devices, memberships, points and invites."""
    session.execute(delete(User).where(User.id == user_id))


def delete_unreachable(session: Session) -> int:
    """Delete people without a membership and without a valid device; return how many."""
    deleted: Any = session.execute(
        delete(User).where(
            ~select(Member.id).where(Member.user_id == User.id).exists(),
            ~select(Device.id).where(Device.user_id == User.id, auth.IS_VALID).exists(),
        )
    )
    return int(deleted.rowcount)
