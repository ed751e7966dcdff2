"""Connections that die, hang, or come with other defaults than the service reads by."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests import factories
from tests.faults.processes import Call, Processes, perform

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def process(url: str) -> Iterator[Processes]:
    with Processes(url, count=1, threads=8) as process:
        yield process


def end_all_others(session: Session) -> None:
    """End every other connection to the database, and see them gone."""
    session.execute(text(f"SELECT pg_terminate_backend(pid) {OTHERS}"))
    while session.scalar(text(f"SELECT count(*) {OTHERS}")):
        session.rollback()
    session.rollback()


def test_a_connection_that_died_idle_is_replaced_before_anybody_notices(
    session: Session, process: Processes
) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    calls = [
        Call("GET", "/api/auth/me", token=una.token),
        Call("POST", "/api/locations", factories.plain_point(), token=una.token),
        Call("PUT", f"/api/groups/{group_id}/sharing", {"paused": False}, token=una.token),
    ]

    statuses = []
    for call in calls:
        statuses += [reply.status for reply in process.each(perform, [call])]
        end_all_others(session)
        statuses += [reply.status for reply in process.each(perform, [call])]

    assert statuses == [200, 200, 200, 200, 204, 204]


def test_a_statement_that_waits_too_long_is_given_up_by_the_server_too(
    session: Session, process: Processes
) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    session.execute(text("SELECT FROM groups FOR UPDATE"))
    call = Call("PUT", f"/api/groups/{group_id}/sharing", {"paused": True}, token=una.token)

    reply = process.each(perform, [call])[0]

    assert (reply.status, reply.code) == (503, "temporarily_unavailable")
    assert reply.headers["Retry-After"] == "1"
    waiting = session.scalar(text(f"SELECT count(*) {OTHERS} AND wait_event_type = 'Lock'"))
    assert waiting == 0
    session.rollback()
    assert process.each(perform, [call])[0].status == 204


@pytest.mark.parametrize(
    "default",
    ["timezone = 'Asia/Kolkata'", "datestyle = 'German'", "intervalstyle = 'sql_standard'"],
)
def test_the_defaults_of_the_database_change_no_answer(
    session: Session, url: str, default: str
) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    call = Call("GET", "/api/groups", token=una.token)
    with Processes(url, count=1) as before:
        usual = before.each(perform, [call])[0].json
    name = session.scalar(text("SELECT current_database()"))
    session.execute(text(f'ALTER DATABASE "{name}" SET {default}'))
    session.commit()

    with Processes(url, count=1) as after:
        answer = after.each(perform, [call])[0]

    assert answer.json == usual
    assert usual["groups"][0]["joinedAt"].endswith("Z")


def test_an_account_that_is_deleted_leaves_no_group_behind_that_it_was_founding(
    session: Session, process: Processes
) -> None:
    people = [factories.someone(session) for _ in range(12)]

    for who in people:
        process.each(
            perform,
            [
                Call("POST", "/api/groups", {"name": "Hearth"}, token=who.token),
                Call("DELETE", "/api/users/me", token=who.token),
            ],
        )

    lonely = "SELECT count(*) FROM groups g WHERE NOT EXISTS"
    lonely += " (SELECT FROM group_members m WHERE m.group_id = g.id)"
    assert session.scalar(text(lonely)) == 0


def test_whoever_is_removed_from_their_last_two_groups_at_once_is_signed_out(
    session: Session, process: Processes
) -> None:
    una, sif = factories.someone(session), factories.someone(session)
    statuses = []

    for _ in range(12):
        ari = factories.someone(session)
        removals = [
            Call(
                "DELETE",
                f"/api/groups/{factories.group(session, admin, ari)}/members/{ari.user_id}",
                token=admin.token,
            )
            for admin in (una, sif)
        ]
        assert {reply.status for reply in process.each(perform, removals)} == {204}
        me = Call("GET", "/api/auth/me", token=ari.token)
        statuses.append(process.each(perform, [me])[0].status)

    assert statuses == [401] * 12


def test_a_month_is_not_dropped_that_a_group_has_just_begun_to_keep(
    session: Session, url: str
) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'locations'::regclass"
    session.execute(text("UPDATE groups SET retention_days = 365 WHERE id = :id"), {"id": group_id})
    made = session.scalar(text("SELECT make_location_partitions()"))
    kept = session.scalar(text(months))
    engine = session.get_bind()

    def drop() -> None:
        with Session(engine) as other:
            other.execute(text("SELECT drop_location_partitions()"))
            other.commit()

    dropping = threading.Thread(target=drop)
    dropping.start()
    with Session(engine) as onlooker:
        waits = f"SELECT count(*) {OTHERS} AND wait_event = 'advisory'"
        while not onlooker.scalar(text(waits)):
            onlooker.rollback()
    session.commit()
    dropping.join()

    assert made
    assert session.scalar(text(months)) == kept
    del url
