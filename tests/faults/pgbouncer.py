"""PgBouncer, as it stands between functions and a database: in transaction pooling."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from chalicelib.settings import DatabaseAddress
from tests import tools
from tests.servers import free_port, unprivileged

SERVER_CONNECTIONS = 4


@contextmanager
def pgbouncer(url: str, directory: Path, **settings: object) -> Iterator[str]:
    """Run a pooler in front of a database and give the database's URL through it.

    It is Debian's, or the program that the environment variable PGBOUNCER names. Raises Missing.
    """
    program = tools.program("pgbouncer")
    server = DatabaseAddress.parse(url)
    host = server.socket.rpartition("/")[0] if server.socket else server.host
    secret = (server.password or "").replace("'", "''")
    password = f" password='{secret}'" if secret else ""
    port = free_port()
    options = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": SERVER_CONNECTIONS,
        "max_client_conn": 100,
        **settings,
    }
    lines = [
        "[databases]",
        f"* = host='{host}' port={server.port} user={server.user}{password}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in options.items()),
    ]
    (directory / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    with (directory / "pgbouncer.log").open("wb") as log:
        process = unprivileged([program, directory / "pgbouncer.ini"], directory, log=log)
        try:
            while _is_closed(port):
                assert process.poll() is None, (directory / "pgbouncer.log").read_text()
                time.sleep(0.01)
            yield f"postgresql://somebody@127.0.0.1:{port}{urlsplit(url).path}"
        finally:
            process.kill()  # asked kindly, newer ones wait for their clients
            process.wait()


def _is_closed(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0
