from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from pg8000.native import Connection
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.db import transaction
from chalicelib.jobs import purge_expired_invites
from chalicelib.models import InviteCode
from tests import factories
from tests.database import connect
from tests.faults.processes import Processes, invoke
from tests.laptop.runs import eventually

EXPIRED = """
    INSERT INTO invite_codes (code_hash, created_at, expires_at)
    SELECT sha256(n::text::bytea), now() - interval '2 days', now() - n * interval '1 second'
    FROM generate_series(1, :many) AS n
"""
LIVE = """
    INSERT INTO invite_codes (code_hash, expires_at)
    SELECT sha256(('live' || n)::bytea), now() + interval '1 hour' FROM generate_series(1, 10) AS n
"""
LEFT = """
    SELECT count(*) FILTER (WHERE expires_at > now()), count(*) FILTER (WHERE expires_at <= now())
    FROM invite_codes
"""
# One row of the second batch cannot be deleted before somebody lets go of a lock.
STUMBLING_BLOCK = [
    """
    CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(1); RETURN old; END $$
    """,
    """
    CREATE TRIGGER stumble BEFORE DELETE ON invite_codes
    FOR EACH ROW WHEN (old.code_hash = sha256('2000')) EXECUTE FUNCTION stumble()
    """,
    "SELECT pg_advisory_lock(1)",
]
STUMBLED = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
SERVED = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def crowded(url: str) -> Iterator[Connection]:
    """A database with 10 live codes and 5000 expired ones: two batches and a half."""
    with connect(url) as operator:
        operator.run(LIVE)
        operator.run(EXPIRED, many=5000)
        yield operator


def left(operator: Connection) -> tuple[int, int]:
    """Return how many live and how many expired codes there are."""
    (row,) = operator.run(LEFT)
    return tuple(row)


def test_codes_that_expired_unused_are_deleted_and_no_others(session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    now = factories.now(session)
    past, later = now - timedelta(hours=1), now + timedelta(microseconds=1)
    to_keep: list[dict[str, Any]] = [
        {"expires_at": later},
        {"expires_at": None},
        {"expires_at": later, "revoked_at": past},
        {"expires_at": past, "used_at": past},
        {"expires_at": past, "used_at": past, "used_by": una.user_id},
    ]
    for columns in to_keep:
        factories.invite(session, group_id=hearth, by=una, **columns)
    kept = set(session.scalars(select(InviteCode.id)))
    factories.invite(session, group_id=hearth, by=una, expires_at=past)
    factories.invite(session, group_id=hearth, by=una, expires_at=past, revoked_at=past)
    factories.invite(session, group_id=hearth, by=una, expires_at=now)
    factories.founding_invite(session, expires_at=past)

    answers = [invoke("purge_expired_invites"), invoke("purge_expired_invites")]

    assert answers == [{"deleted": 4}, {"deleted": 0}]
    assert set(session.scalars(select(InviteCode.id))) == kept


def test_many_at_once_delete_each_code_once(url: str, crowded: Connection) -> None:
    with Processes(url, count=8) as eight:
        answers = eight.each(invoke, ["purge_expired_invites"] * 8)

    assert sum(answer["deleted"] for answer in answers) == 5000
    assert left(crowded) == (10, 0)


def test_what_a_killed_one_has_left_the_next_one_takes(url: str, crowded: Connection) -> None:
    for statement in STUMBLING_BLOCK:
        crowded.run(statement)
    with Processes(url, count=1) as first:
        first.begin(invoke, ["purge_expired_invites"])
        assert eventually(lambda: bool(crowded.run(STUMBLED)))
        first.kill()
    crowded.run("SELECT pg_advisory_unlock(1)")
    assert eventually(lambda: not crowded.run(SERVED))
    after_the_first = left(crowded)

    with Processes(url, count=1) as second:
        answers = second.each(invoke, ["purge_expired_invites"])

    assert after_the_first == (10, 3000)
    assert answers == [{"deleted": 3000}]
    assert left(crowded) == (10, 0)


@pytest.mark.parametrize("many", [5000, pytest.param(100_000, marks=pytest.mark.full)])
def test_no_transaction_deletes_more_than_a_batch(url: str, many: int) -> None:
    with connect(url) as operator:
        operator.run(EXPIRED, many=many)

        with Processes(url, count=1) as one:
            (deleted,) = one.each(sizes_of_transactions, [None])

        assert left(operator) == (0, 0)
    assert sum(deleted) == many
    assert max(deleted) <= purge_expired_invites.BATCH


def sizes_of_transactions(_: None) -> list[int]:
    """Purge, and return how many codes each transaction deleted."""
    deleted = []
    count = select(func.count()).select_from(InviteCode)

    @contextmanager
    def counted() -> Iterator[Session]:
        with transaction() as session:
            before = session.scalar(count) or 0
            yield session
            deleted.append(before - (session.scalar(count) or 0))

    purge_expired_invites.transaction = counted  # type: ignore[attr-defined]
    invoke("purge_expired_invites")
    return deleted
