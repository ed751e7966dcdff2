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
    def of_network(cls, keyed_network: str) -> "Bucket":
        """Short codes tried, right ones too, from all the addresses that one holder may have."""
        return cls(f"network:{keyed_network}", burst=60, interval=timedelta(seconds=1))

    @classmethod
    def of_inviter(cls, user_id: UUID) -> "Bucket":
        """Invites made by one person."""
        return cls(f"invite:{user_id}", burst=20, interval=timedelta(hours=1))

    @classmethod
    def of_maker(cls, user_id: UUID) -> "Bucket":
        """Devices and groups made by one person: others are shown them, and all are kept."""
        return cls(f"make:{user_id}", burst=50, interval=timedelta(hours=1))


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


def admit_maker(connection: OneStatement, *, user_id: UUID) -> None:
    """Let somebody make a device or a group, or not. Raises TooManyRequests."""
    admit(connection, Bucket.of_maker(user_id))


def give_back(session: Session, bucket: Bucket) -> None:
    """Return one to a bucket, in the transaction that shows it was not due."""
    queries.give_back(session, name=bucket.name, interval=bucket.interval)


def forget(session: Session, *buckets: Bucket) -> None:
    """Delete buckets together with whom they are about."""
    queries.delete_buckets(session, names=[bucket.name for bucket in buckets])


def forget_full_buckets(session: Session) -> int:
    """Delete buckets that say no more than a missing one would; return how many."""
    return queries.delete_full(session)
