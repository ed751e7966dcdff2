"""Posts that meet: the same points again, in another order, by several at once (R7)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from chalicelib.models import Location
from tests import factories
from tests.faults.processes import Call, Processes, perform
from tests.laptop.runs import eventually

OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Every row takes its time, so that the batches are under way together on any machine.
SLOWLY = [
    """
    CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(0.001); RETURN new; END $$
    """,
    """
    CREATE TRIGGER linger BEFORE INSERT ON locations
    FOR EACH ROW EXECUTE FUNCTION linger()
    """,
]
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


def test_a_point_sent_many_times_at_once_is_kept_once(url: str, session: Session) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    point = factories.plain_point()

    with Processes(url, count=8) as processes:
        posts = [Call("POST", "/api/locations", point, token=una.token)] * 24
        replies = processes.each(perform, posts)

    stored = {"results": [{"id": point["id"], "status": "stored"}]}
    assert [(reply.status, reply.json) for reply in replies] == [(200, stored)] * 24
    assert session.scalar(select(func.count(Location.id))) == 1


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=pytest.mark.full)])
def test_batches_that_overlap_in_opposite_orders_do_not_hinder_each_other(
    url: str, session: Session, rounds: int
) -> None:
    una = factories.someone(session)
    groups = [str(factories.group(session, una)) for _ in range(2)]
    for statement in SLOWLY:
        session.execute(text(statement))
    session.commit()
    replies = []

    with Processes(url, count=8) as processes:
        for _ in range(rounds):
            points = points_in(groups)
            posts = [
                Call("POST", "/api/locations", {"locations": batch}, token=una.token)
                for batch in [points, points[::-1]] * 4
            ]
            replies += processes.each(perform, posts)
    assert eventually(lambda: number(session, OTHERS) == 0)

    assert [reply.status for reply in replies] == [200] * 8 * rounds
    results = [result for reply in replies for result in reply.json["results"]]
    assert {result["status"] for result in results} == {"stored"}
    assert session.scalar(select(func.count(Location.id))) == 100 * rounds
    # Not even one that was overcome by a second try.
    assert number(session, DEADLOCKS) == 0


def number(session: Session, statistic: str) -> int:
    """Read a statistic, which stands still within a transaction."""
    session.rollback()
    return session.scalar(text(statistic)) or 0


def points_in(groups: list[str]) -> list[dict[str, Any]]:
    """Make 100 points, in the groups by turns, from the oldest to the newest."""
    begun = datetime.now(UTC) - timedelta(hours=1)
    return [
        factories.plain_point(begun + timedelta(seconds=number), groupId=groups[number % 2])
        for number in range(100)
    ]
