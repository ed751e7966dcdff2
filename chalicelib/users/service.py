"""People: those in the caller's groups, and the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from chalicelib import auth, limits
from chalicelib.auth import Caller, Credential
from chalicelib.db import OneStatement, Session
from chalicelib.errors import NotFound, Unavailable
from chalicelib.groups import queries as groups
from chalicelib.groups import service as memberships
from chalicelib.users import queries


@dataclass(frozen=True, kw_only=True)
class SharedGroup:
    """What a person is in a group that the caller is in too: devices that have keys, phones."""

    group_id: UUID
    role: str
    joined_at: datetime
    devices: list[dict[str, Any]]
    phones: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody the caller shares groups with; no other group of theirs shows."""

    id: UUID
    name: str
    groups: list[SharedGroup]


class UserNotFound(NotFound):
    """Nobody, or nobody the caller shares a group with."""

    code = "user_not_found"
    detail = "There is no such person in your groups."


def list_people(
    connection: OneStatement, *, credential: Credential, group_id: UUID | None, with_cards: bool
) -> list[Person]:
    """Return all people in the caller's groups, or in one of them, the caller too.

    Cards are shown of one group only. Raises GroupNotFound, Unauthenticated.
    """
    if group_id is None:
        return _people(auth.read(connection, queries.LIST_PEOPLE, credential))
    statement = queries.LIST_GROUP_WITH_CARDS if with_cards else queries.LIST_GROUP
    people = _people(auth.read(connection, statement, credential, {"asked_group_id": group_id}))
    if not people:  # not even the caller
        raise memberships.GroupNotFound
    return people


def find_person(connection: OneStatement, *, credential: Credential, user_id: UUID) -> Person:
    """Return one of them. Raises UserNotFound, Unauthenticated."""
    people = _people(
        auth.read(connection, queries.FIND_PERSON, credential, {"sought_user_id": user_id})
    )
    if not people:
        raise UserNotFound
    return people[0]


def rename(session: Session, *, caller: Caller, name: str) -> None:
    """Change the caller's name. Raises Unauthenticated."""
    auth.hold(session, caller, alone=True)
    queries.update_name(session, user_id=caller.user_id, name=name)


def delete_account(session: Session, *, caller: Caller) -> None:
    """Delete all that is stored about the caller, and leave their groups in order.

    Raises Unauthenticated; Unavailable when they are just entering another group.
    """
    group_ids = groups.lock_groups_of(session, user_id=caller.user_id)
    groups.lock_user(session, user_id=caller.user_id)
    # Under the locks: of two at once the second finds nobody.
    if memberships.list_own(session, caller=caller) != group_ids:
        raise Unavailable(retry_after=1)
    queries.delete_user(session, user_id=caller.user_id, group_ids=group_ids)
    of_mine = (limits.Bucket.of_inviter(caller.user_id), limits.Bucket.of_maker(caller.user_id))
    limits.forget(session, *of_mine)
    groups.settle(session, group_ids=group_ids)


def delete_unreachable(session: Session) -> int:
    """Delete people who are in no group and have no valid device; return how many.

    Nobody can sign in as them or see them any more, and their names are still names.
    """
    return queries.delete_unreachable(session)


def _people(rows: Sequence[Any]) -> list[Person]:
    known = [row for row in rows if row.id is not None]
    return [
        Person(
            id=user_id,
            name=name,
            groups=[
                SharedGroup(
                    group_id=row.group_id,
                    role=row.role,
                    joined_at=row.joined_at,
                    devices=row.devices or [],
                    phones=row.phones or [],
                )
                for row in shared
            ],
        )
        for (user_id, name), shared in groupby(known, key=lambda row: (row.id, row.name))
    ]
