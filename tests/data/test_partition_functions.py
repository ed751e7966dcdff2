"""The functions that run with their owner's rights: what their callers cannot make of them."""

import secrets
from collections.abc import Iterator

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, identifier

from chalicelib.jobs.migrate import migrate
from tests.database import Server

FUNCTIONS = ("make_location_partitions", "drop_location_partitions")


@pytest.fixture
def guest(server: Server, empty: str) -> Iterator[Connection]:
    """A connection with a role that may do nothing but call the two functions."""
    migrate({}, None)
    role = f"draugar_test_guest_{secrets.token_hex(4)}"
    with server.connect(empty) as owner:
        owner.run(f"CREATE ROLE {role}")
        for function in FUNCTIONS:
            owner.run(f"GRANT EXECUTE ON FUNCTION {function}() TO {role}")
        owner.run(f"GRANT TEMPORARY ON DATABASE {identifier(empty)} TO {role}")
        try:
            owner.run(f"SET SESSION AUTHORIZATION {role}")
            yield owner
        finally:
            owner.run("RESET SESSION AUTHORIZATION")
            owner.run(f"DROP OWNED BY {role}")
            owner.run(f"DROP ROLE {role}")


def test_a_caller_needs_no_right_but_to_call(guest: Connection) -> None:
    assert guest.run("SELECT make_location_partitions()") == [[0]]
    assert guest.run("SELECT drop_location_partitions()") == [[0]]
    with pytest.raises(DatabaseError, match="42501"):
        guest.run("SELECT * FROM locations")


def test_nobody_may_call_who_was_not_granted_it(guest: Connection) -> None:
    guest.run("RESET SESSION AUTHORIZATION")
    role = guest.run("SELECT rolname FROM pg_roles WHERE rolname ~ 'draugar_test_guest'")[0][0]
    for function in FUNCTIONS:
        guest.run(f"REVOKE EXECUTE ON FUNCTION {function}() FROM {role}")
    guest.run(f"SET SESSION AUTHORIZATION {role}")

    for function in FUNCTIONS:
        with pytest.raises(DatabaseError, match="42501"):
            guest.run(f"SELECT {function}()")


def test_a_caller_cannot_put_a_type_of_their_own_in_the_place_of_a_built_in_one(
    guest: Connection,
) -> None:
    guest.run("CREATE FUNCTION pg_temp.confess(timestamptz) RETURNS boolean LANGUAGE plpgsql AS"
              " $$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$")  # fmt: skip
    guest.run(
        "CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.timestamptz CHECK (pg_temp.confess(value))"
    )

    for function in FUNCTIONS:
        assert guest.run(f"SELECT {function}()") == [[0]]


def test_a_caller_cannot_name_the_tables_that_are_dropped(
    guest: Connection, server: Server, empty: str
) -> None:
    guest.run("CREATE TEMP TABLE pg_inherits AS SELECT 1::oid inhrelid, c.oid inhparent"
              " FROM pg_catalog.pg_class c WHERE relname = 'locations'")  # fmt: skip
    guest.run("CREATE TEMP TABLE pg_class AS SELECT 1::oid oid, 'locations_2000_01'::name relname")

    assert guest.run("SELECT drop_location_partitions()") == [[0]]
    with server.connect(empty) as owner:
        assert owner.run("SELECT count(*) FROM alembic_version") == [[1]]
