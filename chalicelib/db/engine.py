"""The process's one engine and the connections it makes."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pg8000
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from chalicelib import secrets
from chalicelib.db import wire
from chalicelib.db.failure import REFUSED_AT_START, SHUTDOWN, is_refused_login, sqlstate
from chalicelib.settings import DatabaseAddress, SettingsError, settings

_ANSWERS_AS_EXPECTED = {
    # Whatever the server's own defaults are, times come in the form that pg8000 reads.
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
}

USUAL_CURVE = "prime256v1"
"""PostgreSQL's own default up to 17. Whoever offers another first is asked to begin again."""


@cache
def engine() -> Engine:
    """Return the engine that serves requests and jobs."""
    seconds = settings().timeout_seconds
    made = create_engine(
        # Asks the server nothing when it connects.
        "postgresql+draugar://",
        creator=_connector(
            timeout=seconds,
            prepare=settings().prepare_statements,
            # The server gives up first: a client that leaves would leave its statement running.
            limits={
                "statement_timeout": f"{seconds * 900:.0f}ms",
                "idle_in_transaction_session_timeout": f"{seconds * 1000:.0f}ms",
            },
        ),
        hide_parameters=True,  # an exception ends up in places that rows must not
        pool_size=settings().pool_size,
        max_overflow=0,
        pool_timeout=seconds,
    )
    return _with_guards(made)


def connect() -> Connection:
    """Take a connection from the engine, to be used as a context manager."""
    return engine().connect()


@contextmanager
def lend() -> Iterator[Any]:
    """Lend one of the engine's connections as the driver made it, without SQLAlchemy around it."""
    pooled = engine().raw_connection()
    try:
        yield pooled.dbapi_connection
    finally:
        pooled.close()


def migration_engine() -> Engine:
    """Return an engine without a timeout, for statements that wait for locks or rewrite tables."""
    return _with_guards(
        create_engine(
            "postgresql+pg8000://", creator=_connector(), hide_parameters=True, poolclass=NullPool
        )
    )


def _connector(
    *, timeout: float | None = None, limits: dict[str, str] | None = None, prepare: bool = False
) -> Callable[[], Any]:
    address, wishes = settings().database, limits or {}
    curve: str | None = USUAL_CURVE

    def connect_once(address: DatabaseAddress, wishes: dict[str, str], curve: str | None) -> Any:
        return wire.connect(
            user=address.user,
            password=_password(address),
            host=address.host,
            port=address.port,
            database=address.database,
            unix_sock=address.socket,
            ssl_context=_ssl_context(address, curve),
            timeout=timeout,
            prepare=prepare,
            application_name="draugar",
            startup_params=_ANSWERS_AS_EXPECTED | wishes,
        )

    def connector() -> Any:
        nonlocal address, wishes, curve
        tried = address, wishes, curve  # another thread may learn better meanwhile
        try:
            return connect_once(*tried)
        except ssl.SSLError as error:
            if tried[2] is None or isinstance(error, ssl.SSLCertVerificationError):
                raise
            curve = None
        except pg8000.Error as error:
            if sqlstate(error) in REFUSED_AT_START and tried[1]:
                # A pooler takes no limits from its clients; there, the role has to bring them.
                wishes = {}
            elif is_refused_login(error) and (fresh := _fresh(tried[0])) is not None:
                address = fresh
            else:
                raise
        return connector()

    return connector


def _password(address: DatabaseAddress) -> str | None:
    if not settings().iam:
        return address.password
    try:
        return secrets.database_password(host=address.host, port=address.port, user=address.user)
    except secrets.SecretUnavailable as error:
        # Like a database that does not let us in: it passes, and not by another request.
        raise ConnectionRefusedError from error


def _fresh(address: DatabaseAddress) -> DatabaseAddress | None:
    """Return the address with the password that it has been given since, if it has."""
    try:
        fresh = settings().database_source.read()
    except SettingsError:
        return None
    return None if fresh == address else fresh


def _with_guards(made: Engine) -> Engine:
    event.listen(made, "handle_error", _discard_connection_out_of_step)
    event.listen(made, "checkout", _discard_closed_connection)
    return made


def _discard_connection_out_of_step(context: ExceptionContext) -> None:
    """Throw away a connection whose error did not come from the server.

    It closes itself by then; the pool should know, and the stock connection does not.
    """
    state = sqlstate(context.original_exception)
    if state is None or state.startswith(SHUTDOWN):
        context.is_disconnect = True


def _discard_closed_connection(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
    """Have a connection replaced that ended while it was idle.

    The new one is taken as it is. If it has ended as well, its first statement tells; SQLAlchemy
    would make a third and then give up, with an error that is not the database's.
    """
    if record.info.get("has_served") and wire.has_ended(connection):
        raise DisconnectionError
    record.info["has_served"] = True


@cache
def _tls(sslmode: str, sslrootcert: str | None, curve: str | None) -> ssl.SSLContext:
    # Made once: it takes longer than a connection.
    context = ssl.create_default_context(
        cafile=None if sslrootcert == "system" else sslrootcert,
    )
    context.check_hostname = sslmode == "verify-full"
    if sslmode == "require" and sslrootcert is None:
        context.verify_mode = ssl.CERT_NONE
    if curve is not None:
        context.set_ecdh_curve(curve)
    return context


def _ssl_context(address: DatabaseAddress, curve: str | None = None) -> ssl.SSLContext | bool:
    # pg8000 takes None for "TLS if the server has it, unverified"; only False means no TLS.
    if address.sslmode == "disable":
        return False
    return _tls(address.sslmode, address.sslrootcert, curve)
