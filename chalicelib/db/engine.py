"""The process's one engine and the connections it makes."""

import ssl
from functools import cache
from typing import Any

import pg8000
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import NullPool

from chalicelib.db.failure import sqlstate
from chalicelib.settings import DatabaseAddress, settings

TIMEOUT_SECONDS = 5
"""How long a peer may keep silent before a request gives up on it."""


@cache
def engine() -> Engine:
    """Return the engine that serves requests and jobs."""
    return _engine(
        timeout=TIMEOUT_SECONDS,
        pool_size=settings().pool_size,
        max_overflow=0,
        pool_timeout=TIMEOUT_SECONDS,
    )


def connect() -> Connection:
    """Take a connection from the engine, to be used as a context manager."""
    return engine().connect()


def migration_engine() -> Engine:
    """Return an engine without a timeout, for statements that wait for locks or rewrite tables."""
    return _engine(timeout=None, poolclass=NullPool)


def _engine(*, timeout: float | None, **pool: Any) -> Engine:
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
    }
    made = create_engine(
        "postgresql+pg8000://",
        creator=lambda: pg8000.connect(**arguments),
        # An exception ends up in places that rows must not.
        hide_parameters=True,
        **pool,
    )
    event.listen(made, "handle_error", _discard_connection_out_of_step)
    return made


def _discard_connection_out_of_step(context: ExceptionContext) -> None:
    """Throw away a connection whose error did not come from the server.

    pg8000 may have written half a message or left a reply unread, and would hand the next caller
    somebody else's row.
    """
    if sqlstate(context.original_exception) is None:
        context.is_disconnect = True


@cache
def _tls(sslmode: str, sslrootcert: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=None if sslrootcert == "system" else sslrootcert,
    )
    context.check_hostname = sslmode == "verify-full"
    if sslmode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def _ssl_context(address: DatabaseAddress) -> ssl.SSLContext | bool:
    # pg8000 takes None for "TLS if the server has it, unverified"; only False means no TLS.
    if address.sslmode == "disable":
        return False
    return _tls(address.sslmode, address.sslrootcert)
