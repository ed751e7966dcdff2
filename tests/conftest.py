"""What every test stands on: a real PostgreSQL, a migrated schema, and the app.

A run of all features also fails when a route declares an error that no test of any worker has seen.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pg8000
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests import contract, tools
from tests.api import Api
from tests.database import PEPPER, TIMEOUT, Server
from tests.database import server as start_server

FEATURES = set((Path(__file__).parent / "features").rglob("test_*.py"))
LEFT_TO_TEST_TOOLS: set[str] = set()

# No example has a deadline, and examples may be found slowly: the machine may be busy.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

# What the tests start inherits it. A statement on a busy machine may take longer than the default.
os.environ["DATABASE_TIMEOUT_SECONDS"] = str(TIMEOUT)


def pytest_runtest_setup(item: pytest.Item) -> None:
    tools.marked = {name for mark in item.iter_markers("tools") for name in mark.args}


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    LEFT_TO_TEST_TOOLS.update(
        item.nodeid
        for item in items
        if item.get_closest_marker("tools") and not item.get_closest_marker("full")
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    if "app" in sys.modules and {item.path for item in session.items} >= FEATURES:
        contract.DECLARED.update(contract.declared())
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told.update(
            seen=[*contract.SEEN],
            declared=[*contract.DECLARED],
            left_to_test_tools=[*LEFT_TO_TEST_TOOLS],
        )
    elif contract.DECLARED - contract.SEEN and not session.testsfailed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told = getattr(node, "workeroutput", {})  # none of a worker that crashed
    contract.SEEN.update(told.get("seen", ()))
    contract.DECLARED.update(told.get("declared", ()))
    LEFT_TO_TEST_TOOLS.update(told.get("left_to_test_tools", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, code in sorted(contract.DECLARED - contract.SEEN):
        terminalreporter.write_line(f"No test has seen {name} answer {code}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End with the number of tests that were left out, where the terminal is ours."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if LEFT_TO_TEST_TOOLS and terminal is not None and not hasattr(config, "workerinput"):
        terminal.write_line(
            f"{len(LEFT_TO_TEST_TOOLS)} tests were not run because they need programs beyond"
            f" Python ({', '.join(tools.TOOLS)}). Run them: make test-tools"
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the whole run."""
    with start_server(tmp_path_factory.mktemp("postgres")) as started:
        yield started


@pytest.fixture(scope="session")
def schema(server: Server) -> Iterator[str]:
    """The name of a database with the newest schema, which every test shares or copies."""
    from chalicelib.jobs.migrate import migrate  # noqa: PLC0415 -- reads the settings made here

    with server.database() as name:
        os.environ["DATABASE_URL"] = server.url_of(name)
        os.environ["INVITE_CODE_PEPPER"] = PEPPER
        migrate({}, None)
        yield name


@pytest.fixture
def database(schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """The database inside a transaction that nobody commits.

    What the service takes for its own connections and commits are savepoints of this one.
    """
    del schema
    from chalicelib.db import engine  # noqa: PLC0415

    with engine.engine().connect() as connection, connection.begin() as outer:

        @contextmanager
        def connect() -> Iterator[Connection]:
            savepoint = connection.begin_nested()
            try:
                yield connection
            except Exception as error:
                if _is_of_the_database(error) or _is_of_the_database(error.__cause__):
                    savepoint.rollback()
                raise
            finally:
                # What a statement did stands, whatever is made of it: it had committed by itself.
                if savepoint.is_active:
                    savepoint.commit()

        @contextmanager
        def lend() -> Iterator[Any]:
            with connect():
                yield connection.connection.dbapi_connection

        monkeypatch.setattr(engine, "connect", connect)
        monkeypatch.setattr(engine, "lend", lend)
        yield connection
        outer.rollback()


def _is_of_the_database(error: BaseException | None) -> bool:
    return isinstance(error, DBAPIError | pg8000.Error)


@pytest.fixture
def session(database: Connection) -> Iterator[Session]:
    """A session for factories and for looking at what is stored."""
    with Session(database, join_transaction_mode="create_savepoint") as session:
        yield session


@pytest.fixture
def api(database: Connection) -> Api:
    """The app, over HTTP as Chalice's test client speaks it."""
    del database
    return Api()
