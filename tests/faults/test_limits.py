"""What the limiter lets through when 1200 come at once (R19): a burst, and what time adds to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, repeat

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from chalicelib.models import RateLimit
from tests import factories
from tests.faults.processes import Call, Processes, perform


@pytest.fixture
def processes(url: str) -> Iterator[Processes]:
    with Processes(url, count=4, threads=10) as processes:
        yield processes


def attempts_from_one_address(_: Session) -> Iterator[Call]:
    yield from repeat(Call("POST", "/api/invites/validate", {"code": "no code"}))


def wrong_guesses_from_everywhere(_: Session) -> Iterator[Call]:
    for number in count():
        address = f"10.0.{number // 256}.{number % 256}"
        yield Call("POST", "/api/invites/validate", {"code": "WRNGWRNG"}, address=address)


def invites_by_one_person(session: Session) -> Iterator[Call]:
    una = factories.someone(session)
    factories.group(session, una)
    yield from repeat(Call("POST", "/api/invites", {}, token=una.token))


@dataclass(frozen=True)
class Limit:
    """A bucket, the requests that take from it, and how much is gone before they all come."""

    bucket: str
    calls_of: Callable[[Session], Iterator[Call]]
    burst: int
    interval: timedelta
    taken: int = 1


FEW = [Limit("join:%", attempts_from_one_address, 10, timedelta(seconds=6))]
MORE = [
    Limit("invite:%", invites_by_one_person, 20, timedelta(hours=1)),
    # It fills so fast that with less gone it would be full again when the rest come.
    Limit("failed%", wrong_guesses_from_everywhere, 1000, timedelta(milliseconds=50), taken=40),
]


@pytest.mark.parametrize(
    "limit",
    [*FEW, *(pytest.param(limit, marks=pytest.mark.full) for limit in MORE)],
    ids=lambda limit: limit.calls_of.__name__,
)
def test_of_1200_at_once_a_burst_is_admitted(
    session: Session, processes: Processes, limit: Limit
) -> None:
    calls = limit.calls_of(session)
    processes.each(perform, [next(calls)])
    begun = clock(session)
    full_again = begun + limit.taken * limit.interval
    session.execute(update(RateLimit).values(theoretical_arrival_at=full_again))
    session.commit()

    replies = processes.each(perform, [next(calls) for _ in range(1200)])
    while True:
        before_the_last = clock(session)
        replies += processes.each(perform, [next(calls)])
        if replies[-1].status == 429:
            break
    after_the_last = clock(session)

    admitted = limit.taken + sum(reply.status in {200, 201} for reply in replies)
    assert {reply.status for reply in replies} <= {200, 201, 429}
    # What time has added by the database's clock, which stood between the two at the last answer.
    assert admitted >= limit.burst + (before_the_last - begun) // limit.interval
    assert admitted <= limit.burst + (after_the_last - begun) // limit.interval
    kept = select(RateLimit.theoretical_arrival_at).where(RateLimit.bucket.like(limit.bucket))
    assert session.scalars(kept).one() == begun + admitted * limit.interval


def clock(session: Session) -> datetime:
    moment: datetime = session.scalars(select(func.clock_timestamp())).one()
    session.rollback()
    return moment
