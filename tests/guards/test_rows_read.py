"""How many points a statement reads that orders and limits them, where estimates are wrong.

One family has posted much, all of it in this month, and forty have posted little. The planner
knows the averages, or former ones, or nothing. Whatever it knows, a statement reads no more than
it may answer of each member, and one point more: prepared or not, with one month or two.

The server's counters of rows look into functions, as EXPLAIN does not. They miss an index that is
walked from the wrong end, so blocks are counted too.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from pg8000.core import make_params
from pg8000.native import Connection, literal

from bench.rows import MEMBERS, Asked, Person, asked, make_families
from chalicelib.auth import Credential, PhoneCredential
from chalicelib.export import service as export
from chalicelib.jobs.maintain_locations import BATCH
from chalicelib.locations import service as locations
from chalicelib.owntracks import service as owntracks
from tests.database import Server, connect
from tests.faults.processes import own_database
from tests.guards.test_plans import PHONES

FAMILIES, FEW, MANY = 40, 500, 10_000
LIMIT = 100
"""Of a page of history."""

OF_LATE = 200
"""Among so many points of a member one is looked for that a phone can be told."""

BLOCKS = 20
"""For each member, to go down the indexes of the months and of the other tables."""

# Autovacuum would change what the planner knows at a moment of its own.
TABLES = """
SET session_replication_role = replica;
UPDATE groups SET retention_days = 92, encryption = 'optional';
RESET session_replication_role;
SELECT make_location_partitions();
DO $$ DECLARE month regclass; BEGIN
    FOR month IN SELECT relid FROM pg_partition_tree('locations') WHERE isleaf LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', month);
    END LOOP;
END $$
"""
# In the order of time, as they come: the points of a member lie among those of others.
POINTS = """
INSERT INTO locations
    (group_id, user_id, recorded_at, id, device_id, received_at, encrypted_data, key_version)
SELECT group_id, user_id, uuid_time(id), id, user_id, uuid_time(id), sha512(uuid_send(id)), 1
FROM (
    SELECT group_id, user_id, new_id(
        CAST(:since AS timestamptz) + (CAST(:until AS timestamptz) - CAST(:since AS timestamptz))
            * ((n + random()) / points)
    ) AS id
    FROM (
        SELECT group_id, user_id, CAST(
            CASE WHEN group_id = :real THEN :many ELSE :few END AS integer
        ) AS points FROM group_members
    ) member, generate_series(0, points - 1) n
    ORDER BY n::float8 / points
) point
"""
FORGET = """
DELETE FROM pg_statistic WHERE starelid IN (SELECT relid FROM pg_partition_tree('locations'));
UPDATE pg_class SET reltuples = -1, relpages = 0
WHERE oid IN (SELECT relid FROM pg_partition_tree('locations'))
    OR oid IN (SELECT relid FROM pg_partition_tree('pk_locations'))
"""
KEEP_A_DAY = "UPDATE groups SET retention_days = 1"
DELETION = f"SELECT delete_points_past_retention({BATCH})"
BY_ESTIMATE = """
ALTER FUNCTION points_of_member RESET ALL;
ALTER FUNCTION newest_of_member RESET ALL;
ALTER FUNCTION points_of_member_after RESET ALL
"""
READ = """
SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::bigint
FROM pg_stat_xact_user_tables WHERE relid IN (SELECT relid FROM pg_partition_tree('locations'))
"""


@dataclass(frozen=True)
class Case:
    """What is asked, and how many points of each member may be read for it."""

    ask: Callable[["Asker"], Asked]
    of_each: int


@dataclass(frozen=True)
class Asker:
    """A member of the family that has posted a lot, and a point from the middle of it."""

    who: Person
    middle_id: UUID
    middle_at: datetime


@dataclass(frozen=True)
class Cost:
    """What a statement read: points of any table, blocks of everything."""

    rows: int
    blocks: int


def _history(**said: Callable[["Asker"], Any]) -> Callable[["Asker"], Asked]:
    def ask(asker: Asker) -> Asked:
        wanted: dict[str, Any] = {
            "group_id": asker.who.group_id,
            "user_id": None,
            "since": None,
            "until": None,
            "after": None,
            "limit": LIMIT,
        }
        wanted |= {name: value(asker) for name, value in said.items()}
        page = locations.Wanted(**wanted)
        return asked(locations.history, credential=asker.who.credential, wanted=page)

    return ask


def _after(asker: Asker) -> tuple[UUID, UUID]:
    return asker.middle_id, asker.who.user_id


def _latest(asker: Asker) -> Asked:
    who = asker.who
    return asked(locations.latest, credential=who.credential, group_id=who.group_id)


def _posts(message: owntracks.Message) -> Callable[[Asker], Asked]:
    def ask(asker: Asker) -> Asked:
        user_id = asker.who.user_id
        phone = PhoneCredential(
            kind="owntracks",
            token_hash=hashlib.sha256(user_id.bytes + b"phone").digest(),
            device_id=user_id,
        )
        return asked(owntracks.take, credential=phone, message=message, is_android=False)

    return ask


def _fix(asker: Asker) -> Asked:
    at = int(asker.middle_at.timestamp())
    return _posts(owntracks.Fix(at=at, latitude=64.1, longitude=-21.9, accuracy=12))(asker)


def _export(asker: Asker, *, begins: bool = True) -> Asked:
    after = None if begins else (asker.who.group_id, asker.middle_id)
    return asked(export.export, credential=asker.who.credential, after=after, limit=LIMIT)


CASES = {
    "latest": Case(_latest, 1),
    "history": Case(_history(), LIMIT + 1),
    "history, a later page": Case(_history(after=_after), LIMIT + 1),
    "history, until": Case(_history(until=lambda asker: asker.middle_at), LIMIT + 1),
    "history, since": Case(
        _history(since=lambda asker: asker.middle_at - timedelta(hours=1), after=_after), LIMIT + 1
    ),
    "history, of one member": Case(
        _history(user_id=lambda asker: asker.who.user_id, after=_after), LIMIT + 1
    ),
    "a phone's fix": Case(_fix, OF_LATE),
    # A repeat is looked for among the caller's own.
    "a phone's sealed message": Case(_posts(owntracks.Sealed(bytes(64))), 2 * OF_LATE),
    "export": Case(_export, LIMIT + 1),
    "export, a later page": Case(lambda asker: _export(asker, begins=False), LIMIT + 1),
}
MONTHS = ("one month", "two months")
KNOWN = ("stale", "fresh", "absent")
HOW = ("unprepared", "prepared")
STATES = list(product(MONTHS, KNOWN, HOW))


Costs = Mapping[tuple[str, ...], Cost]


@pytest.fixture(scope="module")
def costs(server: Server, schema: str) -> Iterator[Costs]:
    """What every statement reads in every state, by case, months, statistics and way."""
    costs: dict[tuple[str, ...], Cost] = {}
    with own_database(server, schema) as url, connect(url) as operator:
        asker = _begin(operator)
        for months in MONTHS:
            _fill(operator, asker.who.group_id, months)
            asker = _middle(operator, asker.who)
            for known in KNOWN:
                if known == "fresh":
                    operator.run("VACUUM ANALYZE")
                with connect(url) as connection:
                    for name, how in product(CASES, HOW):
                        question = CASES[name].ask(asker)
                        before = FORGET if known == "absent" else ""
                        costs[name, months, known, how] = cost(connection, question, how, before)
                        if known == "fresh":
                            by_estimate = cost(connection, question, how, BY_ESTIMATE)
                            costs[name, months, "by estimate", how] = by_estimate
                    if months == "two months":
                        before = f"{KEEP_A_DAY}; {FORGET if known == 'absent' else ''}"
                        deletion = cost(connection, DELETION, HOW[0], before)
                        costs["points past retention", months, known, HOW[0]] = deletion
        yield costs


@pytest.mark.parametrize("state", STATES, ids=", ".join)
@pytest.mark.parametrize("name", CASES)
def test_no_more_points_are_read_than_may_be_answered(
    costs: Costs, name: str, state: tuple[str, ...]
) -> None:
    case, cost = CASES[name], costs[(name, *state)]

    assert 0 < cost.rows <= MEMBERS * (case.of_each + 1)
    assert cost.blocks <= cost.rows + MEMBERS * BLOCKS


@pytest.mark.parametrize("known", KNOWN)
def test_a_batch_of_points_past_retention_reads_no_others(costs: Costs, known: str) -> None:
    cost = costs["points past retention", "two months", known, "unprepared"]

    # Each is found once to see where the batch ends, and once to be deleted.
    assert 2 * BATCH <= cost.rows <= 2 * BATCH + MEMBERS
    assert cost.blocks <= 4 * BATCH + MEMBERS * FAMILIES * BLOCKS


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", ["latest", "history", "history, a later page"])
def test_a_plan_that_rests_on_an_estimate_is_seen(costs: Costs, name: str, how: str) -> None:
    cost = costs[name, "one month", "by estimate", how]

    assert cost.rows > MEMBERS * MANY / 3
    assert cost.blocks > MEMBERS * MANY / 20


def _begin(operator: Connection) -> Asker:
    """Make the families, each person with one point, and let the planner see them."""
    make_families(operator, families=FAMILIES + 1)
    operator.run(TABLES)
    operator.run(PHONES)
    ((group_id, user_id),) = operator.run("SELECT group_id, user_id FROM group_members LIMIT 1")
    credential = Credential(kind="app", token_hash=hashlib.sha256(user_id.bytes).digest())
    who = Person(group_id, user_id, credential)
    _post(operator, since="date_trunc('month', now())", until="now()", real=group_id, many=1, few=1)
    operator.run("VACUUM ANALYZE")
    return Asker(who, user_id, datetime.min.replace(tzinfo=UTC))


def _fill(operator: Connection, real: UUID, months: str) -> None:
    this, former = "date_trunc('month', now())", "date_trunc('month', now()) - interval '15 days'"
    since, until = (this, "now()") if months == "one month" else (former, this)
    _post(operator, since=since, until=until, real=real, many=MANY, few=FEW)


def _post(operator: Connection, *, since: str, until: str, **how_many: Any) -> None:
    ((since_at, until_at),) = operator.run(f"SELECT {since}, {until}")
    operator.run("SET session_replication_role = replica")  # foreign keys take half of the time
    operator.run(POINTS, since=since_at, until=until_at, **how_many)
    operator.run("RESET session_replication_role")


def _middle(operator: Connection, who: Person) -> Asker:
    points = "FROM locations WHERE group_id = :group_id AND user_id = :user_id"
    ((id_, at),) = operator.run(
        f"SELECT id, recorded_at {points} ORDER BY recorded_at"
        f" OFFSET (SELECT count(*) / 2 {points}) LIMIT 1",
        group_id=who.group_id,
        user_id=who.user_id,
    )
    return Asker(who, id_, at)


def cost(connection: Connection, question: Asked | str, how: str, before: str) -> Cost:
    """Run something, and then a statement twice; count the second time, and take all back."""
    text, values = (
        (question, []) if isinstance(question, str) else (question.statement.text, question.values)
    )
    prepared = how == "prepared"
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
    connection.run("BEGIN")
    try:
        if before:
            connection.run(before)
        connection.run("DISCARD PLANS")
        if prepared:
            literals = ", ".join(map(literal, make_params(connection.py_types, values)))
            connection.run("SET LOCAL plan_cache_mode = force_generic_plan")
            connection.run(f"PREPARE asked AS {text}")

        def run() -> int:
            if prepared:
                rows = connection.run(f"{explain} EXECUTE asked ({literals})")
            else:
                rows = connection.execute_unnamed(f"{explain} {text}", values).rows
            plan = rows[0][0][0]["Plan"]
            return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

        connection.run("SAVEPOINT first")
        run()
        connection.run("ROLLBACK TO first")
        ((read_before,),) = connection.run(READ)
        blocks = run()
        ((read,),) = connection.run(READ)
        if prepared:
            connection.run("DEALLOCATE asked")
        return Cost(read - read_before, blocks)
    finally:
        connection.run("ROLLBACK")
