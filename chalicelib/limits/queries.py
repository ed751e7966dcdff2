"""The generic cell rate algorithm as one statement.

Source: ITU-T I.371, virtual scheduling form. A bucket stores the moment at which it will be full
again, its theoretical arrival time; it admits while one interval more leaves that moment at most
a burst of intervals away.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    DateTime,
    Select,
    any_,
    cast,
    delete,
    extract,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from chalicelib.db import Session
from chalicelib.models import RateLimit


def take(buckets: Sequence[tuple[str, int, timedelta]]) -> Select[Any]:
    """Take one from each bucket (name, burst, interval), as long as each former one gave.

    The row's column `admitted_N` says whether bucket N did, `wait_N` how many seconds until it
    will.
    """
    columns: list[Any] = []
    previous: CTE | None = None
    for number, (name, burst, interval) in enumerate(buckets):
        previous = _taken(number, name, burst, interval, previous)
        present = (
            select(RateLimit.theoretical_arrival_at)
            .where(RateLimit.bucket == name)
            .scalar_subquery()
        )
        columns += [
            select(previous.c.bucket).exists().label(f"admitted_{number}"),
            extract("epoch", present - (burst - 1) * interval - func.now()).label(f"wait_{number}"),
        ]
    return select(*columns)


def give_back(session: Session, *, name: str, interval: timedelta) -> None:
    """Return one to a bucket: what it was taken for has not happened."""
    session.execute(
        update(RateLimit)
        .where(RateLimit.bucket == name)
        .values(theoretical_arrival_at=RateLimit.theoretical_arrival_at - interval)
    )


def delete_bucket(session: Session, *, name: str) -> None:
    """Delete a bucket."""
    session.execute(delete(RateLimit).where(RateLimit.bucket == name))


def delete_full(session: Session) -> int:
    """Delete the buckets that are full again and not in use; return how many."""
    full = (
        select(RateLimit.bucket)
        .where(RateLimit.theoretical_arrival_at < func.now())
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    deleted: Any = session.execute(
        delete(RateLimit).where(RateLimit.bucket == any_(func.array(full)))
    )
    return int(deleted.rowcount)


def _taken(number: int, name: str, burst: int, interval: timedelta, previous: CTE | None) -> CTE:
    first: Any = select(literal(name), cast(func.now() + interval, DateTime(timezone=True)))
    if previous is not None:
        first = first.select_from(previous)
    next_arrival = func.greatest(RateLimit.theoretical_arrival_at, func.now()) + interval
    return (
        insert(RateLimit)
        .from_select(["bucket", "theoretical_arrival_at"], first)
        .on_conflict_do_update(
            index_elements=["bucket"],
            set_={"theoretical_arrival_at": next_arrival},
            where=next_arrival <= func.now() + burst * interval,
        )
        .returning(RateLimit.bucket)
        .cte(f"taken_{number}")
    )
