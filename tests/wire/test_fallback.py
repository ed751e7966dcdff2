"""With a pg8000 that nobody has looked at, the stock connection serves, in transactions only."""

import logging
from collections.abc import Iterator
from typing import Any

import pg8000
import pytest
from pg8000 import legacy
from sqlalchemy import bindparam, literal_column, select, text

from chalicelib.db import Compiled, one_statement, transaction, wire
from chalicelib.errors import Unavailable
from tests.database import connect
from tests.relay import Relay
from tests.servers import arguments, serving

ONE = Compiled(lambda: select(literal_column("1").label("one")))
STORE = Compiled(lambda: select(literal_column("store()").label("stored")))


@pytest.fixture(params=["another version", "a name is missing", "a class is missing"])
def strange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A pg8000 that is not the one that the connection was written for."""
    match request.param:
        case "another version":
            monkeypatch.setattr(pg8000, "__version__", "1.32.0")
        case "a name is missing":
            monkeypatch.setitem(wire._BORROWED, legacy.Connection, ("handle_everything",))
        case _:
            monkeypatch.setitem(wire._BORROWED, legacy, ("convert_paramstyle", "Pipeline"))
    wire.is_understood.cache_clear()
    yield
    wire.is_understood.cache_clear()


@pytest.mark.usefixtures("strange")
def test_the_stock_connection_is_given(empty: str) -> None:
    with wire.connect(**arguments(empty), prepare=True) as connection:
        assert type(connection) is legacy.Connection


@pytest.mark.usefixtures("strange")
def test_it_is_told_once_and_without_secrets(empty: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            wire.connect(**arguments(empty)).close()

    (told,) = caplog.records
    assert told.levelno == logging.WARNING
    assert told.args == (pg8000.__version__, wire.PINNED)


@pytest.mark.usefixtures("strange")
def test_a_statement_is_a_transaction_that_commits(empty: str) -> None:
    operator = connect(empty)
    operator.run("CREATE TABLE kept (xid bigint DEFAULT txid_current(), n serial)")
    operator.run(
        "CREATE FUNCTION store() RETURNS bool LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO kept DEFAULT VALUES; RETURN true; END$$"
    )

    with serving(empty) as engine:
        for _ in range(3):
            with one_statement() as connection:
                (row,) = connection.execute(STORE, {})
                assert row.stored is True
                # Beside it, while the connection is still lent.
                stored = operator.run("SELECT count(*) FROM kept")
        pooled = engine.raw_connection()
        driver: Any = pooled.dbapi_connection
        pooled.close()

    assert stored == [[3]]
    assert type(driver) is legacy.Connection
    assert not driver._in_transaction
    operator.run("DROP TABLE kept; DROP FUNCTION store")
    operator.close()


@pytest.mark.usefixtures("strange")
def test_it_never_speaks_in_autocommit(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = []
    execute = legacy.Connection.execute_unnamed

    def watched(connection: Any, *arguments: Any, **options: Any) -> Any:
        inside.append(connection._in_transaction and not connection.autocommit)
        return execute(connection, *arguments, **options)

    monkeypatch.setattr(legacy.Connection, "execute_unnamed", watched)
    with serving(empty):
        with one_statement() as connection:
            connection.execute(ONE, {})
        with transaction() as session:
            session.execute(text("SELECT CAST(:n AS int)"), {"n": 1})

    assert len(inside) == 4  # each of them, and its commit
    assert all(inside)


@pytest.mark.usefixtures("strange")
def test_a_statement_that_fails_leaves_the_connection_to_the_next(empty: str) -> None:
    broken = Compiled(lambda: select(literal_column("1 / 0").label("none")))
    with serving(empty) as engine:
        for _ in range(3):
            with pytest.raises(pg8000.Error, match="22012"), one_statement() as connection:
                connection.execute(broken, {})

            assert one() == 1
        assert engine.pool.status().startswith("Pool size: 1  Connections in pool: 1 ")


@pytest.mark.usefixtures("strange")
def test_a_poisoned_parameter_disturbs_nobody(empty: str) -> None:
    echo = Compiled(lambda: select(bindparam("value").label("value")))
    with serving(empty):
        for poison in ("\ud800", "a\0b"):
            with pytest.raises(Exception, match=r"surrogates|22021"), one_statement() as connection:
                connection.execute(echo, {"value": poison})

            assert [one() for _ in range(5)] == [1] * 5


@pytest.mark.usefixtures("strange")
def test_a_connection_that_died_idle_is_missed_once(empty: str) -> None:
    with serving(empty):
        one()
        with connect(empty) as operator:
            operator.run(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(Unavailable):
            one()

        assert [one() for _ in range(3)] == [1] * 3


@pytest.mark.usefixtures("strange")
def test_a_connection_that_was_silent_for_too_long_is_not_used_again(empty: str) -> None:
    with Relay(empty) as relay, serving(relay.url) as engine:
        one()
        pooled = engine.raw_connection()
        driver: Any = pooled.dbapi_connection
        driver._usock.settimeout(0.05)
        pooled.close()
        relay.way = 0.1
        with pytest.raises(Unavailable):
            one()
        relay.way = 0

        assert [one() for _ in range(3)] == [1] * 3


def one() -> Any:
    with one_statement() as connection:
        return connection.execute(ONE, {})[0].one
