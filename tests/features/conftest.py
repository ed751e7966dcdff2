from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from pg8000.native import Connection

from chalicelib.db import engine
from chalicelib.settings import DatabaseAddress, settings
from tests.database import Server, connect
from tests.faults.processes import own_database


@pytest.fixture
def operator(server: Server, schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """Somebody beside the service, on a database of its own where it commits for real.

    Not together with `api` and `session`, which hold the database that is copied.
    """
    with own_database(server, schema) as url, connect(url) as operator:
        own = replace(
            settings(), database=DatabaseAddress.parse(url), pool_size=1, timeout_seconds=1
        )
        monkeypatch.setattr(engine, "settings", lambda: own)
        monkeypatch.setattr(engine, "engine", cache(engine.engine.__wrapped__))
        yield operator
        engine.engine().dispose()
