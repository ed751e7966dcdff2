from collections.abc import Iterator

import pytest
from pg8000.native import Connection

from tests.database import Server, connect
from tests.faults.processes import own_database
from tests.servers import serving


@pytest.fixture
def operator(server: Server, schema: str) -> Iterator[Connection]:
    """Connect beside the service, to a database of its own where the service commits for real.

    Not together with `api` and `session`, which hold the database that is copied.
    """
    with own_database(server, schema) as url, connect(url) as operator, serving(url):
        yield operator
