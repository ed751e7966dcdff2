"""A PostgreSQL that nobody else uses, so that it may be killed, stopped, and started again."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

from chalicelib.jobs.migrate import migrate
from scripts.postgres import Postgres
from tests.database import Server
from tests.servers import serving

API = "draugar_api"
SLOTS = 20
"""How many connections it takes: few enough to be used up by a test."""

_MIGRATED = "migrated"


class OwnServer:
    """A durable server on a directory: what it has acknowledged outlives any death of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres = Postgres(directory)

    def __enter__(self) -> Self:
        self._postgres.__enter__()
        self.url = self._postgres.url("postgres")
        with self.operator() as operator:
            operator.execute(f"ALTER SYSTEM SET max_connections = {SLOTS}")
            operator.execute(f"CREATE ROLE {API} LOGIN")
        with serving(self._postgres.url(_MIGRATED)):
            migrate({}, None)
        self._postgres.stop()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._postgres.stop()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database with the newest schema; at the end the server is up."""
        server = Server(self.url)
        with server.database(template=_MIGRATED) as name:
            try:
                yield server.url_of(name)
            finally:
                self.start()

    def operator(self, url: str | None = None) -> psycopg.Connection:
        """Connect beside the service. Raises psycopg's errors, if that is the server's answer."""
        return psycopg.connect(url or self.url, autocommit=True)

    def start(self) -> None:
        """Start it if it has ended, or ends while this waits until it accepts connections."""

        def accepts() -> bool:
            if self._postgres.has_ended:
                self._postgres = Postgres(self._directory)
                self._postgres.__enter__()
            return self._accepts()

        _until(accepts)

    def await_end(self) -> None:
        """Wait until none of its processes is left."""
        _until(lambda: self._postgres.has_ended)

    def kill(self) -> None:
        """End all of its processes at once, as the end of its machine would."""
        postmaster = self._postgres.pid
        os.kill(postmaster, signal.SIGSTOP)  # so that it makes no more of them
        for pid in (postmaster, *_children(postmaster)):
            os.kill(pid, signal.SIGKILL)

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Stop all of its processes where they are; at the end they go on from there."""
        postmaster = self._postgres.pid
        os.kill(postmaster, signal.SIGSTOP)  # so that it makes no more of them
        pids = [postmaster, *_children(postmaster)]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def crash(self) -> None:
        """End one backend as a bug in it would: the postmaster ends all others, and begins anew."""
        crashes = self.log.count("reinitializing")
        with self.operator() as operator:
            os.kill(operator.info.backend_pid, signal.SIGKILL)
        _until(lambda: self.log.count("reinitializing") > crashes)

    def shut_down(self, how: signal.Signals) -> None:
        """Ask it to end: SIGTERM waits for clients, SIGINT ends them, SIGQUIT takes no leave."""
        os.kill(self._postgres.pid, how)

    def _accepts(self) -> bool:
        with suppress(psycopg.Error), self.operator():
            return True
        return False

    @property
    def log(self) -> str:
        """What it has written of its starts, stops and crashes."""
        return self._postgres.log.read_text(errors="replace")


def as_api(url: str) -> str:
    """The URL of a database for the service's own role, which has no slots in reserve."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{API}@{place}"))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
