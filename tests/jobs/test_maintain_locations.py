from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pg8000.native import Connection
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from chalicelib.errors import Problem
from chalicelib.jobs import maintain_locations
from chalicelib.locations import partitions
from chalicelib.models import Device, Group, Location, RateLimit, User
from tests import factories
from tests.database import connect
from tests.faults.processes import Processes, invoke

NOTHING = {
    "partitionsMade": 0,
    "partitionsDropped": 0,
    "pointsDeleted": 0,
    "transitionsDeleted": 0,
    "erasuresForgotten": 0,
    "tidsReleased": 0,
    "devicesUsed": 0,
    "bucketsForgotten": 0,
    "peopleDeleted": 0,
}
PARTITIONS = """
    SELECT relname::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
    WHERE inhparent = 'locations'::regclass ORDER BY relname
"""
MILLISECOND = timedelta(milliseconds=1)

# A year's partitions without those of the coming months, points that their group keeps for a day
# and that are older (by time in order, so that many delete the same ones at once), and what else
# there is to do.
NEGLECT = [
    "INSERT INTO users (id, name) VALUES (new_id(), 'Una')",
    "INSERT INTO groups (name, retention_days, encryption) VALUES ('A year', 365, 'optional')",
    "SELECT make_location_partitions()",
    """
    INSERT INTO group_members (group_id, user_id, role)
    SELECT groups.id, users.id, 'admin' FROM groups, users
    """,
    """
    INSERT INTO devices (user_id, name, kind, token_hash, last_used_on)
    SELECT id, 'Phone', 'app', sha256('una'), CURRENT_DATE - 9 FROM users
    """,
    """
    INSERT INTO locations
        (group_id, user_id, device_id, id, recorded_at, latitude, longitude, accuracy)
    SELECT group_members.group_id, user_id, devices.id, made, uuid_time(made), 1, 1, 1
    FROM group_members JOIN devices USING (user_id),
        LATERAL (
            SELECT new_id(now() - n * interval '1 minute' - interval '23 hours 59 minutes') AS made
            FROM generate_series(0, 3000) AS n
        ) AS points
    """,
    "UPDATE groups SET retention_days = 1",
    "INSERT INTO groups (name) VALUES ('A month')",
    "INSERT INTO rate_limits SELECT 'full ' || n, now() FROM generate_series(1, 500) AS n",
    "INSERT INTO users (name) SELECT 'Nobody' FROM generate_series(1, 500)",
    """
    DO $do$ BEGIN
        FOR ahead IN 1..3 LOOP
            EXECUTE 'DROP TABLE locations_' || to_char(
                now() AT TIME ZONE 'UTC' + ahead * interval '1 month', 'YYYY_MM'
            );
        END LOOP;
    END $do$
    """,
]


def months(first: datetime, last: datetime) -> list[str]:
    """Return the names of the partitions from one month to another."""
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [f"locations_{number // 12}_{number % 12 + 1:02}" for number in numbers]


def expected_partitions(now: datetime, *, kept_days: int) -> list[str]:
    now = now.astimezone(UTC)
    three_ahead = now.replace(day=1) + timedelta(days=31 * 3)
    return months(now - timedelta(days=kept_days), three_ahead)


@pytest.mark.parametrize("kept_days", [30, 365])
def test_partitions_reach_from_the_oldest_kept_month_to_three_ahead(
    session: Session, kept_days: int
) -> None:
    una = factories.someone(session)
    factories.group(session, una, retention_days=kept_days)
    factories.group(session, una, retention_days=1)
    before = len(session.scalars(text(PARTITIONS)).all())

    answer = invoke("maintain_locations")

    now = factories.now(session)
    found = session.scalars(text(PARTITIONS)).all()
    assert found == expected_partitions(now, kept_days=kept_days)
    assert answer == NOTHING | {"partitionsMade": len(found) - before}


def test_partitions_past_every_retention_are_dropped(session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una, retention_days=365)
    partitions.make(session)
    oldest = factories.now(session) - timedelta(days=365)
    factories.stored_point(session, hearth, una, oldest + MILLISECOND)
    before = len(session.scalars(text(PARTITIONS)).all())
    session.execute(update(Group).values(retention_days=40))

    answer = invoke("maintain_locations")

    found = session.scalars(text(PARTITIONS)).all()
    assert found == expected_partitions(factories.now(session), kept_days=40)
    # The point went with its month.
    assert answer == NOTHING | {"partitionsDropped": before - len(found)}
    assert session.scalars(select(Location.id)).all() == []


def test_points_past_their_own_group_s_retention_are_deleted(session: Session) -> None:
    una = factories.someone(session)
    brief = factories.group(session, una, retention_days=1)
    long = factories.group(session, una, retention_days=30)
    a_day_ago = factories.now(session) - timedelta(days=1)
    kept = {
        factories.stored_point(session, brief, una, a_day_ago + MILLISECOND),
        factories.stored_point(session, long, una, a_day_ago - MILLISECOND),
    }
    factories.stored_point(session, brief, una, a_day_ago - MILLISECOND)

    answer = invoke("maintain_locations")

    assert answer == NOTHING | {"pointsDeleted": 1}
    assert set(session.scalars(select(Location.id))) == kept


def test_more_points_than_a_batch_holds_are_all_deleted(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintain_locations, "BATCH", 2)
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, retention_days=30)
    brief = factories.group(session, una, ari, retention_days=1)
    past = factories.now(session) - timedelta(days=2)
    for number in range(5):
        factories.stored_point(session, brief, una, past + number * MILLISECOND)
    factories.stored_point(session, brief, ari, past)

    answer = invoke("maintain_locations")

    assert answer == NOTHING | {"pointsDeleted": 6}


@pytest.mark.parametrize(
    ("received", "used_before", "used_after"), [(0, 9, 0), (1, 9, 1), (1, 0, 0)]
)
def test_a_device_was_used_on_the_day_its_last_post_arrived(
    session: Session, received: int, used_before: int, used_after: int
) -> None:
    now = factories.now(session)
    today = session.scalars(select(func.current_date())).one()
    una = factories.someone(session, last_used_on=today - timedelta(days=used_before))
    hearth = factories.group(session, una)
    recorded_at, received_at = now - timedelta(hours=47), now - timedelta(days=received)
    factories.stored_point(session, hearth, una, recorded_at, received_at=received_at)
    factories.someone(session, last_used_on=today - timedelta(days=9))

    answer = invoke("maintain_locations")

    assert answer == NOTHING | {"devicesUsed": int(used_after < used_before)}
    days = [(today - day).days for day in session.scalars(select(Device.last_used_on))]
    assert sorted(days) == [used_after, 9]


def test_full_buckets_are_forgotten(session: Session) -> None:
    now = factories.now(session)
    session.add(RateLimit(bucket="full", theoretical_arrival_at=now - MILLISECOND))
    session.add(RateLimit(bucket="taken from", theoretical_arrival_at=now + MILLISECOND))
    session.commit()

    answer = invoke("maintain_locations")

    assert answer == NOTHING | {"bucketsForgotten": 1}
    assert session.scalars(select(RateLimit.bucket)).all() == ["taken from"]


def test_people_whom_nobody_can_reach_are_deleted(session: Session) -> None:
    today = session.scalars(select(func.current_date())).one()
    now = factories.now(session)
    kept = {
        factories.someone(session).user_id,
        factories.someone(session, last_used_on=today - timedelta(days=364)).user_id,
        (in_a_group := factories.someone(session, revoked_at=now)).user_id,
    }
    factories.group(session, in_a_group)
    factories.someone(session, revoked_at=now)
    factories.someone(session, last_used_on=today - timedelta(days=365))
    session.add(User(name="Without a device"))
    session.commit()

    answer = invoke("maintain_locations")

    assert answer == NOTHING | {"peopleDeleted": 3}
    assert set(session.scalars(select(User.id))) == kept


@pytest.fixture
def neglected(url: str) -> Iterator[Connection]:
    """A database that nobody has maintained for a year, with 3000 points past their retention."""
    with connect(url) as operator:
        for statement in NEGLECT:
            operator.run(statement)
        yield operator


def test_many_at_once_do_each_thing_once(url: str, neglected: Connection) -> None:
    with Processes(url, count=4) as four:
        answers = four.each(invoke, ["maintain_locations"] * 4)
        again = four.each(invoke, ["maintain_locations"])

    done = {name: sum(answer[name] for answer in answers) for name in NOTHING}
    assert done.pop("partitionsDropped") > 0
    assert done == {
        "partitionsMade": 3,
        "pointsDeleted": 3000,
        "transitionsDeleted": 0,
        "erasuresForgotten": 0,
        "tidsReleased": 0,
        "devicesUsed": 1,
        "bucketsForgotten": 500,
        "peopleDeleted": 500,
    }
    assert again == [NOTHING]
    (now,), *_ = neglected.run("SELECT now()")
    found = [name for (name,) in neglected.run(PARTITIONS)]
    assert found == expected_partitions(now, kept_days=30)


def test_a_month_that_somebody_is_reading_is_left_to_the_next_run_and_nothing_else_is(
    url: str, neglected: Connection
) -> None:
    neglected.run("ALTER FUNCTION drop_location_partitions() SET lock_timeout = '50ms'")
    with connect(url) as reader, Processes(url, count=1) as one:
        reader.run("BEGIN")
        reader.run("SELECT FROM locations LIMIT 1")
        (code,) = one.each(code_of, ["maintain_locations"])
        reader.run("COMMIT")
        (answer,) = one.each(invoke, ["maintain_locations"])

    assert code == "temporarily_unavailable"
    assert answer.pop("partitionsDropped") > 0
    assert set(answer.values()) == {0}


def code_of(function: str) -> str | None:
    """Run a function that may fail, and return the code it fails with."""
    try:
        invoke(function)
    except Problem as problem:
        return problem.code
    return None
