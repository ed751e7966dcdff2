import pytest
from pg8000 import InterfaceError, ProgrammingError
from sqlalchemy.exc import DBAPIError

from chalicelib.db import failure


@pytest.mark.parametrize(
    "state",
    [
        *("08000", "08001", "08006", "28000", "28P01", "3D000", "25006"),
        *("53000", "53100", "53200", "53300", "57P01", "57P02", "57P03", "58030"),
        *("40001", "40P01", "55P03", "57014"),
        *("42P01", "42703", "42883", "42501"),
    ],
)
def test_what_passes_by_itself_is_told_apart(state: str) -> None:
    assert failure.is_passing(told(state))


@pytest.mark.parametrize(
    "state",
    ["22021", "22P02", "23503", "23505", "23514", "25P02", "40002", "42601", "XX000"],
)
def test_what_another_try_would_not_cure_is_not_passing(state: str) -> None:
    assert not failure.is_passing(told(state, n="a_constraint"))


@pytest.mark.parametrize(
    "state", [None, "08P01", "0A000", "22023", "42501", "42704", "55000", "F0000", "P0001", "XX000"]
)
def test_whatever_is_refused_while_connecting_is_passing(state: str | None) -> None:
    refused = failure.NotConnected({"C": state, "M": "no"} if state else "no answer")

    assert failure.is_passing(refused)
    assert failure.is_passing(DBAPIError("SELECT", {}, refused))
    assert failure.sqlstate(refused) == state


@pytest.mark.parametrize(
    ("state", "routine", "read_only"),
    [
        ("25006", "PreventCommandIfReadOnly", True),
        ("0A000", "get_relation_info", True),
        ("0A000", "RevalidateCachedQuery", False),
    ],
)
def test_a_server_that_takes_no_writes_is_known(
    state: str, routine: str, *, read_only: bool
) -> None:
    error = told(state, R=routine)

    assert failure.is_read_only(error) is read_only
    assert failure.is_passing(error) is read_only


def test_a_month_without_a_partition_is_passing_unlike_a_check() -> None:
    # PostgreSQL says 23514 of both, and names a constraint in one case only.
    assert failure.is_passing(told("23514"))
    assert not failure.is_passing(told("23514", n="ck_users_name_length"))


@pytest.mark.parametrize(
    "error",
    [
        *(ConnectionRefusedError(), ConnectionResetError(), BrokenPipeError(), TimeoutError()),
        DBAPIError("SELECT", {}, InterfaceError("connection is closed")),
    ],
    ids=repr,
)
def test_a_connection_that_broke_is_passing(error: Exception) -> None:
    assert failure.is_passing(error)


@pytest.mark.parametrize("error", [ValueError(), KeyError("C"), RuntimeError({"M": "x"})], ids=repr)
def test_a_bug_is_not_passing(error: Exception) -> None:
    assert not failure.is_passing(error)


def test_the_server_says_which_constraint_was_violated() -> None:
    error = told("23514", n="ck_users_name_length")

    assert failure.sqlstate(error) == failure.sqlstate(error.orig) == "23514"
    assert failure.constraint(error) == "ck_users_name_length"


@pytest.mark.parametrize("error", [None, Exception(), Exception("23514"), OSError(5, "x")])
def test_what_the_server_did_not_say_has_no_state(error: Exception | None) -> None:
    assert failure.sqlstate(error) is None
    assert failure.constraint(error) is None


def told(state: str, **fields: str) -> DBAPIError:
    return DBAPIError("SELECT", {}, ProgrammingError({"C": state, "M": "no more", **fields}))


def test_what_the_server_says_is_told_where_it_names_the_schema_only() -> None:
    told_of = {
        state: failure.schema_message(told(state))
        for state in ("42501", "3F000", "25006", "53100", "55000", "22P02", "23505", "P0001")
    }

    assert [state for state, message in told_of.items() if message is None] == [
        *("22P02", "23505", "P0001")
    ]
    assert failure.schema_message(RuntimeError({"C": "42501", "M": "secret"})) is None
