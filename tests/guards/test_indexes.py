"""A foreign key without an index makes every deletion above it read the whole table."""

import pytest
from sqlalchemy import Connection, text

# Valid, whole, and beginning with the key's columns in whatever order.
UNINDEXED = text("""
    SELECT conname FROM pg_constraint JOIN pg_class c ON c.oid = conrelid
    WHERE contype = 'f' AND NOT relispartition AND NOT EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = conrelid AND indisvalid AND indpred IS NULL
        AND (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey
    )
    ORDER BY conname
""")


def test_every_foreign_key_has_an_index_that_begins_with_it(database: Connection) -> None:
    assert database.scalars(UNINDEXED).all() == []


@pytest.mark.parametrize(
    ("dropped", "made", "unindexed"),
    [
        (
            "INDEX ix_devices_user_id",
            "INDEX ON devices (kind, user_id)",
            "fk_devices_user_id",
        ),
        (
            "INDEX ix_devices_user_id",
            "INDEX ON devices (user_id) WHERE revoked_at IS NULL",
            "fk_devices_user_id",
        ),
        (
            "INDEX ix_group_members_user_id",
            "INDEX ON group_members (group_id)",
            "fk_group_members_user_id",
        ),
    ],
)
def test_one_without_such_an_index_is_seen(
    database: Connection, dropped: str, made: str, unindexed: str
) -> None:
    database.execute(text(f"DROP {dropped}"))
    database.execute(text(f"CREATE {made}"))

    assert database.scalars(UNINDEXED).all() == [unindexed]
