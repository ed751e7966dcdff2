"""The two ways to the database, each visible where a route or job opens it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import Executable

from chalicelib.db import engine, wire
from chalicelib.db.failure import is_passing, sqlstate
from chalicelib.errors import Unavailable


class OneStatement:
    """A connection that takes one statement, in autocommit."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection

    def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any],
        *,
        again_on: frozenset[str] = frozenset(),
    ) -> CursorResult[Any]:
        """Run the statement; once more if it fails with one of these SQLSTATEs.

        Raises RuntimeError on a second statement, which would not be atomic with the first.
        """
        if self._connection is None:
            raise RuntimeError("This connection takes one statement.")
        connection, self._connection = self._connection, None
        try:
            return connection.execute(statement, dict(parameters))
        except DBAPIError as error:
            if sqlstate(error) not in again_on:
                raise
        return connection.execute(statement, dict(parameters))


@contextmanager
def one_statement() -> Iterator[OneStatement]:
    """Lend a connection for one statement, which commits by itself.

    Raises Unavailable when the database is away, full or busy.
    """
    with _passing_failures_told(), engine.connect() as connection:
        # The driver's own switch: no round trip, unlike SQLAlchemy's isolation levels.
        driver: Any = connection.connection.dbapi_connection
        driver.autocommit = wire.takes_autocommit(driver)
        try:
            yield OneStatement(connection)
            if not driver.autocommit:
                connection.commit()
        finally:
            driver.autocommit = False


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
