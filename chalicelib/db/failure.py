"""Tell the server's errors apart.

By SQLSTATE, never by class: pg8000 raises ProgrammingError for a violated check, a deadlock and
a full server alike. What has no SQLSTATE never came from the server, and then nobody knows what
still lies unread on that connection.
"""

import pg8000
from sqlalchemy.exc import DBAPIError

DEADLOCK_DETECTED = "40P01"
CHECK_VIOLATION = "23514"
FOREIGN_KEY_VIOLATION = "23503"
READ_ONLY = "25006"
SHUTDOWN = "57P"
UNDEFINED_TABLE = "42P01"
_BEHIND = frozenset({UNDEFINED_TABLE, "42703", "42883"})
"""A table, column or function is missing: the schema is of an earlier release than the code."""
REFUSED_AT_START = frozenset({"08P01", "0A000"})
"""How poolers (PgBouncer, RDS Proxy) refuse a parameter at the start of a connection."""

# Classes and codes that pass by themselves, or with the operator's help, but never by another
# request: connection lost or refused, out of resources, shut down, locked, serialisation, and a
# database that has yet to be migrated.
_PASSING_CLASSES = ("08", "28", "53", SHUTDOWN, "58")
GAVE_UP_WAITING = frozenset({DEADLOCK_DETECTED, "55P03", "57014"})
_PASSING_CODES = GAVE_UP_WAITING | _BEHIND | {READ_ONLY, "25P03", "25P04", "3D000", "40001"}


def sqlstate(error: BaseException | None) -> str | None:
    """Return the five characters with which the server names its error, or None if it did not."""
    if isinstance(error, DBAPIError):
        error = error.orig
    fields = error.args[0] if error is not None and error.args else None
    return fields.get("C") if isinstance(fields, dict) else None


def constraint(error: BaseException | None) -> str | None:
    """Return the name of the constraint that the server says was violated, if one was."""
    if isinstance(error, DBAPIError):
        error = error.orig
    fields = error.args[0] if error is not None and error.args else None
    return fields.get("n") if isinstance(fields, dict) else None


def is_refused_login(error: BaseException) -> bool:
    """Whether the server does not take the user or the password."""
    return (sqlstate(error) or "").startswith("28")


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: the database is away, full or busy."""
    if (state := sqlstate(error)) is not None:
        if state == CHECK_VIOLATION and constraint(error) is None:
            return True  # no partition for the row: it was just dropped, or not made in time
        return state.startswith(_PASSING_CLASSES) or state in _PASSING_CODES
    return isinstance(error, OSError | DBAPIError | pg8000.Error)
