"""The two ways to the database, each visible where a route or job opens it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pg8000
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.db.failure import is_passing, sqlstate
from chalicelib.db.statement import Compiled
from chalicelib.errors import Unavailable


class OneStatement:
    """A connection that takes one statement, in autocommit."""

    def __init__(self, connection: Any) -> None:
        self._connection = self._lent = connection

    def give_up(self) -> None:
        """Close the connection, so that the next statement gets another one."""
        self._lent.close()

    def execute(
        self,
        statement: Compiled,
        parameters: Mapping[str, Any],
        *,
        again_on: frozenset[str] = frozenset(),
    ) -> list[Any]:
        """Run the statement and return its rows; once more if it fails with one of these SQLSTATEs.

        Raises RuntimeError on a second statement, which would not be atomic with the first.
        """
        if self._connection is None:
            raise RuntimeError("This connection takes one statement.")
        connection, self._connection = self._connection, None
        values = statement.values(parameters)
        try:
            answer = connection.run_alone(statement.text, values)
        except pg8000.Error as error:
            if sqlstate(error) not in again_on:
                raise
            answer = connection.run_alone(statement.text, values)
        return [statement.row(*row) for row in answer.rows]


@contextmanager
def one_statement() -> Iterator[OneStatement]:
    """Lend a connection for one statement, which commits by itself.

    Raises Unavailable when the database is away, full or busy.
    """
    with _passing_failures_told(), engine.lend() as connection:
        yield OneStatement(connection)


@contextmanager
def transaction() -> Iterator[Session]:
    """Lend a session for one transaction: committed at the end, rolled back on any exception.

    Raises Unavailable when the database is away, full or busy.
    """
    with (
        _passing_failures_told(),
        engine.connect() as connection,
        Session(connection, join_transaction_mode="create_savepoint") as session,
        session.begin(),
    ):
        yield session


@contextmanager
def _passing_failures_told() -> Iterator[None]:
    try:
        yield
    except NoConnectionFree as error:
        raise Unavailable(retry_after=1) from error
    except Exception as error:
        if is_passing(error):
            raise Unavailable(retry_after=1) from error
        raise
