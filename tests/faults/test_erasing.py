"""An erase and a repeated post of the same point that meet: the point stays erased."""

import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from chalicelib.models import ErasedPoint, Location
from tests import factories
from tests.api import Reply
from tests.faults.processes import Call, Processes, perform
from tests.laptop.runs import eventually
from tests.owntracks import basic

# The erase has deleted and not committed while the test holds the lock.
HOLD_ERASE = [
    """
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(1); RETURN new; END $$
    """,
    "CREATE TRIGGER hold BEFORE INSERT ON erased_points FOR EACH ROW EXECUTE FUNCTION hold()",
]
HOLD_POST = [
    HOLD_ERASE[0],
    "CREATE TRIGGER hold BEFORE INSERT ON locations FOR EACH ROW EXECUTE FUNCTION hold()",
]
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
KINDS = ["app", "sealed by an app", "phone", "sealed by a phone"]


class Posting:
    """A member with a point that is posted again and again, and erased."""

    def __init__(self, session: Session, kind: str) -> None:
        sealed = kind.startswith("sealed")
        self.una = factories.someone(session)
        version = 3 if sealed else 0
        group = factories.group(session, self.una, key_version=version)
        self.erase = Call("DELETE", "/api/locations", token=self.una.token)
        if kind.endswith("phone"):
            columns: dict[str, Any] = {"key_version": 3} if sealed else {}
            phone = factories.phone(session, group, self.una, **columns)
            at = int(session.scalar(select(func.date_part("epoch", func.now()))) or 0)
            fix = {"_type": "location", "lat": 64.1, "lon": -21.9, "acc": 9, "tst": at}
            data = base64.b64encode(secrets.token_bytes(64)).decode()
            body = {"_type": "encrypted", "data": data} if sealed else fix
            headers = basic(phone.device_id, phone.token)
            self.post = Call("POST", "/owntracks", body, headers=headers)
        else:
            point = factories.sealed_point() if sealed else factories.plain_point()
            self.post = Call("POST", "/api/locations", point, token=self.una.token)
        session.commit()


@pytest.fixture
def processes(url: str) -> Iterator[tuple[Processes, Processes]]:
    with Processes(url, count=1) as one, Processes(url, count=1) as other:
        yield one, other


def waiting(session: Session) -> int:
    """Return how many connections wait for a lock, by a statistic that stands still otherwise."""
    session.rollback()
    return session.scalar(text(WAITING)) or 0


def stored(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Location)) or 0


def overlapping(
    session: Session,
    url: str,
    processes: tuple[Processes, Processes],
    first: Call,
    second: Call,
) -> list[Reply]:
    """Begin the second call while the first is held between what it does and its commit."""
    del url
    with session.get_bind().connect() as holder, ThreadPoolExecutor(2) as pool:  # type: ignore[union-attr]
        holder.execute(text("SELECT pg_advisory_lock(1)"))
        calls: list[Future[list[Reply]]] = []
        try:
            for number, call in enumerate((first, second)):
                calls.append(pool.submit(processes[number].each, perform, [call]))
                assert eventually(lambda: waiting(session) == len(calls))
        finally:
            holder.execute(text("SELECT pg_advisory_unlock(1)"))
            holder.commit()
        return [reply for call in calls for reply in call.result()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_point_that_is_posted_again_while_it_is_erased_stays_erased(
    url: str, session: Session, processes: tuple[Processes, Processes], kind: str
) -> None:
    posting = Posting(session, kind)
    (posted,) = processes[0].each(perform, [posting.post])
    assert (posted.status, stored(session)) == (200, 1)
    for statement in HOLD_ERASE:
        session.execute(text(statement))
    session.commit()

    erased, again = overlapping(session, url, processes, posting.erase, posting.post)

    assert (erased.status, erased.json, again.status) == (200, {"deleted": 1}, 200)
    assert stored(session) == 0
    assert session.scalar(select(func.count()).select_from(ErasedPoint)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_erase_that_meets_the_first_post_erases_it_with_its_repeats(
    url: str, session: Session, processes: tuple[Processes, Processes], kind: str
) -> None:
    posting = Posting(session, kind)
    for statement in HOLD_POST:
        session.execute(text(statement))
    session.commit()

    posted, erased = overlapping(session, url, processes, posting.post, posting.erase)
    (again,) = processes[0].each(perform, [posting.post])

    assert (posted.status, erased.json, again.status) == (200, {"deleted": 1}, 200)
    assert stored(session) == 0


@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.full)])
def test_no_repeat_of_many_brings_a_point_back(url: str, session: Session, rounds: int) -> None:
    for kind in KINDS:
        with Processes(url, count=6) as processes:
            for _ in range(rounds):
                posting = Posting(session, kind)
                before = stored(session)
                processes.each(perform, [posting.post])

                calls = [posting.post, posting.post, posting.erase, posting.post]
                replies = processes.each(perform, [*calls, posting.post, posting.post])

                assert {reply.status for reply in replies} == {200}
                assert replies[2].json == {"deleted": 1}
                assert stored(session) == before
