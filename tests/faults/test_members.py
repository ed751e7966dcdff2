"""People who go while something else happens to them: whoever comes first, the end is in order."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.db.base import Base
from chalicelib.models import Device, Group, InviteCode, Location, Member, User
from tests import factories
from tests.factories import Someone
from tests.faults.processes import Call, Processes, perform

ROUNDS = 12


@pytest.fixture
def processes(url: str) -> Iterator[Processes]:
    with Processes(url, count=8) as processes:
        yield processes


@pytest.fixture
def pair(session: Session) -> tuple[Someone, Someone]:
    return factories.someone(session, name="Una"), factories.someone(session, name="Ari")


def count(session: Session, model: type[Base], **values: object) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(model).filter_by(**values)) or 0


def leave(group_id: UUID, who: Someone) -> Call:
    return Call("POST", f"/api/groups/{group_id}/leave", token=who.token)


def remove(group_id: UUID, who: Someone, by: Someone) -> Call:
    return Call("DELETE", f"/api/groups/{group_id}/members/{who.user_id}", token=by.token)


def delete_account(token: str) -> Call:
    return Call("DELETE", "/api/users/me", token=token)


def test_the_last_two_may_leave_at_once(
    session: Session, processes: Processes, pair: tuple[Someone, Someone]
) -> None:
    groups = [factories.group(session, *pair) for _ in range(ROUNDS)]

    statuses = [
        reply.status
        for group_id in groups
        for reply in processes.each(perform, [leave(group_id, who) for who in pair])
    ]

    assert statuses == [204] * 2 * ROUNDS
    assert count(session, Group) == 0


def test_two_admins_cannot_both_remove_each_other(
    session: Session, processes: Processes, pair: tuple[Someone, Someone]
) -> None:
    una, ari = pair
    for who in pair:
        factories.group(session, who)
    groups = [factories.group(session, una) for _ in range(ROUNDS)]
    for group_id in groups:
        factories.add_member(session, group_id, ari, role="admin")

    statuses = [
        sorted(
            reply.status
            for reply in processes.each(
                perform, [remove(group_id, una, by=ari), remove(group_id, ari, by=una)]
            )
        )
        for group_id in groups
    ]

    assert statuses == [[204, 404]] * ROUNDS
    assert [count(session, Member, group_id=group_id) for group_id in groups] == [1] * ROUNDS


def test_the_last_two_may_delete_their_accounts_at_once(
    session: Session, processes: Processes
) -> None:
    couples = [[factories.someone(session) for _ in range(2)] for _ in range(ROUNDS)]
    for couple in couples:
        for _ in range(3):
            factories.group(session, *couple)

    statuses = [
        reply.status
        for couple in couples
        for reply in processes.each(perform, [delete_account(who.token) for who in couple])
    ]

    assert statuses == [204] * 2 * ROUNDS
    assert (count(session, User), count(session, Device), count(session, Group)) == (0, 0, 0)


def test_an_account_is_deleted_by_one_of_two_devices_at_once(
    session: Session, processes: Processes
) -> None:
    people = [factories.someone(session) for _ in range(ROUNDS)]
    for who in people:
        factories.group(session, who)
    add = [Call("POST", "/api/devices", {"name": "Tablet"}, token=who.token) for who in people]
    seconds = [reply.json["token"] for reply in processes.each(perform, add)]

    statuses = [
        sorted(reply.status for reply in processes.each(perform, list(map(delete_account, tokens))))
        for tokens in zip([who.token for who in people], seconds, strict=True)
    ]

    assert statuses == [[204, 401]] * ROUNDS
    assert (count(session, User), count(session, Group)) == (0, 0)


def test_nothing_of_a_removed_member_is_kept_however_they_post_meanwhile(
    session: Session, processes: Processes, pair: tuple[Someone, Someone]
) -> None:
    una, ari = pair
    factories.group(session, ari)
    groups = [factories.group(session, una, ari) for _ in range(ROUNDS)]
    replies = []

    for group_id in groups:
        posts = [
            Call(
                "POST",
                "/api/locations",
                {"locations": [factories.plain_point(groupId=str(group_id)) for _ in range(20)]},
                token=ari.token,
            )
            for _ in range(23)
        ]
        # In the middle of the posts: each of the eight processes has three calls to make.
        posts.insert(8, remove(group_id, ari, by=una))
        replies += processes.each(perform, posts)

    statuses = {reply.status for reply in replies}
    assert statuses == {200, 204}
    codes = {
        result.get("code", "stored")
        for reply in replies
        if reply.status == 200
        for result in reply.json["results"]
    }
    assert codes == {"stored", "group_not_found"}
    assert count(session, Location) == 0


def test_no_invite_outlives_the_membership_of_its_maker(
    session: Session, processes: Processes, pair: tuple[Someone, Someone]
) -> None:
    una, ari = pair
    factories.group(session, ari)
    groups = [factories.group(session, una, ari) for _ in range(ROUNDS)]

    statuses = [
        reply.status
        for group_id in groups
        for reply in processes.each(
            perform,
            [
                Call("POST", "/api/invites", {"groupId": str(group_id)}, token=ari.token),
                remove(group_id, ari, by=una),
            ],
        )
    ]

    assert set(statuses[::2]) <= {201, 404}
    assert statuses[1::2] == [204] * ROUNDS
    assert count(session, InviteCode, created_by=ari.user_id, revoked_at=None) == 0
