from collections.abc import Iterator

import pytest

from chalicelib.db import engine
from chalicelib.settings import Settings
from tests.database import PEPPER, Server


@pytest.fixture
def empty(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database, which the migrate function takes for the service's."""
    with server.database() as name:
        environment = {"DATABASE_URL": server.url_of(name), "INVITE_CODE_PEPPER": PEPPER}
        settings = Settings.from_environment(environment)
        monkeypatch.setattr(engine, "settings", lambda: settings)
        yield name
