"""The schema's history: in order, forwards and backwards, and by many at once."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, table, text
from sqlalchemy.orm import Session

import migrations
from chalicelib.db.engine import migration_engine
from chalicelib.health.service import REVISION
from chalicelib.jobs.migrate import configuration, migrate, revision
from tests import factories
from tests.client.dump import plain_dump
from tests.data import catalogue
from tests.database import Server
from tests.faults.processes import Processes

FILES = sorted(Path(migrations.__path__[0], "versions").glob("*.py"))
NUMBERS = [file.name[:4] for file in FILES]
FORMER = NUMBERS[-2]


@pytest.fixture
def connection(empty: str) -> Iterator[Connection]:
    """A connection to an empty database, as the migrate function would take it."""
    del empty
    with migration_engine().connect() as connection:
        yield connection


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [f"{number:04}" for number in range(1, len(FILES) + 1)] == NUMBERS
    assert [file.name for file in FILES if not re.fullmatch(r"\d{4}_[a-z_]+\.py", file.name)] == []


def test_each_migration_follows_the_one_before(connection: Connection) -> None:
    directory = ScriptDirectory.from_config(configuration(connection))

    history = [
        (script.down_revision, script.revision, Path(script.path).name[:4])
        for script in directory.walk_revisions()
    ]

    assert history[::-1] == list(zip([None, *NUMBERS], NUMBERS, NUMBERS, strict=False))
    assert directory.get_heads() == NUMBERS[-1:]


@pytest.mark.parametrize("file", FILES, ids=NUMBERS)
def test_a_migration_does_not_know_the_present_code(file: Path) -> None:
    assert (
        re.search(r"^\s*(from|import) (chalicelib|app)\b", file.read_text(), re.MULTILINE) is None
    )


def test_the_service_was_written_for_the_newest_revision() -> None:
    assert NUMBERS[-1] == REVISION


@pytest.mark.usefixtures("empty")
def test_the_migrate_function_says_where_from_and_where_to() -> None:
    answers = [migrate({}, None), migrate({}, None)]

    assert answers == [{"from": None, "to": REVISION}, {"from": REVISION, "to": REVISION}]


def test_down_to_the_ground_and_up_again_ends_where_it_began(
    server: Server, empty: str, connection: Connection
) -> None:
    alembic = configuration(connection)
    command.upgrade(alembic, "head")
    with server.connect(empty) as other:
        above, dumped = catalogue.read(other), dump(server.url_of(empty))

        command.downgrade(alembic, "base")
        ground = catalogue.read(other)
        command.upgrade(alembic, "head")

        assert catalogue.read(other) == above
    # Rights, comments and whatever else a catalogue has.
    assert dump(server.url_of(empty)) == dumped
    assert {line for line in ground if "alembic_version" not in line} == set()
    assert len(above) > len(ground)


def test_each_step_can_be_taken_back_and_again_with_data_in_the_tables(
    server: Server, empty: str, connection: Connection
) -> None:
    alembic = configuration(connection)
    command.upgrade(alembic, "head")
    with Session(connection) as session:
        una, ari = factories.with_key(session), factories.with_key(session)
        hearth = factories.group(session, una, ari, key_version=1)
        factories.invite(session, group_id=hearth, by=una)
        factories.invite(session, group_id=hearth, by=una, key_package=bytes(72), key_version=1)
        factories.stored_point(session, hearth, una)
        factories.phone(session, hearth, una, key_version=1)
    differences, lost = {}, {}

    with server.connect(empty) as other:
        for number, former in zip(NUMBERS[::-1], [*NUMBERS[-2::-1], "base"], strict=True):
            before = catalogue.read(other)
            command.downgrade(alembic, former)
            rows = count_rows(connection)
            command.upgrade(alembic, number)
            differences[number] = before ^ catalogue.read(other)
            command.downgrade(alembic, former)
            lost[number] = rows - count_rows(connection)
            assert revision(connection) == (None if former == "base" else former)
            assert rows or former in {"0001", "base"}

    assert differences == {number: set() for number in NUMBERS}
    assert lost == dict.fromkeys(NUMBERS, 0)


@pytest.mark.parametrize("start", ["base", FORMER])
def test_of_many_at_once_each_migration_is_applied_once(
    server: Server, empty: str, connection: Connection, start: str
) -> None:
    if start != "base":
        command.upgrade(configuration(connection), start)
    missing = [number for number in NUMBERS if number > start or start == "base"]

    with Processes(server.url_of(empty), count=8) as eight:
        applied = eight.each(steps_of_migrating, range(8))

    assert sorted(step for steps in applied for step in steps) == missing
    assert eight.exit_codes == [0] * 8
    assert revision(connection) == NUMBERS[-1]


def steps_of_migrating(_: int) -> list[str]:
    """Migrate, and return the revisions that this run has applied."""
    steps: list[str] = []

    class Steps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if step := re.match(r"Running upgrade \w* -> (\w+)", record.getMessage()):
                steps.append(step[1])

    logger = logging.getLogger("alembic.runtime.migration")
    logger.setLevel(logging.INFO)
    logger.addHandler(Steps())
    migrate({}, None)
    return steps


def dump(url: str) -> list[bytes]:
    """Return a dump of a schema, but for the partitions and the line that is random."""
    lines = plain_dump(url, "--schema-only", "--exclude-table=locations_*").splitlines()
    return [line for line in lines if not line.startswith((rb"\restrict", rb"\unrestrict"))]


def count_rows(connection: Connection) -> int:
    names = connection.scalars(
        text(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
        )
    ).all()
    rows = sum(
        connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in names
    )
    connection.rollback()
    return rows
