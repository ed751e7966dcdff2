"""Tell the server's errors apart.

By SQLSTATE, never by class: pg8000 raises ProgrammingError for a violated check, a deadlock and
a full server alike. What has no SQLSTATE never came from the server, and then nobody knows what
still lies unread on that connection.
"""

from ssl import SSLCertVerificationError

import pg8000
from sqlalchemy.exc import DBAPIError

DEADLOCK_DETECTED = "40P01"
CHECK_VIOLATION = "23514"
FOREIGN_KEY_VIOLATION = "23503"
SHUTDOWN = "57P"
UNDEFINED_TABLE = "42P01"
_BEHIND = frozenset({UNDEFINED_TABLE, "42703", "42883"})
"""A table, column or function is missing: the schema is of an earlier release than the code."""
_READ_ONLY = "25006"
_NOT_SUPPORTED = "0A000"
REFUSED_RIGHT = "42501"
"""The role has no right to a table, or row level security would hide rows of it."""
REFUSED_AT_START = frozenset({"08P01", "0A000", "22023", "42704"})
"""How poolers (PgBouncer, RDS Proxy) refuse a parameter at the start of a connection."""

# Classes and codes that pass by themselves, or with the operator's help, but never by another
# request: connection lost or refused, out of resources, shut down, locked, serialisation, and a
# database that has yet to be migrated or to grant the role its rights.
_PASSING_CLASSES = ("08", "28", "53", SHUTDOWN, "58")
_ENDS_THE_CONNECTION = frozenset({"FATAL", "PANIC"})
"""Severities. What ends a connection is about the server or a pooler, never about a statement."""

GAVE_UP_WAITING = frozenset({DEADLOCK_DETECTED, "55P03", "57014"})
_PASSING_CODES = (
    GAVE_UP_WAITING | _BEHIND | {_READ_ONLY, REFUSED_RIGHT, "25P03", "25P04", "3D000", "40001"}
)


class NotConnected(pg8000.InterfaceError):  # type: ignore[misc]
    """No connection was made: the server refused it, or did not answer as PostgreSQL does.

    Its argument is that of the driver's error, with the SQLSTATE if the server named one. Whatever
    that is, it says that the database cannot be reached; a statement's errors are judged otherwise.
    """


_OF_THE_SCHEMA = ("0A", "25", "28", "3D", "3F", "42", "53", "55", "57", "58")


def sqlstate(error: BaseException | None) -> str | None:
    """Return the five characters with which the server names its error, or None if it did not."""
    return _field(error, "C")


def constraint(error: BaseException | None) -> str | None:
    """Return the name of the constraint that the server says was violated, if one was."""
    return _field(error, "n")


def schema_message(error: BaseException | None) -> str | None:
    """Return what the server says, where its message names nothing but roles, tables and files.

    Those of other classes may quote a row or a parameter.
    """
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, pg8000.Error) and (sqlstate(error) or "").startswith(_OF_THE_SCHEMA):
        return " ".join((_field(error, "M") or "").split()) or None
    return None


def is_refused_login(error: BaseException) -> bool:
    """Whether the server does not take the user or the password."""
    return (sqlstate(error) or "").startswith("28")


def is_read_only(error: BaseException) -> bool:
    """Whether the server takes no writes, as a standby does, and a primary whose disk is full.

    A standby refuses even to plan a statement that names an unlogged table. That has the SQLSTATE
    of whatever is not supported, so the function of PostgreSQL that raised it is asked for.
    """
    state = sqlstate(error)
    return state == _READ_ONLY or (
        state == _NOT_SUPPORTED and _field(error, "R") == "get_relation_info"
    )


def hides_rows(error: BaseException) -> bool:
    """Whether the server refused to read a table of which row level security hides rows.

    A right that the role lacks has the same SQLSTATE, so the function of PostgreSQL that raised it
    is asked for.
    """
    return sqlstate(error) == REFUSED_RIGHT and _field(error, "R") == "check_enable_rls"


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: the database is away, full or busy."""
    if isinstance(error.orig if isinstance(error, DBAPIError) else error, NotConnected):
        return True
    if is_read_only(error) or _field(error, "V") in _ENDS_THE_CONNECTION:
        return True
    if (state := sqlstate(error)) is not None:
        if state == CHECK_VIOLATION and constraint(error) is None:
            return True  # no partition for the row: it was just dropped, or not made in time
        return state.startswith(_PASSING_CLASSES) or state in _PASSING_CODES
    return isinstance(error, OSError | DBAPIError | pg8000.Error)


def _field(error: BaseException | None, name: str) -> str | None:
    if isinstance(error, DBAPIError):
        error = error.orig
    fields = error.args[0] if error is not None and error.args else None
    return fields.get(name) if isinstance(fields, dict) else None
