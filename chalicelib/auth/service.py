"""Who is calling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chalicelib.auth import queries
from chalicelib.auth.credentials import Caller, Credential
from chalicelib.db import Compiled, OneStatement, Session
from chalicelib.errors import Unauthenticated


@dataclass(frozen=True, kw_only=True)
class Me:
    """The caller, as they are told about themselves."""

    id: UUID
    name: str


def authenticate(session: Session, credential: Credential, *, alone: bool = False) -> Caller:
    """Return who is calling, at the start of a transaction.

    `alone` makes other writes to the person's groups, and others of the same person that ask for
    it, wait: for what is counted in all these groups.
    Raises Unauthenticated.
    """
    found = queries.find_caller(session, credential, alone=alone)
    if found is None:
        raise Unauthenticated
    return found


def hold(session: Session, caller: Caller, *, alone: bool = False) -> None:
    """Make sure that the calling device is still valid when this transaction commits.

    For writes that lock no group; after every lock on groups, never before one. `alone` makes other
    writes of the same person that ask for it wait. Who updates the person's row asks for it: two
    that have it in common could not update it, and each would wait for the other.
    Raises Unauthenticated.
    """
    if not queries.lock_device(session, caller, alone=alone):
        raise Unauthenticated


def read(
    connection: OneStatement,
    statement: Compiled,
    credential: Credential,
    parameters: Mapping[str, Any] | None = None,
) -> Sequence[Any]:
    """Run a statement made by `auth.queries.answer` and return its rows, at least one.

    Raises Unauthenticated.
    """
    rows = connection.execute(statement, credential.parameters | dict(parameters or {}))
    if rows[0].caller_user_id is None:
        raise Unauthenticated
    return rows


def me(connection: OneStatement, *, credential: Credential) -> Me:
    """Return the caller's id and name. Raises Unauthenticated."""
    row = read(connection, queries.ME, credential)[0]
    return Me(id=row.caller_user_id, name=row.name)
