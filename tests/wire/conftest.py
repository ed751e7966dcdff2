from collections.abc import Iterator

import pytest

from tests.database import Server
from tests.servers import TlsServer, debian_server


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """Debian's own PostgreSQL, which is older than ours, by TLS and a password."""
    with debian_server(tmp_path_factory.mktemp("debian")) as started:
        yield started


@pytest.fixture(
    scope="session",
    params=[
        "server",
        pytest.param("debian", marks=[pytest.mark.full, pytest.mark.tools("postgresql")]),
    ],
)
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database, on each of the servers."""
    server: Server = request.getfixturevalue(request.param)
    with server.database() as name:
        yield server.url_of(name)


@pytest.fixture(scope="session")
def empty(server: Server) -> Iterator[str]:
    """The URL of an empty database on the suite's server.

    A statement whose client has gone ends there, however long it would take.
    """
    with server.database() as name:
        with server.connect() as operator:
            operator.run(f"ALTER DATABASE {name} SET client_connection_check_interval = '10ms'")
        yield server.url_of(name)
