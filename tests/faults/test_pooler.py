"""Connections that a pooler hands about between transactions.

The environment variable PGBOUNCER names another PgBouncer than Debian's.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import pg8000
import pytest
from sqlalchemy import Integer, Select, Text, bindparam, cast, literal_column, select, text

from chalicelib.db import Compiled, one_statement, transaction, wire
from tests.database import Server
from tests.faults.pgbouncer import pgbouncer
from tests.servers import arguments, serving

pytestmark = pytest.mark.tools("pgbouncer")

THREADS, QUERIES = 16, 150
LIMITS = "extra_float_digits,statement_timeout,idle_in_transaction_session_timeout"

Asked = Callable[[int, int], Any]
"""Ask a thread's own question, of this number; return the answer."""


@pytest.fixture
def pooled(server: Server, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database through a pooler."""
    with server.database() as name, pgbouncer(server.url_of(name), tmp_path) as url:
        yield url


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that our connections send from now on."""
    messages: list[bytes] = []
    exchange = wire.Connection._exchange

    def noted(connection: Any, message: bytes, context: Any) -> Any:
        messages.append(message)
        return exchange(connection, message, context)

    monkeypatch.setattr(wire.Connection, "_exchange", noted)
    return messages


def question(thread: int) -> str:
    """Return SQL that no other thread uses."""
    return f"SELECT {thread}, %s::int + {thread}, %s::text || ' of {thread}'"


def answer(thread: int, number: int) -> list[Any]:
    return [thread, number + thread, f"{number} of {thread}"]


def wrong_answers(ask: Asked, *, each: int = QUERIES) -> int:
    """Let all threads ask their questions at once, and count what is not their answers."""

    def wrong(thread: int) -> int:
        return sum(list(ask(thread, n)) != answer(thread, n) for n in range(each))

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(wrong, range(THREADS)))


def asking(connections: list[Any], *, autocommit: bool) -> Asked:
    """Ask on a connection for each thread; what is raised is an answer too."""

    def ask(thread: int, number: int) -> Any:
        connection = connections[thread]
        connection.autocommit = autocommit
        try:
            cursor = connection.cursor().execute(question(thread), [number, str(number)])
            row = cursor.fetchone()
            if not autocommit:
                connection.commit()
        except pg8000.Error as error:
            return error.args
        return row

    return ask


def selected(thread: int) -> Select[Any]:
    columns: list[Any] = [
        literal_column(f"{thread}").label("thread"),
        (cast(bindparam("n"), Integer) + literal_column(f"{thread}")).label("sum"),
        (cast(bindparam("t"), Text) + literal_column(f"' of {thread}'")).label("whose"),
    ]
    return select(*columns)


SELECTED = [selected(thread) for thread in range(THREADS)]
COMPILED = [Compiled(partial(copy, statement)) for statement in SELECTED]


def ask_in_one_statement(thread: int, number: int) -> Any:
    with one_statement() as connection:
        (row,) = connection.execute(COMPILED[thread], {"n": number, "t": str(number)})
    return row


def ask_in_a_transaction(thread: int, number: int) -> Any:
    with transaction() as session:
        session.execute(text("SELECT set_config('draugar.thread', :me, true)"), {"me": str(thread)})
        row = session.execute(SELECTED[thread], {"n": number, "t": str(number)}).one()
        me = session.scalar(text("SELECT current_setting('draugar.thread')"))
    return row if me == str(thread) else me


@pytest.mark.parametrize("prepare", [False, True], ids=["unnamed", "prepared"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transactions"])
def test_ours_is_answered_right_by_whatever_server(
    pooled: str, sent: list[bytes], *, autocommit: bool, prepare: bool
) -> None:
    connections = [wire.connect(**arguments(pooled), prepare=prepare) for _ in range(THREADS)]

    wrong = wrong_answers(asking(connections, autocommit=autocommit))

    assert wrong == 0
    queries = THREADS * QUERIES
    needed = queries if autocommit else 2 * queries
    # A server that does not know a name costs one more; soon all know them all.
    assert needed <= len(sent) < needed + queries / 10
    close(connections)


def test_the_stock_connection_is_answered_wrong_in_autocommit(pooled: str) -> None:
    connections = [pg8000.connect(**arguments(pooled)) for _ in range(THREADS)]

    wrong = wrong_answers(asking(connections, autocommit=True))

    assert wrong > 0
    close(connections)


def test_the_stock_connection_is_answered_right_in_transactions(pooled: str) -> None:
    connections = [pg8000.connect(**arguments(pooled)) for _ in range(THREADS)]

    wrong = wrong_answers(asking(connections, autocommit=False))

    assert wrong == 0
    close(connections)


@pytest.mark.parametrize("ignored", [LIMITS, "extra_float_digits"], ids=["ignores", "refuses"])
@pytest.mark.parametrize("ask", [ask_in_one_statement, ask_in_a_transaction])
def test_the_service_is_answered_right_through_a_pooler(
    server: Server, tmp_path: Path, ignored: str, ask: Asked
) -> None:
    with (
        server.database() as name,
        pgbouncer(server.url_of(name), tmp_path, ignore_startup_parameters=ignored) as url,
        serving(url, pool_size=THREADS) as engine,
    ):
        wrong = wrong_answers(ask, each=50)
        pooled = engine.pool.status()

    assert wrong == 0
    assert f"Connections in pool: {THREADS} " in pooled


def close(connections: list[Any]) -> None:
    for connection in connections:
        connection.close()
