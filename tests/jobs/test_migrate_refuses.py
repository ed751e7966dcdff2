"""What migrate cannot work with it refuses before its first statement, in a sentence with the cure.

The cure is run as it stands there, and then migrate succeeds.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from pg8000.native import identifier

from chalicelib.db import preconditions
from chalicelib.health.service import REVISION
from chalicelib.jobs.migrate import migrate
from chalicelib.jobs.report import JobFailed
from tests.database import Server, connect
from tests.faults.pgbouncer import pgbouncer
from tests.servers import serving

PASSWORD = "opens-nothing-outside-a-test"


@dataclass(frozen=True)
class Scene:
    """A database, the role that owns it and another one, which nothing else uses."""

    server: Server
    database: str
    owner: str
    stranger: str

    @property
    def url(self) -> str:
        """The URL as the owner's."""
        parts = urlsplit(self.server.url_of(self.database))
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{self.owner}:{PASSWORD}@{place}"))

    def run(self, *statements: str) -> None:
        """Run statements as a superuser; names in braces stand for the scene's."""
        with connect(self.server.url_of(self.database)) as operator:
            for statement in statements:
                operator.run(
                    statement.format(
                        owner=self.owner, stranger=self.stranger, database=self.database
                    )
                )

    def migrate(self) -> dict[str, str | None]:
        """Migrate as the owner."""
        with serving(self.url):
            answer: dict[str, str | None] = migrate({}, None)
        return answer

    def refusal(self) -> str:
        """Migrate, and return what the failure says."""
        with pytest.raises(JobFailed) as refused:
            self.migrate()
        return str(refused.value)

    def is_untouched(self) -> bool:
        """Whether there is no table of ours."""
        with connect(self.server.url_of(self.database)) as operator:
            return bool(operator.run("SELECT to_regclass('public.alembic_version') IS NULL")[0][0])


@pytest.fixture
def scene(server: Server) -> Iterator[Scene]:
    owner, stranger = (f"{name}_{secrets.token_hex(4)}" for name in ("owner", "stranger"))
    with server.connect() as operator:
        for role in (owner, stranger):
            operator.run(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    try:
        with server.database() as database:
            with server.connect() as operator:
                operator.run(f"ALTER DATABASE {identifier(database)} OWNER TO {owner}")
            yield Scene(server, database, owner, stranger)
    finally:
        with server.connect() as operator:
            for role in (owner, stranger):
                operator.run(f"DROP ROLE {role}")


def cures(refusal: str) -> list[str]:
    """Return the statements that a refusal says to run."""
    commands = re.search(r"\brun ([A-Z].*?)\.(?: \(|$)", refusal)
    assert commands is not None, refusal
    return re.split(r"; |, or ", commands[1])


BEFORE: dict[str, tuple[list[str], str]] = {
    "read-only": (
        ["ALTER DATABASE {database} SET default_transaction_read_only = on"],
        "is read-only",
    ),
    "role read-only": (
        ["ALTER ROLE {owner} SET default_transaction_read_only = on"],
        "is read-only",
    ),
    "no foreign keys": (
        ["ALTER DATABASE {database} SET session_replication_role = replica"],
        "Foreign keys do nothing",
    ),
    "no foreign keys for a role": (
        ["ALTER ROLE {owner} SET session_replication_role = replica"],
        "Foreign keys do nothing",
    ),
    "another owner": (
        ["ALTER DATABASE {database} OWNER TO {stranger}"],
        "may not make tables in schema public",
    ),
    "no public": (["DROP SCHEMA public"], "has no schema public"),
    "default tables": (
        [
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
                " GRANT ALL ON TABLES TO {stranger}"
            )
        ],
        "would get rights to what migrate makes",
    ),
    "default tables of all": (
        ["ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO PUBLIC"],
        "PUBLIC would get rights to what migrate makes",
    ),
    "default functions": (
        [
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
                " GRANT EXECUTE ON FUNCTIONS TO {stranger}"
            )
        ],
        "would get rights to what migrate makes",
    ),
}
AFTER: dict[str, tuple[list[str], str]] = {
    "tables of another": (
        ["ALTER TABLE devices OWNER TO {stranger}", "ALTER TABLE users OWNER TO {stranger}"],
        "devices, users belong to",
    ),
    "row level security": (
        [
            "ALTER TABLE devices ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE devices FORCE ROW LEVEL SECURITY",
        ],
        "Row level security hides rows of devices",
    ),
    "a right to a table": (["GRANT SELECT ON devices TO {stranger}"], "may use"),
    "a right of all": (["GRANT SELECT ON locations TO PUBLIC"], "PUBLIC may use"),
    "a right to a column": (["GRANT SELECT (name) ON users TO {stranger}"], "may use"),
    "a right to a partition": (
        [
            (
                "DO $$DECLARE part regclass :="
                " (SELECT min(inhrelid::regclass::text) FROM pg_inherits"
                " WHERE inhparent = 'locations'::regclass);"
                " BEGIN EXECUTE 'GRANT SELECT ON ' || part || ' TO {stranger}'; END$$"
            )
        ],
        "may use",
    ),
    "a right to a function": (
        ["GRANT EXECUTE ON FUNCTION drop_location_partitions() TO {stranger}"],
        "may use",
    ),
}


@pytest.mark.parametrize("case", BEFORE)
def test_what_cannot_be_worked_with_is_refused_before_anything_is_made(
    scene: Scene, case: str
) -> None:
    changes, says = BEFORE[case]
    scene.run(*changes)

    refusal = scene.refusal()

    assert says in refusal
    assert "\n" not in refusal
    assert scene.is_untouched()
    scene.run(*cures(refusal))
    assert scene.migrate() == {"from": None, "to": REVISION}


@pytest.mark.parametrize("case", AFTER)
def test_what_has_become_of_a_schema_is_refused_with_its_cure(scene: Scene, case: str) -> None:
    scene.migrate()
    changes, says = AFTER[case]
    scene.run(*changes)

    refusal = scene.refusal()

    assert says in refusal
    scene.run(*cures(refusal))
    assert scene.migrate() == {"from": REVISION, "to": REVISION}


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_another_encoding_is_refused(scene: Scene, encoding: str) -> None:
    other = f"{scene.database}_other"
    with scene.server.connect() as operator:
        operator.run(
            f"CREATE DATABASE {other} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
            f" LOCALE_PROVIDER libc TEMPLATE template0 OWNER {scene.owner}"
        )
    try:
        refusal = Scene(scene.server, other, scene.owner, scene.stranger).refusal()
    finally:
        with scene.server.connect() as operator:
            operator.run(f"DROP DATABASE {other} WITH (FORCE)")

    assert f"has the encoding {encoding}" in refusal
    assert "ENCODING 'UTF8'" in refusal


@pytest.mark.parametrize(
    "change",
    [
        "CREATE SCHEMA AUTHORIZATION {owner}",
        "ALTER ROLE {owner} SET search_path = nowhere, public",
        "ALTER DATABASE {database} SET search_path = ''",
        "ALTER ROLE {owner} SET statement_timeout = '1ms'",
        "ALTER ROLE {owner} SET default_transaction_isolation = 'serializable'",
    ],
)
def test_what_a_session_can_set_hinders_no_migration(scene: Scene, change: str) -> None:
    scene.run("CREATE SCHEMA nowhere AUTHORIZATION {owner}", change)

    assert scene.migrate() == {"from": None, "to": REVISION}
    with connect(scene.server.url_of(scene.database)) as operator:
        places = operator.run(
            "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class"
            " WHERE relname = ANY(:names)",
            names=list(preconditions.TABLES),
        )
    assert places == [["public"]]


def test_a_reader_of_everything_is_let_be(scene: Scene) -> None:
    scene.migrate()
    scene.run("GRANT pg_read_all_data TO {stranger}", "GRANT SELECT ON devices TO {stranger}")

    assert scene.migrate() == {"from": REVISION, "to": REVISION}


def test_the_server_says_why_a_migration_has_failed(scene: Scene) -> None:
    scene.run("CREATE TABLE users ()", "ALTER TABLE users OWNER TO {owner}")

    assert scene.refusal() == 'ProgrammingError 42P07: relation "users" already exists'


def test_what_has_failed_is_told_and_not_what_failed_after_it(scene: Scene) -> None:
    # The server ends the connection, so that the lock cannot be given back.
    scene.run(
        "CREATE FUNCTION interrupt() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF to_regclass('public.devices') IS NOT NULL THEN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); END IF; END$$",
        "CREATE EVENT TRIGGER interrupt ON ddl_command_end EXECUTE FUNCTION interrupt()",
    )

    assert "57P01" in scene.refusal()

    scene.run("DROP EVENT TRIGGER interrupt")
    assert scene.migrate()["to"] == REVISION


@pytest.mark.full
def test_a_lock_that_is_not_given_back_is_told_with_its_cure(scene: Scene) -> None:
    with connect(scene.url) as holder:
        holder.run("SELECT pg_advisory_lock(:lock)", lock=0x64726175676172)
        pid = holder.run("SELECT pg_backend_pid()")[0][0]

        refusal = scene.refusal()

    assert f"pg_terminate_backend({pid})" in refusal


@pytest.mark.tools("pgbouncer")
@pytest.mark.parametrize("busy", [False, True])
def test_a_pooler_of_transactions_is_refused(scene: Scene, tmp_path: Path, *, busy: bool) -> None:
    with pgbouncer(scene.url, tmp_path) as pooled:
        others = [connect(pooled) for _ in range(3 if busy else 0)]
        for other in others:
            other.run("SELECT 1")
        with serving(pooled), pytest.raises(JobFailed, match="pooler") as refused:
            migrate({}, None)
        for other in others:
            other.close()

    assert "session mode" in str(refused.value)
    assert scene.is_untouched()


@pytest.mark.tools("pgbouncer")
@pytest.mark.parametrize("size", [1, 4])
def test_a_pooler_of_sessions_is_migrated_through(scene: Scene, tmp_path: Path, size: int) -> None:
    scene.run("ALTER DATABASE {database} SET search_path = ''")
    with (
        pgbouncer(scene.url, tmp_path, pool_mode="session", default_pool_size=size) as pooled,
        serving(pooled),
    ):
        answers = [migrate({}, None) for _ in range(2)]

    assert answers == [{"from": None, "to": REVISION}, {"from": REVISION, "to": REVISION}]


def test_what_is_guarded_is_all_that_the_schema_has(scene: Scene) -> None:
    scene.migrate()

    with connect(scene.url) as owner:
        tables = owner.run(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
        )
        functions = owner.run(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND prosecdef ORDER BY 1"
        )

    assert [name for (name,) in tables] == sorted(preconditions.TABLES)
    assert [name for (name,) in functions] == sorted(preconditions.WITH_OWNERS_RIGHTS)
