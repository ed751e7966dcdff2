"""Rows are locked in one order (docs/decisions/0006-lock-order.md), and each as needed at once.

Every write is watched from beside it: after each of its statements another session tries every
row, and so learns which ones are locked, and how strongly.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

import pytest
from pg8000.native import Connection
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from chalicelib.db import engine
from tests import factories
from tests.database import Server, connect
from tests.factories import opaque
from tests.faults.holding import Holding
from tests.faults.processes import Call, Processes, own_database, perform
from tests.guards.test_round_trips import CASES, Case, Scene, metered
from tests.laptop.runs import eventually


class Strength(IntEnum):
    """How strongly a row is locked. Each refuses what those before it do, and more."""

    KEY_SHARE = 1
    SHARE = 2
    NO_KEY_UPDATE = 3
    UPDATE = 4


ORDER = ["groups", "group_members", "invite_codes", "users", "devices"]
# What belongs to a group has its id; a device of an app has none.
_GROUP_OF = {"groups": "id", "users": "NULL::uuid"}
_ROWS = " UNION ALL ".join(
    f"SELECT '{table}', id, {_GROUP_OF.get(table, 'group_id')}, locked('{table}', id) FROM {table}"  # noqa: S608 -- of ORDER
    for table in ORDER
)
# NOWAIT waits nevertheless for who has updated a row and then deleted it.
_LOCKED = """
    CREATE OR REPLACE FUNCTION locked(relation text, row_id uuid) RETURNS integer
    LANGUAGE plpgsql SET lock_timeout = 10 AS $$
    DECLARE refused integer := 0; strength text;
    BEGIN
        FOREACH strength IN ARRAY '{KEY SHARE,SHARE,NO KEY UPDATE,UPDATE}'::text[] LOOP
            BEGIN
                EXECUTE format('SELECT FROM %I WHERE id = $1 FOR %s NOWAIT', relation, strength)
                USING row_id;
            EXCEPTION WHEN lock_not_available THEN refused := refused + 1;
            END;
        END LOOP;
        RETURN refused;
    END $$
"""
WRITES = [
    (request, case)
    for request, case in CASES
    if not request.startswith("GET ") and case.status < 300
]


@dataclass(frozen=True)
class Row:
    """A row that may be locked, and the group that it belongs to."""

    table: str
    id: UUID
    group_id: UUID | None

    @property
    def rank(self) -> tuple[int, int]:
        """Its place in the order. Groups have an order among themselves."""
        return ORDER.index(self.table), self.id.int if self.table == "groups" else 0


Locks = Mapping[Row, Strength]


def locks(observer: Connection) -> Locks:
    """Return which rows another session has locked; those that it has just made are not seen."""
    # The stronger a lock, the more of those that are tried it refuses.
    return {
        Row(table, id_, group_id): Strength(refused)
        for table, id_, group_id, refused in observer.run(_ROWS)
        if refused
    }


def faults(before: Locks, after: Locks) -> list[str]:
    """Return what is wrong with the locks that a statement took, given those that it found.

    Rows of a group that is locked are free of the order: who wants one has to have the group first.
    """
    alone = {row.id for row in before if row.table == "groups" and before[row] == Strength.UPDATE}
    groups = {row.group_id for row in after if row.table == "groups"}

    def in_order(row: Row) -> bool:
        return row.table == "groups" or row.group_id not in alone

    taken = [row for row in after if after[row] > before.get(row, 0) and in_order(row)]
    found = []
    for row in taken:
        if row in before:
            found.append(f"{row.table}: {before[row].name}, then {after[row].name}")
        if row.table == "group_members" and row.group_id not in groups:
            found.append("group_members without its group")
        held = [other for other in before if row.table == "groups" or in_order(other)]
        found += [
            f"{other.table}, then {row.table}"
            for other in held
            if other != row and other.rank > row.rank
        ]
    return found


@contextmanager
def watched(observer: Connection) -> Iterator[list[Locks]]:
    """Collect which rows are locked after each statement of this process."""
    seen: list[Locks] = []

    def look(*_: Any) -> None:
        seen.append(locks(observer))

    event.listen(engine.engine(), "after_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(engine.engine(), "after_cursor_execute", look)


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database for all of these tests."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture(scope="module")
def service(url: str) -> Iterator[None]:
    """The service in this process, on that database."""
    with metered(url):
        yield


@pytest.fixture
def observer(url: str) -> Iterator[Connection]:
    """A process beside the service that finds nothing in the database."""
    with connect(url) as operator:
        operator.run(_LOCKED)
        operator.run("TRUNCATE users, groups, rate_limits CASCADE")
        yield operator


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(("request_", "case"), WRITES, ids=str)
def test_every_write_locks_in_one_order(observer: Connection, request_: str, case: Case) -> None:
    scene = Scene.make()
    for _ in range(case.times - 1):
        scene.ask(request_, case)
    with watched(observer) as seen:
        reply = scene.ask(request_, case)

    assert reply.status == case.status
    steps = zip([{}, *seen], seen, strict=False)
    assert [fault for before, after in steps for fault in faults(before, after)] == []


STATEMENTS = {
    Strength.KEY_SHARE: "SELECT FROM users FOR KEY SHARE",
    Strength.SHARE: "SELECT FROM users FOR SHARE",
    Strength.NO_KEY_UPDATE: "UPDATE users SET name = 'Ari'",
    Strength.UPDATE: "SELECT FROM users FOR UPDATE",
}


@pytest.mark.parametrize("strength", Strength)
def test_a_lock_is_seen_as_strong_as_it_is(
    observer: Connection, session: Session, strength: Strength
) -> None:
    una = factories.someone(session)
    session.commit()
    session.execute(text(STATEMENTS[strength]))

    assert locks(observer) == {Row("users", una.user_id, None): strength}


def test_another_order_is_a_fault() -> None:
    group, other = (Row("groups", UUID(int=number), UUID(int=number)) for number in (1, 2))
    person, device = (Row(table, UUID(int=3), None) for table in ("users", "devices"))
    phone = Row("devices", UUID(int=4), group.id)
    shared, alone = Strength.SHARE, Strength.UPDATE

    assert faults({}, {group: alone, person: shared, device: shared}) == []
    assert faults({device: shared}, {device: shared, person: shared}) == ["devices, then users"]
    assert faults({device: shared}, {device: alone}) == ["devices: SHARE, then UPDATE"]
    assert faults({other: alone}, {other: alone, group: alone}) == ["groups, then groups"]
    assert faults({group: alone}, {group: alone, other: alone}) == []
    assert faults({person: alone}, {person: alone, group: alone}) == ["users, then groups"]
    assert faults({group: alone, phone: alone}, {group: alone, phone: alone, person: alone}) == []
    assert faults({group: shared, phone: shared}, {group: shared, phone: alone}) == [
        "devices: SHARE, then UPDATE"
    ]
    assert faults({}, {Row("group_members", UUID(int=5), group.id): alone}) == [
        "group_members without its group"
    ]


@pytest.fixture(scope="module")
def processes(url: str) -> Iterator[tuple[Processes, Processes]]:
    with Processes(url, count=1) as one, Processes(url, count=1) as other:
        yield one, other


WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def test_a_key_is_registered_while_its_person_is_renamed(
    url: str, session: Session, processes: tuple[Processes, Processes]
) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    session.commit()
    renaming, registering = processes
    rename = Call("PATCH", "/api/users/me", {"name": "Ari"}, token=una.token)
    register = Call("POST", "/api/crypto/register-key", {"publicKey": opaque(32)}, token=una.token)

    # Before the row is locked for the update: a lock for less would let the other one in between.
    with Holding.of(url, "UPDATE ON users", each="STATEMENT") as holding:
        renaming.begin(perform, [rename])
        assert holding.has(1)
        registering.begin(perform, [register])
        assert holding.keeps_waiting(1)
        holding.let_go()
        statuses = [process.results()[0].status for process in processes]

    assert statuses == [204, 409]  # the key is kept, and there is no group's key yet


def test_an_account_is_deleted_while_its_points_are(
    url: str, session: Session, observer: Connection, processes: tuple[Processes, Processes]
) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    session.commit()
    calls = [
        Call("DELETE", "/api/users/me", token=una.token),
        Call("DELETE", "/api/locations", token=una.token),
    ]

    def waits(number: int) -> bool:
        return eventually(lambda: observer.run(WAITING) == [[number]])

    # Both come as far as the person, or as what they lock before; the deletion is first in line.
    with connect(url) as operator:
        operator.run("BEGIN")
        operator.run("SELECT FROM users WHERE id = :id FOR UPDATE", id=una.user_id)
        for number, (process, call) in enumerate(zip(processes, calls, strict=True), start=1):
            process.begin(perform, [call])
            assert waits(number)
        operator.run("COMMIT")
    statuses = [process.results()[0].status for process in processes]

    assert statuses == [204, 401]
