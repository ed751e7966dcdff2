"""Databases for the tests, all on one real server.

The schema is built once, by the migrate function's own code. A test then has either an outer
transaction that is rolled back at its end, or, when it races or kills, a database of its own:
a copy of that one, with real commits.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pg8000.native import Connection, identifier

from chalicelib.settings import DatabaseAddress
from scripts.postgres import Postgres

PEPPER = "pepper-for-tests-0123456789abcdef"
TIMEOUT = 60
"""Seconds that the service waits for its database, where a test does not say how many."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server, by the URL of one of its databases."""

    url: str

    def connect(self, database: str | None = None) -> Connection:
        """Connect beside the service, as an operator would."""
        return connect(self.url_of(database) if database else self.url)

    def url_of(self, database: str) -> str:
        """The URL of another of its databases."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=f"/{database}"))

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[str]:
        """Make a database, give its name, and drop it at the end, whoever is still in it."""
        name = f"draugar_test_{secrets.token_hex(6)}"
        # As files: a small database is copied and dropped so in half the time.
        source = f"TEMPLATE {identifier(template or 'template0')} STRATEGY file_copy"
        with self.connect() as operator:
            operator.run(f"CREATE DATABASE {identifier(name)} {source}")
        try:
            yield name
        finally:
            with self.connect() as operator:
                operator.run(f"DROP DATABASE {identifier(name)} WITH (FORCE)")


def connect(url: str) -> Connection:
    """Connect with the driver alone, beside everything of ours."""
    address = DatabaseAddress.parse(url)
    return Connection(
        address.user,
        host=address.host,
        port=address.port,
        database=address.database,
        password=address.password,
        unix_sock=address.socket,
        ssl_context=False,
    )


@contextmanager
def server(data_dir: Path) -> Iterator[Server]:
    """The server that TEST_DATABASE_URL names, or PostgreSQL 18 from the wheel."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield Server(url)
        return
    with Postgres(data_dir, durable=False) as postgres:
        yield Server(postgres.url("postgres"))
