"""What the database says about itself."""

from typing import Any

from sqlalchemy import column, func, literal_column, select, table

from chalicelib.db import Compiled, OneStatement

# A month ahead, as the partition of that month is named.
_NEXT_MONTH = "'locations_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')"
STATE = Compiled(
    lambda: select(
        select(column("version_num"))
        .select_from(table("alembic_version"))
        .scalar_subquery()
        .label("revision"),
        func.to_regclass(literal_column(_NEXT_MONTH)).is_not(None).label("has_next_month"),
    )
)


def state(connection: OneStatement) -> Any:
    """Return the schema's revision and whether next month's partition is there."""
    return connection.execute(STATE, {})[0]
