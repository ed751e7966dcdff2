"""`new_id` and `uuid_time`, which every key and every point's time stand on."""

from uuid import RFC_4122, UUID

import pytest
from sqlalchemy import Connection, text


@pytest.fixture
def moments(database: Connection) -> Connection:
    """A database with 20 thousand times, to the microsecond and in no order.

    Past the year 2242 a double, which `to_timestamp` takes, has no room for whole microseconds.
    """
    random = "timestamptz '1970-01-01 UTC' + random() * interval '230 years' AS at"
    made = "CREATE TEMP TABLE moments ON COMMIT DROP AS SELECT {} FROM generate_series(1, 20000)"
    database.execute(text(made.format(random)))
    return database


def test_an_id_is_a_uuid_of_version_7(database: Connection) -> None:
    made = "SELECT new_id() FROM generate_series(1, 500) UNION ALL SELECT new_id(now())"

    ids: list[UUID] = list(database.scalars(text(made)))

    assert {(id_.version, id_.variant) for id_ in ids} == {(7, RFC_4122)}
    assert len(set(ids)) == 501


def test_an_id_holds_the_moment_it_was_made_at(database: Connection) -> None:
    # PostgreSQL computes the columns of a list from left to right.
    made = """
        SELECT date_trunc('milliseconds', clock_timestamp()), new_id() AS id, clock_timestamp()
        FROM generate_series(1, 500)
    """

    rows = database.execute(text(made)).all()

    times = [(before, int.from_bytes(id_.bytes[:6]), after) for before, id_, after in rows]
    assert all(
        before.timestamp() * 1000 <= milliseconds + 0.01
        and milliseconds <= after.timestamp() * 1000
        for before, milliseconds, after in times
    )


def test_ids_sort_as_the_milliseconds_they_were_made_at(moments: Connection) -> None:
    by_id = "SELECT date_trunc('milliseconds', at) FROM moments ORDER BY new_id(at)"

    times = list(moments.scalars(text(by_id)))

    assert times == sorted(times)


def test_a_time_is_cut_to_milliseconds_and_never_rounded(moments: Connection) -> None:
    wrong = """
        SELECT count(*) FROM moments
        WHERE uuid_time(new_id(at)) <> date_trunc('milliseconds', at)
    """
    nearly_the_next = "SELECT uuid_time(new_id('2026-07-30 12:00:00.123999Z'))::text"

    assert moments.scalar(text(wrong)) == 0
    assert moments.scalar(text(nearly_the_next)) == "2026-07-30 12:00:00.123+00"


def test_the_time_of_an_id_is_the_one_that_any_other_reader_finds(moments: Connection) -> None:
    made = "SELECT id, uuid_time(id) FROM (SELECT new_id(at) AS id FROM moments) AS made"

    rows = moments.execute(text(made)).all()

    assert [int.from_bytes(id_.bytes[:6]) for id_, _ in rows] == [
        round(at.timestamp() * 1000) for _, at in rows
    ]
