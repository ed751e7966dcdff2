from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.jobs.migrate import migrate
from scripts.postgres import Postgres
from tests.faults.machines.place import Place
from tests.servers import serving


@pytest.fixture
def place(url: str) -> Place:
    """A database of the test's own, on the server that all tests share."""
    return Place(url)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Place]:
    """A database on a server of the test's own, which keeps what it has answered, and may die."""
    with Postgres(tmp_path / "postgres") as postgres:
        url = postgres.url("draugar")
        with serving(url):
            migrate({}, None)
        yield Place(url, postgres)
