"""Whether requests can be served."""

from chalicelib.db import OneStatement
from chalicelib.db.failure import UNDEFINED_TABLE, sqlstate
from chalicelib.errors import Unavailable
from chalicelib.health import queries

REVISION = "0015"
"""The revision this code was written for."""


class SchemaNotReady(Unavailable):
    """The database is there, but the migrations or the monthly maintenance have not run."""

    code = "schema_not_ready"
    detail = "The database's schema is not the one that this release works on."


def check(connection: OneStatement) -> None:
    """Raises SchemaNotReady."""
    try:
        state = queries.state(connection)
    except Exception as error:
        if sqlstate(error) == UNDEFINED_TABLE:
            raise SchemaNotReady(retry_after=60) from error
        raise
    # Migrated down to nothing, the table of revisions stays, without a row.
    if (state.revision or "") < REVISION or not state.has_next_month:
        raise SchemaNotReady(retry_after=60)
