"""Rows by the million, made by the database itself, and what the service asks of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pg8000.native import Connection

from chalicelib.auth import Credential
from chalicelib.db.statement import Compiled

MEMBERS = 5
"""How many people a family is."""

PAYLOAD_BYTES = 300
"""How long a sealed point is."""

_FAMILIES = [
    """
    INSERT INTO groups (name, key_version)
    SELECT 'Family', 1 FROM generate_series(1, CAST(:families AS integer))
    """,
    """
    INSERT INTO users (name)
    SELECT 'Person' FROM generate_series(1, CAST(:people AS integer))
    """,
    """
    INSERT INTO devices (user_id, name, kind, token_hash)
    SELECT id, 'Phone', 'app', sha256(uuid_send(id)) FROM users
    """,
    """
    INSERT INTO group_members (group_id, user_id, role, joined_at)
    SELECT family.id, person.id, 'member', now() - interval '1 year'
    FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM groups) family
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM users) person
        ON person.n / CAST(:members AS integer) = family.n
    """,
    """
    INSERT INTO group_keys (group_id, key_version, commitment)
    SELECT id, 1, sha256(uuid_send(id)) FROM groups
    """,
    """
    INSERT INTO key_envelopes (group_id, key_version, user_id, device_id)
    SELECT group_members.group_id, 1, user_id, devices.id
    FROM group_members JOIN devices USING (user_id)
    """,
]
# In the order of time, as they come: the points of a family lie among those of all others.
_POINTS = """
INSERT INTO locations
    (group_id, user_id, recorded_at, id, device_id, received_at, encrypted_data, key_version)
SELECT group_id, user_id, uuid_time(id), id, device_id, uuid_time(id),
    convert_to(repeat('x', CAST(:bytes AS integer)), 'UTF8'), 1
FROM (
    SELECT member.group_id, member.user_id, device.id AS device_id, new_id(
        CAST(:since AS timestamptz) + (CAST(:until AS timestamptz) - CAST(:since AS timestamptz))
            * ((n + random()) / CAST(:each AS integer))
    ) AS id
    FROM generate_series(0, CAST(:each AS integer) - 1) n,
        group_members member JOIN devices device ON device.user_id = member.user_id
    WHERE CAST(:group_id AS uuid) IS NULL OR member.group_id = :group_id
    ORDER BY n
) point
"""
_SOME_PEOPLE = """
SELECT group_members.group_id, user_id, token_hash
FROM (SELECT id FROM groups ORDER BY random() LIMIT CAST(:families AS integer)) family
JOIN group_members ON group_members.group_id = family.id JOIN devices USING (user_id)
WHERE kind = 'app'
"""


@dataclass(frozen=True)
class Person:
    """Somebody who has been made, and may ask for what their family posted."""

    group_id: UUID
    user_id: UUID
    credential: Credential


def make_families(connection: Connection, *, families: int) -> None:
    """Make families whose members have a device each, in an empty database."""
    for statement in _FAMILIES:
        connection.run(statement, families=families, people=families * MEMBERS, members=MEMBERS)
    connection.run("VACUUM ANALYZE users, devices, groups, group_members, key_envelopes")


def make_points(
    connection: Connection,
    *,
    each: int,
    since: datetime,
    until: datetime,
    group_id: UUID | None = None,
) -> None:
    """Make as many points of each person, or of each in a group, evenly from `since` to `until`.

    Needs a superuser: the foreign key, which holds anyway, would take half of the time.
    """
    connection.run("SET session_replication_role = replica")
    connection.run(
        _POINTS, each=each, since=since, until=until, group_id=group_id, bytes=PAYLOAD_BYTES
    )
    connection.run("RESET session_replication_role")
    connection.run("VACUUM ANALYZE locations")


def some_people(connection: Connection, *, families: int) -> list[Person]:
    """Return the members of some of the families."""
    return [
        Person(group_id, user_id, Credential(kind="app", token_hash=token_hash))
        for group_id, user_id, token_hash in connection.run(_SOME_PEOPLE, families=families)
    ]


class Asked(Exception):
    """A statement was about to be run."""

    def __init__(self, statement: Compiled, values: list[Any]) -> None:
        super().__init__()
        self.statement = statement
        self.values = values


class _Listener:
    def execute(self, statement: Compiled, parameters: Mapping[str, Any], **_: object) -> Any:
        raise Asked(statement, statement.values(parameters))


def asked(use_case: Callable[..., object], **arguments: Any) -> Asked:
    """Return what a use case would run on a connection that takes one statement."""
    try:
        use_case(_Listener(), **arguments)
    except Asked as heard:
        return heard
    raise AssertionError(use_case)
