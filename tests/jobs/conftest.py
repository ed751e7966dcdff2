from collections.abc import Iterator

import pytest

from tests.database import Server
from tests.faults.processes import own_database


@pytest.fixture
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database of the test's own, for what commits in several processes."""
    with own_database(server, schema) as url:
        yield url
