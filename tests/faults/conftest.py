from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.settings import Settings
from tests.database import PEPPER, Server
from tests.faults.own_server import OwnServer
from tests.faults.processes import own_database


@pytest.fixture
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database of the test's own, for what commits in several processes."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture
def session(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on it, for factories and for looking at what is stored; its commits are real."""
    environment = {"DATABASE_URL": url, "INVITE_CODE_PEPPER": PEPPER}
    settings = Settings.from_environment(environment)
    monkeypatch.setattr(engine, "settings", lambda: settings)
    with Session(engine.migration_engine()) as session:
        yield session


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server that nobody else uses, for those who end it; each of them starts it again."""
    with OwnServer(tmp_path_factory.mktemp("own") / "postgres") as server:
        yield server
