"""What the database is asked by every route that is one statement, and how it goes about it.

Each statement is kept in `plans/`: its text, to be read when it changes, and its plan on a hundred
thousand points, as PostgreSQL 18 makes it. Of the plan only the nodes are kept, and one of several
that are alike: every month is read in the same way. `python -m tests.guards.test_plans` writes them
anew.

A function that returns rows is planned apart. Its plan stands below the scan that calls it.
"""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any, Self

import pytest
from pg8000.core import make_params
from pg8000.native import Connection, literal

from bench.rows import Asked, Person, asked, make_families, make_points, some_people
from chalicelib.auth import PhoneCredential
from chalicelib.auth import service as auth
from chalicelib.devices import service as devices
from chalicelib.export import service as export
from chalicelib.groups import service as groups
from chalicelib.health import service as health
from chalicelib.invites import service as invites
from chalicelib.keys import service as keys
from chalicelib.limits import service as limits
from chalicelib.locations import service as locations
from chalicelib.owntracks import service as owntracks
from chalicelib.users import service as users
from tests.database import PEPPER, Server, connect
from tests.database import server as start_server
from tests.faults.processes import own_database

PLANS = Path(__file__).with_name("plans")
RENEW = ".venv/bin/python -m tests.guards.test_plans"
KEPT_OF = 18
"""The major version whose plans are kept; others may go another way to the same indexes."""

FAMILIES, POINTS_EACH = 1000, 20

READ_WHOLE = {"alembic_version": "it has one row"}
"""The tables that no index leads into, and why none has to."""

CALLER = {"uq_devices_token_hash"}
MEMBERSHIP = CALLER | {"ix_group_members_user_id", "pk_groups"}
ENVELOPE = {"uq_key_envelopes_device_id_group_id_key_version"}
CONFIRMED = MEMBERSHIP | ENVELOPE
IN_GROUP = CALLER | ENVELOPE | {"uq_group_members_group_id_user_id", "pk_groups"}
POINTS = CONFIRMED | {"uq_group_members_group_id_user_id", "locations_*_pkey"}


PHONE = CALLER | {"pk_groups"}
TOLD = {
    *("locations_*_pkey", "pk_users", "pk_owntracks_cards"),
    *("ix_devices_group_id_user_id", "ix_owntracks_transitions_group_id_user_id"),
}
KEYS = {"uq_group_keys_group_id_key_version"}
ENTRIES = "ix_key_envelopes_group_id_key_version"
FURTHER_ENTRIES = "ix_further_envelopes_group_id_key_version"
VOUCHES = "ix_vouches_group_id_voucher_id"
KEYED_DEVICES, PROOFS = "ix_devices_user_id", "ix_invite_codes_used_by_device_id"
PEOPLE = MEMBERSHIP | ENVELOPE | {"pk_users", KEYED_DEVICES, PROOFS}

PEOPLE_OF_GROUP = PEOPLE - {"ix_group_members_user_id"}


@dataclass(frozen=True)
class Case:
    """A statement, by the use case that asks it, and the indexes that have to lead into it."""

    ask: Callable[[Person], Asked]
    indexes: set[str]


def _reads(use_case: Callable[..., object], **arguments: Any) -> Callable[[Person], Asked]:
    return lambda who: asked(use_case, credential=who.credential, **arguments)


def _store(who: Person) -> Asked:
    point = locations.NewPoint(
        id=None, group_id=who.group_id, recorded_at=None, encrypted_data=bytes(41), key_version=1
    )
    submission = locations.Submission(points=[point], alone=True)
    return asked(locations.store, credential=who.credential, submission=submission)


def _latest(who: Person) -> Asked:
    return asked(locations.latest, credential=who.credential, group_id=who.group_id)


def _history(who: Person) -> Asked:
    wanted = locations.Wanted(
        group_id=who.group_id, user_id=None, since=None, until=None, after=None, limit=100
    )
    return asked(locations.history, credential=who.credential, wanted=wanted)


def _find_person(who: Person) -> Asked:
    return asked(users.find_person, credential=who.credential, user_id=who.user_id)


def _of_group(use_case: Callable[..., object], **arguments: Any) -> Callable[[Person], Asked]:
    return lambda who: asked(
        use_case, credential=who.credential, group_id=who.group_id, **arguments
    )


def _take(who: Person) -> Asked:
    return asked(lambda connection: limits.admit(connection, limits.Bucket.of_inviter(who.user_id)))


def _posts(message: owntracks.Message) -> Callable[[Person], Asked]:
    def ask(who: Person) -> Asked:
        credential = PhoneCredential(
            kind="owntracks",
            token_hash=hashlib.sha256(who.user_id.bytes + b"phone").digest(),
            device_id=who.user_id,
        )
        return asked(owntracks.take, credential=credential, message=message, is_android=False)

    return ask


FIX = owntracks.Fix(at=int(time.time()), latitude=64.1, longitude=-21.9, accuracy=12)
TRANSITION = owntracks.Transition("enter", "", FIX.at, 1, None, None, None)

CASES = {
    "store": Case(_store, CONFIRMED),
    "latest": Case(_latest, POINTS),
    "history": Case(_history, POINTS),
    "me": Case(_reads(auth.me), CALLER),
    "list_devices": Case(_reads(devices.list_devices), CALLER | {"ix_devices_user_id"}),
    "list_groups": Case(_reads(groups.list_groups), CONFIRMED),
    "list_keys": Case(
        _of_group(keys.list_keys, newest=None), IN_GROUP | KEYS | {ENTRIES, FURTHER_ENTRIES}
    ),
    "list_page_of_keys": Case(
        _of_group(keys.list_keys, newest=2**31 - 2),
        IN_GROUP | KEYS | {ENTRIES, FURTHER_ENTRIES, VOUCHES},
    ),
    "list_pending": Case(_of_group(keys.list_pending), IN_GROUP | {KEYED_DEVICES, PROOFS}),
    "find_newest": Case(_reads(keys.find_newest), MEMBERSHIP | ENVELOPE),
    "list_invites": Case(_reads(invites.list_invites), MEMBERSHIP | {"ix_invite_codes_group_id"}),
    "list_people": Case(_reads(users.list_people, group_id=None, with_cards=False), PEOPLE),
    "list_people_of_group": Case(_of_group(users.list_people, with_cards=False), PEOPLE_OF_GROUP),
    "list_people_with_cards": Case(
        _of_group(users.list_people, with_cards=True), PEOPLE_OF_GROUP | {"pk_device_cards"}
    ),
    "find_person": Case(_find_person, PEOPLE),
    "export": Case(
        _reads(export.export, after=None, limit=500), CALLER | ENVELOPE | {"locations_*_pkey"}
    ),
    "owntracks_fix": Case(_posts(FIX), PHONE | TOLD),
    "owntracks_sealed": Case(
        _posts(owntracks.Sealed(bytes(64))),
        PHONE | {"locations_*_pkey", "uq_group_members_group_id_user_id"},
    ),
    "owntracks_card": Case(_posts(owntracks.Card("Una", None)), PHONE),
    "owntracks_transition": Case(_posts(TRANSITION), PHONE),
    "owntracks_other": Case(_posts(owntracks.Unwanted("")), CALLER),
    "take_from_bucket": Case(_take, {"pk_rate_limits"}),
    "state": Case(lambda _: asked(health.check), set()),
}


MONTHS = """
SELECT date_trunc('month', now() - interval '30 days'),
    date_trunc('month', now()) + interval '4 months'
"""
INVITES = """
INSERT INTO invite_codes (code_hash, group_id, created_by)
SELECT sha256(uuid_send(id)), group_id, user_id FROM group_members
"""
# Some have come by a link, and prove it.
USES = """
UPDATE invite_codes SET used_at = now(), used_by = user_id, used_by_device_id = devices.id,
    join_proof = code_hash
FROM devices WHERE user_id = created_by AND get_byte(code_hash, 0) < 64
"""
PUBLIC_KEYS = "UPDATE devices SET public_key = sha256(token_hash)"
ENVELOPES = """
UPDATE key_envelopes SET wrapped_key = decode(repeat('00', 72), 'hex'),
    wrapper_public_key = public_key, wrapper_device_id = devices.id
FROM devices WHERE devices.id = device_id
"""
# A phone each, named like its person: nobody else can name it.
PHONES = """
INSERT INTO devices (id, user_id, group_id, kind, name, token_hash, key_version, tid)
SELECT user_id, user_id, group_id, 'owntracks', 'Phone', sha256(uuid_send(user_id) || 'phone'), 1,
    'a' || row_number() OVER (PARTITION BY group_id)
FROM group_members
"""
SAID = """
INSERT INTO owntracks_cards (device_id, name) SELECT id, 'Una' FROM devices
WHERE kind = 'owntracks';
INSERT INTO owntracks_served (device_id, user_id) SELECT one.user_id, other.user_id
FROM group_members one JOIN group_members other USING (group_id);
INSERT INTO owntracks_transitions
    (group_id, user_id, device_id, event, description, occurred_at, waypoint_at)
SELECT group_id, user_id, user_id, 'enter', '', now(), now() FROM group_members
"""
# One member of a group has wrapped the key for all others and vouched for them.
STATED = """
INSERT INTO further_envelopes (group_id, key_version, user_id, device_id, wrapped_key,
    wrapper_public_key, wrapper_device_id)
SELECT group_id, key_version, user_id, device_id, wrapped_key, wrapper_public_key, new_id()
FROM key_envelopes;
INSERT INTO vouches
    (group_id, key_version, device_id, user_id, voucher_device_id, voucher_id, entry)
SELECT one.group_id, one.key_version, one.device_id, one.user_id, other.device_id, other.user_id,
    decode(repeat('00', 41), 'hex')
FROM key_envelopes one JOIN key_envelopes other USING (group_id)
WHERE one.device_id > other.device_id;
INSERT INTO device_cards (device_id, group_id, user_id, key_version, sealed)
SELECT device_id, group_id, user_id, key_version, decode(repeat('00', 41), 'hex')
FROM key_envelopes
"""
BUCKETS = "INSERT INTO rate_limits SELECT 'invite:' || id, now() FROM users"


FUNCTIONS = """
SELECT proname, prosrc, ARRAY(SELECT format_type(type, NULL) FROM unnest(proargtypes) type),
    proconfig
FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proretset
"""


@dataclass(frozen=True)
class Plans:
    """A statement, and how it is planned: alone for its values, prepared for any."""

    text: str
    alone: "Node"
    prepared: "Node"

    @classmethod
    def of(cls, operator: Connection, case: Case) -> Self:
        """Have a statement planned."""
        functions = functions_that_return_rows(operator)
        question = case.ask(some_people(operator, families=1)[0])
        text, values = question.statement.text, question.values
        alone = operator.execute_unnamed(f"EXPLAIN (FORMAT JSON) {text}", values).rows
        operator.run("SET plan_cache_mode = force_generic_plan")
        operator.run(f"PREPARE asked AS {text}")
        literals = ", ".join(map(literal, make_params(operator.py_types, values)))
        execute = f"EXECUTE asked ({literals})" if values else "EXECUTE asked"
        prepared = operator.run(f"EXPLAIN (FORMAT JSON) {execute}")
        operator.run("DEALLOCATE asked")
        both = (Node.of(explained[0][0][0]["Plan"], functions) for explained in (alone, prepared))
        return cls(text, *both)

    @property
    def kept(self) -> dict[str, str]:
        """The contents of its files, by the ends of their names."""
        alone, prepared = "\n".join(self.alone.lines()), "\n".join(self.prepared.lines())
        both = f"Alone:\n\n{alone}\n\nPrepared:\n\n{prepared}"
        return {
            "sql": "\n".join(line.rstrip() for line in self.text.splitlines()) + "\n",
            "txt": (alone if alone == prepared else both) + "\n",
        }

    @property
    def read_whole(self) -> set[str]:
        """The tables that either plan reads from one end to the other."""
        nodes = [*self.alone, *self.prepared]
        return {node.relation for node in nodes if node.kind == "Seq Scan"} - READ_WHOLE.keys()

    def unused(self, indexes: set[str]) -> set[str]:
        """Those of the indexes that one of the plans goes without."""
        return indexes - {node.index for node in self.alone} | indexes - {
            node.index for node in self.prepared
        }


@dataclass(frozen=True)
class Node:
    """A step of a plan, and those below it, each kind of them once; months have one name."""

    kind: str
    name: str
    relation: str
    index: str
    backward: bool
    below: tuple["Node", ...]

    @classmethod
    def of(cls, plan: dict[str, Any], functions: Mapping[str, "Node"] | None = None) -> "Node":
        """Read a step as EXPLAIN tells it, and what is known of the function that it calls."""
        functions = functions or {}
        subplan, function = plan.get("Subplan Name", ""), plan.get("Function Name", "")
        below = [cls.of(each, functions) for each in plan.get("Plans", ())]
        if function in functions:
            below.append(functions[function])
        return cls(
            kind=plan["Node Type"],
            name=subplan if subplan.startswith("CTE") else subplan.partition(" ")[0],
            relation=_of_any_month(plan.get("Relation Name") or plan.get("CTE Name") or function),
            index=_of_any_month(plan.get("Index Name", "")),
            backward=plan.get("Scan Direction") == "Backward",
            below=tuple(dict.fromkeys(below)),
        )

    def __iter__(self) -> Iterator["Node"]:
        yield self
        for node in self.below:
            yield from node

    def lines(self, indent: str = "") -> Iterator[str]:
        """Write it, and below it what is below it."""
        yield "".join(
            (
                indent,
                f"{self.name}: " if self.name else "",
                self.kind,
                " backward" if self.backward else "",
                f" by {self.index}" if self.index else "",
                f" of {self.relation}" if self.relation else "",
            )
        )
        for node in self.below:
            yield from node.lines(indent + "  ")


def functions_that_return_rows(operator: Connection) -> dict[str, Node]:
    """Return the plans of the functions' queries, by name, as the functions have them planned."""
    plans = {}
    for name, body, types, settings in operator.run(FUNCTIONS):
        (query,) = re.findall(r"RETURN QUERY (.*?);", body, re.DOTALL)
        # Of the months none may be left out for a value.
        wanted = dict(setting.split("=", 1) for setting in settings)
        for setting, value in (wanted | {"enable_partition_pruning": "off"}).items():
            operator.run("SELECT set_config(:name, :value, false)", name=setting, value=value)
        operator.run(f"PREPARE inside ({', '.join(types)}) AS {query}")
        nothing = ", ".join("NULL" for _ in types)
        explained = operator.run(f"EXPLAIN (FORMAT JSON) EXECUTE inside ({nothing})")
        plans[name] = Node.of(explained[0][0][0]["Plan"])
        operator.run("DEALLOCATE inside")
        for setting in (*wanted, "enable_partition_pruning"):
            operator.run(f"RESET {setting}")
    return plans


def _of_any_month(name: str) -> str:
    return re.sub(r"(?<=^locations_)\d{4}_\d\d", "*", name)


@contextmanager
def filled(url: str) -> Iterator[Connection]:
    """Make rows in an empty database: families who have posted in every month there is."""
    with connect(url) as operator:
        make_families(operator, families=FAMILIES)
        ((since, until),) = operator.run(MONTHS)
        make_points(operator, each=POINTS_EACH, since=since, until=until)
        for rows in (PUBLIC_KEYS, ENVELOPES, INVITES, USES, PHONES, SAID, STATED, BUCKETS):
            operator.run(rows)
        operator.run("VACUUM ANALYZE")  # or the autovacuum would, at a moment of its own
        yield operator


@pytest.fixture(scope="module")
def operator(server: Server, schema: str) -> Iterator[Connection]:
    """Somebody on a database of a hundred thousand points."""
    with own_database(server, schema) as url, filled(url) as operator:
        yield operator


@pytest.fixture(scope="module")
def plans(operator: Connection) -> dict[str, Plans]:
    """The plans of all statements."""
    return {name: Plans.of(operator, case) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_statement_is_the_one_that_was_read(plans: dict[str, Plans], name: str) -> None:
    changes = changed(PLANS / f"{name}.sql", plans[name].kept["sql"])

    assert not changes, changes


@pytest.mark.parametrize("name", CASES)
def test_a_plan_is_the_one_that_was_read(
    operator: Connection, plans: dict[str, Plans], name: str
) -> None:
    changes = changed(PLANS / f"{name}.txt", plans[name].kept["txt"])

    version = int(operator.run("SHOW server_version_num")[0][0]) // 10_000
    assert version != KEPT_OF or not changes, changes


@pytest.mark.parametrize("name", CASES)
def test_no_table_is_read_whole(plans: dict[str, Plans], name: str) -> None:
    assert plans[name].read_whole == set()


@pytest.mark.parametrize("name", CASES)
def test_the_intended_indexes_lead_into_the_tables(plans: dict[str, Plans], name: str) -> None:
    assert plans[name].unused(CASES[name].indexes) == set()


@pytest.mark.parametrize(
    ("name", "change", "index", "table"),
    [
        ("me", "devices DROP CONSTRAINT uq_devices_token_hash", "uq_devices_token_hash", "devices"),
        ("latest", "locations DROP CONSTRAINT pk_locations", "locations_*_pkey", "locations_*"),
    ],
)
def test_a_missing_index_is_seen(
    operator: Connection, name: str, change: str, index: str, table: str
) -> None:
    operator.run("BEGIN")
    operator.run(f"ALTER TABLE {change}")
    plans = Plans.of(operator, CASES[name])
    operator.run("ROLLBACK")

    assert plans.unused(CASES[name].indexes) == {index}
    assert plans.read_whole == {table}


@pytest.mark.parametrize("name", ["latest", "history", "export"])
def test_a_month_known_to_be_empty_changes_nothing(
    operator: Connection, plans: dict[str, Plans], name: str
) -> None:
    operator.run("BEGIN")
    months = operator.run("SELECT max(relid::regclass::text) FROM pg_partition_tree('locations')")
    operator.run(f"TRUNCATE {months[0][0]}")
    operator.run(f"ANALYZE {months[0][0]}")
    with_an_empty_one = Plans.of(operator, CASES[name])
    operator.run("ROLLBACK")

    assert with_an_empty_one.kept == plans[name].kept


def test_nothing_is_kept_of_what_is_not_asked_any_more() -> None:
    kept = {path.name for path in PLANS.iterdir()}

    assert kept == {f"{name}.{end}" for name in CASES for end in ("sql", "txt")}


def changed(path: Path, now: str) -> str:
    """Return how something differs from what is kept of it, and what to do about it."""
    before = path.read_text() if path.exists() else ""
    lines = unified_diff(before.splitlines(), now.splitlines(), path.name, "now", lineterm="")
    difference = "\n".join(lines)
    return difference and f"{difference}\n\nIf it should: {RENEW}"


def main() -> None:
    """Write all statements and plans anew."""
    from chalicelib.jobs.migrate import migrate  # noqa: PLC0415 -- it reads the settings made here

    with (
        tempfile.TemporaryDirectory() as directory,
        start_server(Path(directory)) as server,
        server.database() as name,
    ):
        os.environ["DATABASE_URL"] = url = server.url_of(name)
        os.environ["INVITE_CODE_PEPPER"] = PEPPER
        migrate({}, None)
        for path in PLANS.iterdir():
            path.unlink()
        with filled(url) as operator:
            for case_name, case in CASES.items():
                for end, kept in Plans.of(operator, case).kept.items():
                    (PLANS / f"{case_name}.{end}").write_text(kept)


if __name__ == "__main__":
    main()
