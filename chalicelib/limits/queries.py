"""The generic cell rate algorithm as one statement.

Source: ITU-T I.371, virtual scheduling form. A bucket stores the moment at which it will be full
again, its theoretical arrival time; it admits while one interval more leaves that moment at most
a burst of intervals away.

A moment further away than that comes from a clock that ran ahead. It is brought back, one
microsecond beyond the burst: what lies within the burst has been admitted.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    DateTime,
    Interval,
    Select,
    Text,
    any_,
    bindparam,
    case,
    cast,
    delete,
    extract,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from chalicelib.db import Compiled, OneStatement, Session
from chalicelib.models import RateLimit

_MICROSECOND: Any = literal_column("interval '1 microsecond'")


def _build_take(count: int) -> Select[Any]:
    columns: list[Any] = []
    previous: CTE | None = None
    for number in range(count):
        name, interval, span = _parameters(number)
        previous = _taken(number, previous)
        present = (
            select(RateLimit.theoretical_arrival_at)
            .where(RateLimit.bucket == name)
            .scalar_subquery()
        )
        full = func.least(present, func.now() + span)
        columns += [
            select(previous.c.bucket)
            .where(previous.c.is_admitted)
            .exists()
            .label(f"admitted_{number}"),
            extract("epoch", full + interval - span - func.now()).label(f"wait_{number}"),
        ]
    return select(*columns)


def _parameters(number: int) -> tuple[BindParameter[Any], ...]:
    """A bucket's name, its interval, and its span: as many intervals as it lets through at once."""
    return (
        bindparam(f"bucket_{number}", type_=Text),
        bindparam(f"interval_{number}", type_=Interval),
        bindparam(f"span_{number}", type_=Interval),
    )


def _taken(number: int, previous: CTE | None) -> CTE:
    name, interval, span = _parameters(number)
    first: Any = select(name, cast(func.now() + interval, DateTime(timezone=True)))
    if previous is not None:
        first = first.select_from(previous).where(previous.c.is_admitted)
    arrival, furthest = RateLimit.theoretical_arrival_at, func.now() + span
    next_arrival = func.greatest(arrival, func.now()) + interval
    return (
        insert(RateLimit)
        .from_select(["bucket", "theoretical_arrival_at"], first)
        .on_conflict_do_update(
            index_elements=["bucket"],
            set_={
                "theoretical_arrival_at": case(
                    (next_arrival <= furthest, next_arrival), else_=furthest + _MICROSECOND
                )
            },
            where=or_(next_arrival <= furthest, arrival > furthest),
        )
        .returning(RateLimit.bucket, (arrival <= furthest).label("is_admitted"))
        .cte(f"taken_{number}")
    )


_TAKE = {count: Compiled(partial(_build_take, count)) for count in (1, 2, 3)}


def take(
    connection: OneStatement, buckets: Sequence[tuple[str, int, timedelta]]
) -> list[tuple[bool, float | None]]:
    """Take one from each bucket (name, burst, interval), as long as each former one gave.

    For each it returns whether it did, and how many seconds until it will.
    """
    parameters: dict[str, Any] = {}
    for number, (name, burst, interval) in enumerate(buckets):
        parameters |= {
            f"bucket_{number}": name,
            f"interval_{number}": interval,
            f"span_{number}": burst * interval,
        }
    row = connection.execute(_TAKE[len(buckets)], parameters)[0]
    return list(zip(row[::2], row[1::2], strict=True))


def give_back(session: Session, *, name: str, interval: timedelta) -> None:
    """Return one to a bucket: what it was taken for has not happened."""
    session.execute(
        update(RateLimit)
        .where(RateLimit.bucket == name)
        .values(theoretical_arrival_at=RateLimit.theoretical_arrival_at - interval)
    )


def delete_buckets(session: Session, *, names: Sequence[str]) -> None:
    """Delete buckets."""
    session.execute(delete(RateLimit).where(RateLimit.bucket.in_(names)))


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
