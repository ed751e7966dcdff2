"""Statements that stay prepared on the server, and what may happen to them there."""

from collections.abc import Iterator
from typing import Any

import pg8000
import pytest

from chalicelib.db import wire
from tests.servers import arguments


@pytest.fixture
def connection(target: str) -> Iterator[Any]:
    """A connection in autocommit, on which a table and a sequence are its own."""
    with wire.connect(**arguments(target), prepare=True) as connection:
        connection.autocommit = True
        connection.run("CREATE TEMP SEQUENCE attempts")
        connection.run("CREATE TEMP TABLE t (n int UNIQUE)")
        yield connection


def ask(connection: Any, sql: str, *parameters: Any) -> Any:
    cursor = connection.cursor().execute(sql, parameters)
    return cursor.fetchall() if cursor.description else None


def known(connection: Any) -> list[str]:
    """Return the statements that the server knows by name."""
    return [sql for (sql,) in connection.run("SELECT statement FROM pg_prepared_statements")]


def attempts(connection: Any) -> int:
    """Return how often something has been tried since the last time, successful or not."""
    ((last, called),) = connection.run("SELECT last_value, is_called FROM attempts")
    connection.run("SELECT setval('attempts', 1, false)")
    return int(last) if called else 0


def test_a_statement_is_prepared_once(connection: Any) -> None:
    answers = [ask(connection, "SELECT %s::int + 1", number) for number in range(10)]

    assert answers == [([number + 1],) for number in range(10)]
    assert known(connection) == ["SELECT $1::int + 1"]


@pytest.mark.parametrize("forget", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_a_statement_that_the_server_forgot_is_prepared_again(connection: Any, forget: str) -> None:
    ask(connection, "SELECT %s::int + 1", 1)
    ask(connection, forget)

    answers = [ask(connection, "SELECT %s::int + 1", number) for number in range(3)]

    assert answers == [([number + 1],) for number in range(3)]
    assert known(connection) == ["SELECT $1::int + 1"]


def test_a_name_that_is_there_already_is_no_hindrance(connection: Any) -> None:
    ask(connection, "SELECT %s::int + 1", 1)
    connection._prepared = type(connection._prepared)()

    assert ask(connection, "SELECT %s::int + 1", 2) == ([3],)


def test_a_migration_of_a_column_is_read_right(connection: Any) -> None:
    ask(connection, "INSERT INTO t VALUES (%s)", 7)
    before = ask(connection, "SELECT * FROM t WHERE n = %s", 7)

    connection.run("ALTER TABLE t ALTER n TYPE numeric(5, 2), ADD m text DEFAULT 'new'")

    assert before == ([7],)
    assert repr(ask(connection, "SELECT * FROM t WHERE n = %s", 7)) == "([Decimal('7.00'), 'new'],)"
    assert repr(ask(connection, "SELECT * FROM t WHERE n = %s", 7)) == "([Decimal('7.00'), 'new'],)"


def test_a_parameter_of_a_column_that_became_wider_is_taken(connection: Any) -> None:
    ask(connection, "INSERT INTO t VALUES (%s)", 1)

    connection.run("ALTER TABLE t ALTER n TYPE bigint")

    ask(connection, "INSERT INTO t VALUES (%s)", 2**40)
    assert connection.run("SELECT max(n) FROM t") == ([2**40],)


def test_so_many_statements_are_kept_and_no_more(connection: Any) -> None:
    for number in range(wire.MOST_PREPARED + 20):
        assert ask(connection, f"SELECT %s::int + {number}", 1) == ([number + 1],)

    assert len(known(connection)) == wire.MOST_PREPARED


def test_statements_that_fail_count_too(connection: Any) -> None:
    for number in range(wire.MOST_PREPARED + 20):
        with pytest.raises(pg8000.ProgrammingError, match="22012"):
            ask(connection, f"SELECT {number} / %s::int", 0)

    assert len(known(connection)) <= wire.MOST_PREPARED


def test_nothing_is_prepared_in_a_transaction(connection: Any) -> None:
    connection.autocommit = False
    ask(connection, "SELECT %s::int + 1", 1)
    ask(connection, "SELECT %s::int + 2", 1)
    connection.commit()
    connection.autocommit = True
    connection.run("BEGIN")
    ask(connection, "SELECT %s::int + 3", 1)
    connection.run("COMMIT")

    assert known(connection) == []


def test_a_prepared_statement_is_not_looked_for_in_a_transaction(connection: Any) -> None:
    ask(connection, "SELECT %s::int + 1", 1)
    connection.run("DEALLOCATE ALL")
    connection.autocommit = False

    assert ask(connection, "SELECT %s::int + 1", 1) == ([2],)
    connection.commit()


@pytest.mark.parametrize(
    ("mend", "sql", "wrong", "right"),
    [
        ("CREATE TEMP TABLE later AS SELECT 1 AS n", "SELECT n FROM later WHERE n = %s", 1, 1),
        ("SELECT", "SELECT %s::int", "one", 1),
        ("SELECT", "SELECT 1 / %s::int", 0, 1),
    ],
    ids=["parse", "bind", "execute"],
)
def test_a_statement_that_fails_at_first_is_prepared_later(
    connection: Any, mend: str, sql: str, wrong: Any, right: Any
) -> None:
    for _ in range(2):
        with pytest.raises(pg8000.ProgrammingError, match=r"42P01|22P02|22012"):
            ask(connection, sql, wrong)

    connection.run(mend)

    assert [ask(connection, sql, right) for _ in range(3)] == [([1],)] * 3
    assert known(connection) == [sql.replace("%s", "$1")]


@pytest.mark.parametrize("state", ["P0001", "23505", "22012", "0A000", "26000", "40001"])
def test_what_fails_by_itself_is_not_run_twice(connection: Any, state: str) -> None:
    connection.run(
        "CREATE FUNCTION pg_temp.try(state text) RETURNS text LANGUAGE plpgsql AS $$BEGIN"
        " PERFORM nextval('attempts');"
        " IF state <> '' THEN RAISE 'failed' USING ERRCODE = state; END IF; RETURN 'done'; END$$"
    )
    assert ask(connection, "SELECT pg_temp.try(%s)", "") == (["done"],)
    attempts(connection)

    with pytest.raises(pg8000.Error, match=state):
        ask(connection, "SELECT pg_temp.try(%s)", state)

    assert attempts(connection) == 1


def test_what_waited_too_long_for_a_lock_is_not_tried_again(target: str, connection: Any) -> None:
    connection.run("CREATE TABLE locked (n int)")
    ask(connection, "SELECT n FROM locked WHERE n = %s", 1)
    connection.run("SET statement_timeout = '50ms'")
    with wire.connect(**arguments(target)) as other:
        other.cursor().execute("LOCK TABLE locked")
        before = wire.round_trips()

        with pytest.raises(pg8000.Error, match="57014"):
            ask(connection, "SELECT n FROM locked WHERE n = %s", 1)

        assert wire.round_trips() - before == 1
    connection.run("DROP TABLE locked")


def test_what_has_committed_before_it_failed_is_not_run_twice(connection: Any) -> None:
    connection.run(
        "CREATE PROCEDURE pg_temp.book(amount int) LANGUAGE plpgsql AS $$BEGIN"
        " INSERT INTO t SELECT count(*) FROM t; COMMIT;"
        " IF amount < 0 THEN RAISE 'refused' USING ERRCODE = '0A000'; END IF; END$$"
    )
    ask(connection, "CALL pg_temp.book(%s)", 1)

    with pytest.raises(pg8000.ProgrammingError, match="0A000"):
        ask(connection, "CALL pg_temp.book(%s)", -1)

    assert connection.run("SELECT count(*) FROM t") == ([2],)


def test_a_copy_keeps_its_stream(connection: Any) -> None:
    connection.cursor().execute("COPY t FROM STDIN", stream=["1\n", "2\n"])

    assert connection.run("SELECT count(*) FROM t") == ([2],)
