"""The functions that read a member's points: what a session that has planned them once meets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pg8000.native import Connection

from chalicelib.jobs.migrate import migrate
from tests.database import Server

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
POINT = """
INSERT INTO locations (group_id, user_id, recorded_at, id, device_id, received_at,
    latitude, longitude, accuracy)
SELECT :group_id, :user_id, uuid_time(id), id, id, now(), 64.1, -21.9, 9
FROM new_id(CAST(:at AS timestamptz)) id RETURNING id
"""
MEMBER = """
WITH person AS (INSERT INTO users (name) VALUES ('Una') RETURNING id),
    family AS (INSERT INTO groups (name) VALUES ('Family') RETURNING id)
INSERT INTO group_members (group_id, user_id, role)
SELECT family.id, person.id, 'admin' FROM family, person RETURNING group_id, user_id
"""
READS = {
    "points_of_member": """
        SELECT id FROM points_of_member(:group_id, :user_id, '-infinity', '-infinity', 'infinity',
            gen_random_uuid(), gen_random_uuid(), 100)
    """,
    "newest_of_member": """
        SELECT id FROM newest_of_member(:group_id, :user_id, '-infinity', '-infinity', NULL, 100)
    """,
    "points_of_member_after": """
        SELECT id FROM points_of_member_after(:group_id, :user_id, '-infinity', gen_random_uuid(),
            100)
    """,
}
PAGE = """
SELECT id FROM points_of_member(:group_id, :user_id, '-infinity', '-infinity',
    uuid_time(:last_id), :last_id, :last_user_id, 3)
"""


@pytest.fixture
def owner(server: Server, empty: str) -> Iterator[Connection]:
    """A connection to a database that has been migrated and is empty."""
    migrate({}, None)
    with server.connect(empty) as owner:
        yield owner


def post(connection: Connection, member: dict[str, UUID], at: datetime) -> UUID:
    id_: UUID = connection.run(POINT, at=at, **member)[0][0]
    return id_


def new_member(connection: Connection) -> dict[str, UUID]:
    ((group_id, user_id),) = connection.run(MEMBER)
    return {"group_id": group_id, "user_id": user_id}


def read(connection: Connection, function: str, member: dict[str, UUID]) -> list[UUID]:
    return [id_ for (id_,) in connection.run(READS[function], **member)]


def page_after(
    connection: Connection, member: dict[str, UUID], last_id: UUID, last_user_id: UUID
) -> list[UUID]:
    page = connection.run(PAGE, **member, last_id=last_id, last_user_id=last_user_id)
    return [id_ for (id_,) in page]


@pytest.mark.parametrize("function", READS)
def test_a_session_that_has_planned_meets_months_that_come_and_go(
    server: Server, empty: str, owner: Connection, function: str
) -> None:
    member = new_member(owner)
    first = post(owner, member, datetime.now(UTC))
    long_ago = datetime.now(UTC) - timedelta(days=300)
    with server.connect(empty) as session:
        alone = read(session, function, member)

        owner.run("UPDATE groups SET retention_days = 365")
        owner.run("SELECT make_location_partitions()")
        older = post(owner, member, long_ago)
        with_a_new_month = read(session, function, member)
        owner.run("UPDATE groups SET retention_days = 30")
        owner.run("SELECT drop_location_partitions()")
        without_it = read(session, function, member)

    both = {"points_of_member": [first, older], "points_of_member_after": [older, first]}
    assert alone == without_it == [first]
    assert with_a_new_month == both.get(function, [first])


@pytest.mark.parametrize("function", READS)
def test_a_session_that_has_planned_meets_a_new_column(
    server: Server, empty: str, owner: Connection, function: str
) -> None:
    member = new_member(owner)
    point = post(owner, member, datetime.now(UTC))
    with server.connect(empty) as session:
        before = read(session, function, member)
        owner.run("ALTER TABLE locations ADD COLUMN heading real")
        after = read(session, function, member)
        owner.run("ALTER TABLE locations DROP COLUMN heading")
        without_it = read(session, function, member)

    assert before == after == without_it == [point]


@pytest.mark.parametrize("function", READS)
def test_a_session_s_settings_change_nothing(owner: Connection, function: str) -> None:
    member = new_member(owner)
    point = post(owner, member, datetime.now(UTC))

    owner.run("CREATE TEMP TABLE locations (LIKE public.locations)")
    owner.run("SET search_path = pg_temp, public")
    owner.run("SET enable_indexscan = off")
    owner.run("SET enable_sort = on")

    assert read(owner, function, member) == [point]


def test_points_of_one_millisecond_are_paged_by_their_ids(owner: Connection) -> None:
    member, at = new_member(owner), datetime.now(UTC)
    newest_first = sorted((post(owner, member, at) for _ in range(7)), reverse=True)

    seen, last = [], LAST
    while page := page_after(owner, member, last, member["user_id"]):
        seen += page
        last = page[-1]

    assert seen == newest_first


def test_points_with_the_id_of_the_cursor_are_ordered_by_member(owner: Connection) -> None:
    member = new_member(owner)
    point = post(owner, member, datetime.now(UTC))

    assert page_after(owner, member, point, FIRST) == []
    assert page_after(owner, member, point, member["user_id"]) == []
    assert page_after(owner, member, point, LAST) == [point]
