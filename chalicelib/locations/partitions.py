"""The monthly partitions of locations, made and dropped by the database's own functions.

Apart from the other queries, for a group's retention needs them too.
"""

from sqlalchemy import Connection, func, select

from chalicelib.db import Session


def make(session: Session | Connection) -> int:
    """Make the partitions from the oldest kept month to three ahead; return how many were new."""
    return int(session.execute(select(func.make_location_partitions())).scalar_one())


def drop(session: Session) -> int:
    """Drop the partitions that are older than any group keeps points; return how many."""
    return int(session.execute(select(func.drop_location_partitions())).scalar_one())
