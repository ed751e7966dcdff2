"""People in the database."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, bindparam, delete, select, update

from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session
from chalicelib.devices import queries as devices
from chalicelib.groups import queries as groups
from chalicelib.keys import queries as keys
from chalicelib.models import Device, Member, User


def _build_people(
    *, sought: bool = False, of_group: bool = False, cards: bool = False
) -> Select[Any]:
    """Build the list of all people in the caller's groups, in one of them, or of one person."""
    caller = auth.caller()
    membership = groups.membership(caller)
    found = (
        select(
            User.id,
            User.name,
            Member.group_id,
            Member.role,
            Member.joined_at,
            keys.devices_with_keys(User, Member, cards=cards).label("devices"),
            devices.phones_in_group(User, Member).label("phones"),
        )
        .join(Member, Member.user_id == User.id)
        .join(membership, membership.c.group_id == Member.group_id)
    )
    if sought:
        found = found.where(User.id == bindparam("sought_user_id", type_=Uuid))
    if of_group:
        found = found.where(membership.c.group_id == bindparam("asked_group_id", type_=Uuid))
    people = found.cte("people")
    return auth.answer(caller, people, *people.c).order_by(people.c.id, people.c.group_id)


LIST_PEOPLE = Compiled(_build_people)
LIST_GROUP = Compiled(lambda: _build_people(of_group=True))
LIST_GROUP_WITH_CARDS = Compiled(lambda: _build_people(of_group=True, cards=True))
FIND_PERSON = Compiled(lambda: _build_people(sought=True))


def update_name(session: Session, *, user_id: UUID, name: str) -> None:
    """Rename a person."""
    session.execute(update(User).where(User.id == user_id).values(name=name))


def delete_user(session: Session, *, user_id: UUID, group_ids: Sequence[UUID]) -> None:
    """Delete a person, who is in these groups, with their devices, points and invites."""
    departed = groups.departure(group_ids=group_ids, user_id=user_id)
    session.execute(delete(User).where(User.id == user_id).add_cte(*departed))


def delete_unreachable(session: Session) -> int:
    """Delete people without a membership and without a valid device; return how many."""
    deleted: Any = session.execute(
        delete(User).where(
            ~select(Member.id).where(Member.user_id == User.id).exists(),
            ~select(Device.id).where(Device.user_id == User.id, auth.IS_VALID).exists(),
        )
    )
    return int(deleted.rowcount)
