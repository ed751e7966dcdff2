"""The process's one engine and the connections it makes."""

import ssl
from collections.abc import Callable, Iterator, Mapping
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
from chalicelib.db.failure import (
    REFUSED_AT_START,
    SHUTDOWN,
    NotConnected,
    is_refused_login,
    sqlstate,
)
from chalicelib.settings import DatabaseAddress, SettingsError, settings

# Whatever the defaults of the server, the database and the role are. These, poolers let through.
_ANSWERS_AS_EXPECTED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
}
_SESSION = _ANSWERS_AS_EXPECTED | {
    # The forms that pg8000 reads and writes, and numbers to their last digit.
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    # Rows that the role may not see are an error: without it they would be as good as deleted.
    "row_security": "off",
    # Temporary tables last, or one could stand in for a table of ours.
    "search_path": "public, pg_temp",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "lock_timeout": "0",
    "exit_on_error": "off",
}
_WITHOUT_LIMITS = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}

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
            settings_of_session=_SESSION
            | {
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


def migration_engine(*, timeout: float | None = None) -> Engine:
    """Return an engine for statements that wait for locks or rewrite tables: without a timeout."""
    return _with_guards(
        create_engine(
            "postgresql+pg8000://",
            creator=_connector(settings_of_session=_SESSION | _WITHOUT_LIMITS, timeout=timeout),
            hide_parameters=True,
            poolclass=NullPool,
        )
    )


def _connector(
    *, settings_of_session: dict[str, str], timeout: float | None = None, prepare: bool = False
) -> Callable[[], Any]:
    address, at_start = settings().database, settings_of_session
    curve: str | None = USUAL_CURVE

    def connect_once(address: DatabaseAddress, at_start: dict[str, str], curve: str | None) -> Any:
        made = wire.connect(
            user=address.user,
            password=_password(address),
            host=address.host,
            port=address.port,
            database=address.database,
            unix_sock=address.socket,
            ssl_context=_ssl_context(address, curve),
            timeout=timeout,
            connect_timeout=address.connect_timeout,
            prepare=prepare,
            settings=settings_of_session,
            bound=address.channel_binding == "require",
            application_name=address.application_name,
            startup_params=at_start,
        )
        if _is_refused_by_us(address, made.parameter_statuses):
            made.close()
            raise NotConnected({"C": "25006", "M": "The server takes no writes."})
        return made

    def connector() -> Any:
        nonlocal address, at_start, curve
        tried = address, at_start, curve  # another thread may learn better meanwhile
        try:
            return connect_once(*tried)
        except ssl.SSLError as error:
            if tried[2] is None or isinstance(error, ssl.SSLCertVerificationError):
                raise
            curve = None
        except pg8000.Error as error:
            if sqlstate(error) in REFUSED_AT_START and tried[1] != _ANSWERS_AS_EXPECTED:
                # A pooler takes few settings from its clients; the others go along with statements.
                at_start = _ANSWERS_AS_EXPECTED
            elif is_refused_login(error) and (fresh := _fresh(tried[0])) is not None:
                address = fresh
            else:
                raise
        return connector()

    return connector


def _is_refused_by_us(address: DatabaseAddress, told: Mapping[str, str]) -> bool:
    """Whether the address asks for a server that takes writes, and this one says it does not."""
    match address.target_session_attrs:
        case "read-write":
            return "on" in (told.get("in_hot_standby"), told.get("default_transaction_read_only"))
        case "primary":
            return told.get("in_hot_standby") == "on"
        case _:
            return False


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
    if record.info.get("has_served") and connection.has_ended:
        raise DisconnectionError
    record.info["has_served"] = True


@cache
def _tls(sslmode: str, sslrootcert: str | None, curve: str | None) -> ssl.SSLContext:
    # Made once: it takes longer than a connection.
    context = ssl.create_default_context(
        cafile=None if sslrootcert == "system" else sslrootcert,
    )
    # Since 3.13, Python asks more of certificates than libpq does, and less of the root.
    context.verify_flags &= ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
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
