"""A streaming standby of a server that OwnServer runs: it answers reads, and no writes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from scripts import postgres
from tests.servers import unprivileged


@contextmanager
def standby(primary: str, directory: Path) -> Iterator[str]:
    """Copy a server into a directory and let it follow; give the URL of the same database on it."""
    with (directory / "log").open("wb") as log:
        _copy(primary, directory, log)
        process = unprivileged(
            [
                postgres.PROGRAMS / "postgres",
                *("-D", directory / "data"),
                *("-c", "listen_addresses="),
                *("-c", f"unix_socket_directories={directory}"),
                *("-c", "port=5432"),
            ],
            directory,
            log=log,
        )
        try:
            while process.poll() is None and postgres._postmaster(directory)[7:] != ["ready   "]:
                time.sleep(0.01)
            assert process.returncode is None, (directory / "log").read_text()
            path = urlsplit(primary).path
            yield f"postgresql://postgres@{path}?host={quote(str(directory), safe='')}"
        finally:
            process.terminate()
            process.wait()


def _copy(primary: str, directory: Path, log: object) -> None:
    copying = unprivileged(
        [
            # It copies from older servers too, whose own program npm's packages leave out.
            postgres.WHEEL / "pg_basebackup",
            *("--pgdata", directory / "data"),
            *("--dbname", primary),
            *("--checkpoint=fast", "--wal-method=stream", "--no-sync", "--write-recovery-conf"),
        ],
        directory,
        log=log,
    )
    assert copying.wait() == 0, (directory / "log").read_text()
