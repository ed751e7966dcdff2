"""Buckets that let a burst through and then one request each interval."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import ClassVar
from uuid import UUID

from chalicelib.db import OneStatement, Session
from chalicelib.errors import TooManyRequests
from chalicelib.limits import queries


@dataclass(frozen=True)
class Bucket:
    """One limit on one thing, such as an address or a person."""

    name: str
    burst: int
    interval: timedelta

    FAILED_REDEMPTIONS: ClassVar["Bucket"]

    @classmethod
    def of_address(cls, keyed_address: str) -> "Bucket":
        """Joins and validations from one address."""
        return cls(f"join:{keyed_address}", burst=10, interval=timedelta(seconds=6))

    @classmethod
    def of_inviter(cls, user_id: UUID) -> "Bucket":
        """Invites made by one person."""
        return cls(f"invite:{user_id}", burst=20, interval=timedelta(hours=1))


Bucket.FAILED_REDEMPTIONS = Bucket(
    "failed redemptions", burst=1000, interval=timedelta(milliseconds=50)
)
"""Wrong guesses at short codes, in the whole deployment."""


def admit(connection: OneStatement, *buckets: Bucket) -> None:
    """Take one from each bucket, committed before the work it stands for.

    A later bucket is touched only if the former admits, so that one refused address cannot empty
    what all share.

    Raises TooManyRequests.
    """
    wanted = [(each.name, each.burst, each.interval) for each in buckets]
    for admitted, wait in queries.take(connection, wanted):
        if not admitted:
            raise TooManyRequests(retry_after=max(1, ceil(wait or 0)))


def give_back(session: Session, bucket: Bucket) -> None:
    """Return one to a bucket, in the transaction that shows it was not due."""
    queries.give_back(session, name=bucket.name, interval=bucket.interval)


def forget(session: Session, bucket: Bucket) -> None:
    """Delete a bucket together with whom it is about."""
    queries.delete_bucket(session, name=bucket.name)


def forget_full_buckets(session: Session) -> int:
    """Delete buckets that say no more than a missing one would; return how many."""
    return queries.delete_full(session)
