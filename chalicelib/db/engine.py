"""The process's one engine and the connections it makes."""

import select
import ssl
from functools import cache
from typing import Any

import pg8000
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import NullPool

from chalicelib.db.failure import SHUTDOWN, sqlstate
from chalicelib.settings import DatabaseAddress, settings

_ANSWERS_AS_EXPECTED = {
    # Whatever the server's own defaults are, dates come in the one form that pg8000 reads.
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
}


@cache
def engine() -> Engine:
    """Return the engine that serves requests and jobs."""
    seconds = settings().timeout_seconds
    return _engine(
        timeout=seconds,
        # The server gives up first: a client that leaves would leave its statement running.
        limits={
            "statement_timeout": f"{seconds * 900:.0f}ms",
            "idle_in_transaction_session_timeout": f"{seconds * 1000:.0f}ms",
        },
        pool_size=settings().pool_size,
        max_overflow=0,
        pool_timeout=seconds,
    )


def connect() -> Connection:
    """Take a connection from the engine, to be used as a context manager."""
    return engine().connect()


def migration_engine() -> Engine:
    """Return an engine without a timeout, for statements that wait for locks or rewrite tables."""
    return _engine(timeout=None, limits={}, poolclass=NullPool)


def _engine(*, timeout: float | None, limits: dict[str, str], **pool: Any) -> Engine:
    address = settings().database
    arguments = {
        "user": address.user,
        "password": address.password,
        "host": address.host,
        "port": address.port,
        "database": address.database,
        "unix_sock": address.socket,
        "ssl_context": _ssl_context(address),
        "timeout": timeout,
        "application_name": "draugar",
        "startup_params": _ANSWERS_AS_EXPECTED | limits,
    }
    made = create_engine(
        "postgresql+pg8000://",
        creator=lambda: pg8000.connect(**arguments),
        # An exception ends up in places that rows must not.
        hide_parameters=True,
        **pool,
    )
    event.listen(made, "handle_error", _discard_connection_out_of_step)
    event.listen(made, "checkout", _discard_closed_connection)
    return made


def _discard_connection_out_of_step(context: ExceptionContext) -> None:
    """Throw away a connection whose error did not come from the server.

    pg8000 may have written half a message or left a reply unread, and would hand the next caller
    somebody else's row.
    """
    state = sqlstate(context.original_exception)
    if state is None or state.startswith(SHUTDOWN):
        context.is_disconnect = True


def _discard_closed_connection(connection: Any, _record: object, _proxy: object) -> None:
    """Replace a connection that the server has closed since it was last used.

    Nothing is due on an idle connection, so whatever can be read there is its end: looking costs
    no round trip, unlike a ping. A function that was frozen wakes up to this.
    """
    # Private, but the pinned driver has it; without it the next statement would find out.
    idle_socket = getattr(connection, "_usock", None)
    if idle_socket is None:
        return
    poll = select.poll()
    poll.register(idle_socket, select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError


@cache
def _tls(sslmode: str, sslrootcert: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=None if sslrootcert == "system" else sslrootcert,
    )
    context.check_hostname = sslmode == "verify-full"
    if sslmode == "require" and sslrootcert is None:
        context.verify_mode = ssl.CERT_NONE
    return context


def _ssl_context(address: DatabaseAddress) -> ssl.SSLContext | bool:
    # pg8000 takes None for "TLS if the server has it, unverified"; only False means no TLS.
    if address.sslmode == "disable":
        return False
    return _tls(address.sslmode, address.sslrootcert)
