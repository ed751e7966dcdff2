"""What the database says about itself."""

from typing import Any

from sqlalchemy import column, func, literal_column, select, table

from chalicelib import models  # noqa: F401 -- or Base would not know its tables
from chalicelib.db import Compiled, OneStatement
from chalicelib.db.base import Base

# A month ahead, as the partition of that month is named.
_NEXT_MONTH = "'locations_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')"
# By name, because a search of the catalogue would read it whole. A table that is missing is NULL.
_ROWS_ARE_HIDDEN = """(
    SELECT coalesce(bool_or(row_security_active(to_regclass('public.' || name))), false)
    FROM unnest(string_to_array('{}', ' ')) AS name
)""".format(" ".join(sorted(Base.metadata.tables)))  # noqa: S608 -- of constants
STATE = Compiled(
    lambda: select(
        select(column("version_num"))
        .select_from(table("alembic_version"))
        .scalar_subquery()
        .label("revision"),
        func.to_regclass(literal_column(_NEXT_MONTH)).is_not(None).label("has_next_month"),
        # Also on a standby.
        literal_column("current_setting('transaction_read_only')::boolean").label("is_read_only"),
        literal_column(_ROWS_ARE_HIDDEN).label("rows_are_hidden"),
    )
)


def state(connection: OneStatement) -> Any:
    """Return the schema's revision and whether next month's partition is there.

    And whether the database takes no writes, or hides rows from this role.
    """
    return connection.execute(STATE, {})[0]
