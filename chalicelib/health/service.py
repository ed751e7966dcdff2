"""Whether requests can be served."""

from chalicelib.db import OneStatement
from chalicelib.db.failure import UNDEFINED_TABLE, hides_rows, sqlstate
from chalicelib.errors import Unavailable
from chalicelib.health import queries

REVISION = "0025"
"""The revision this code was written for."""


class SchemaNotReady(Unavailable):
    """The database is reachable, but a migration has not run."""

    code = "schema_not_ready"
    detail = (
        "The database's schema is not the one that this release works on: a migration has not run."
        " Run the function migrate: make invoke FUNCTION=migrate"
    )


class PartitionMissing(Unavailable):
    """The schema is right, but the partition for next month's points does not exist."""

    code = "partition_missing"
    detail = (
        "The partition for next month's points is missing: the daily job has not run."
        " Run the function maintain_locations: make invoke FUNCTION=maintain_locations"
    )


class RowsHidden(Unavailable):
    """Row level security is on for a table, and hides its rows from the service's role."""

    code = "rows_hidden"
    detail = "The database hides rows from the service. Its operator has to let it see them."


def check(connection: OneStatement) -> None:
    """Check that requests can be served.

    Raises SchemaNotReady, PartitionMissing, RowsHidden, or Unavailable on a read-only database.
    """
    try:
        state = queries.state(connection)
    except Exception as error:
        if sqlstate(error) == UNDEFINED_TABLE:
            raise SchemaNotReady(retry_after=60) from error
        if hides_rows(error):  # of the table of revisions itself
            raise RowsHidden(retry_after=60) from error
        raise
    if state.rows_are_hidden:
        raise RowsHidden(retry_after=60)
    if state.is_read_only:
        connection.give_up()  # the next one may be led to the server that has taken over
        raise Unavailable(retry_after=1)
    # A newer schema will do: each migration is made so that the release before it works on it.
    # Migrated down to nothing, the table of revisions stays, without a row.
    revision = state.revision or ""
    if not revision.isdecimal() or int(revision) < int(REVISION):
        raise SchemaNotReady(retry_after=60)
    if not state.has_next_month:
        raise PartitionMissing(retry_after=60)
