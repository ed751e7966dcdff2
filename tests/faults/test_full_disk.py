"""A database whose disk is full, first for its tables and then for its log."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from tests.faults.own_server import OwnServer
from tests.faults.processes import Call, Processes
from tests.faults.writers import (
    Attempt,
    assert_all_is_kept_once,
    assert_only_told_to_come_back,
    attempt,
    await_attempts,
    settled,
    warm_up,
    write,
)

MEGABYTES = 160
WRITERS = 2
ENOUGH = 12
"""So many answers to a writer are to requests of every kind."""


class Disk(Protocol):
    """What a server's data lies on."""

    def fill(self) -> None:
        """Leave no room."""

    def end(self, server: OwnServer) -> None:
        """Let the server need room for its log, and die of it."""

    def make_room(self, server: OwnServer) -> None:
        """Empty it as far as it was, and start the server if it gave up."""


class SmallDisk:
    """A file system that a test can fill."""

    def __init__(self, directory: Path, url: str) -> None:
        self._filler = directory / "filler"
        self._url = url

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as filler:
            for piece in (bytes(1 << 20), bytes(1 << 12)):
                with suppress(OSError):
                    while True:
                        filler.write(piece)

    def end(self, server: OwnServer) -> None:
        deaths = server.log.count("PANIC")
        for _ in range(200):
            if server.log.count("PANIC") > deaths:
                break
            with suppress(psycopg.OperationalError), server.operator(self._url) as operator:
                operator.execute("SELECT pg_logical_emit_message(true, '', repeat('x', 1 << 20))")
                operator.execute("SELECT pg_switch_wal()")

    def make_room(self, server: OwnServer) -> None:
        self._filler.unlink(missing_ok=True)
        server.start()


class DiskByDecree:
    """A disk of which the server is told to say that it is full."""

    TABLES = ("devices", "groups", "group_members", "invite_codes", "locations", "rate_limits")

    def __init__(self, url: str) -> None:
        self._url = url
        self._say("RETURN NEW;")
        with psycopg.connect(url, autocommit=True) as operator:
            for table in self.TABLES:
                operator.execute(
                    f"""
                    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table}
                    FOR EACH ROW EXECUTE FUNCTION full_disk()
                """.encode()
                )

    def fill(self) -> None:
        self._say("RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';")

    def end(self, server: OwnServer) -> None:
        server.kill()
        server.await_end()

    def make_room(self, server: OwnServer) -> None:
        server.start()
        self._say("RETURN NEW;")

    def _say(self, what: str) -> None:
        """Change the function and not the triggers, which would wait for those who write."""
        with psycopg.connect(self._url, autocommit=True) as operator:
            operator.execute(
                f"""
                CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN {what} END $$
            """.encode()
            )


@dataclass(frozen=True)
class Scene:
    """A server on a disk, and processes that serve from it."""

    server: OwnServer
    disk: Disk
    url: str
    writing: Processes
    reading: Processes


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp("disk")
        has_mounted = stack.enter_context(mounted(directory))
        server = stack.enter_context(OwnServer(directory / "postgres"))
        with server.operator() as operator:
            # So that its log alone never fills the disk, however long the tests write.
            operator.execute("ALTER SYSTEM SET max_wal_size = '48MB'")
            operator.execute("SELECT pg_reload_conf()")
        url = stack.enter_context(server.database())
        writing = stack.enter_context(Processes(url, count=WRITERS))
        warm_up(writing, url, WRITERS)
        reading = stack.enter_context(Processes(url, count=1))
        disk = SmallDisk(directory, url) if has_mounted else DiskByDecree(url)
        yield Scene(server, disk, url, writing, reading)


@contextmanager
def mounted(directory: Path) -> Iterator[bool]:
    """Mount a small file system there, if this machine lets us, and say whether it did."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = ["-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs"]
    if not succeeds([*sudo, "mount", *options, str(directory)]):
        # A container, most likely. The server then says by decree what it would say by itself; that
        # a log without room ends it, a kill stands for.
        yield False
        return
    try:
        yield True
    finally:
        assert succeeds([*sudo, "umount", str(directory)])


def succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=pytest.mark.full)])
def test_a_full_disk_puts_writes_off_and_lets_reads_go_on(
    scene: Scene, tmp_path: Path, times: int
) -> None:
    stop = tmp_path / "stop"
    writers = settled(scene.url, WRITERS, stop)
    read = Call("GET", "/api/locations/latest", token=writers[0].token)
    scene.writing.begin(write, writers)
    try:
        for _ in range(times):
            await_attempts(writers, answered=ENOUGH)
        filling = time.monotonic()
        scene.disk.fill()
        for _ in range(times):
            await_attempts(writers, put_off=ENOUGH)
        reads = [scene.reading.each(attempt, [read])[0] for _ in range(5)]
        scene.disk.make_room(scene.server)
        room = time.monotonic()
        for _ in range(times):
            await_attempts(writers, answered=ENOUGH)
    finally:
        stop.touch()
        scene.disk.make_room(scene.server)
        attempts = [attempt for each in scene.writing.results() for attempt in each]

    assert_only_told_to_come_back(attempts)
    assert {attempt.line["sqlstate"] for attempt in put_off(attempts)} == {"53100"}
    assert all(filling < attempt.ended for attempt in put_off(attempts))
    assert all(attempt.began < room for attempt in put_off(attempts))
    assert {each.reply.status for each in reads} == {200}
    assert_all_is_kept_once(scene.url, scene.writing, writers, attempts)


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.full)])
def test_a_server_that_dies_of_a_full_log_costs_nothing_that_was_acknowledged(
    scene: Scene, tmp_path: Path, times: int
) -> None:
    stop = tmp_path / "stop"
    writers = settled(scene.url, WRITERS, stop)
    scene.writing.begin(write, writers)
    try:
        for _ in range(times):
            await_attempts(writers, answered=ENOUGH)
            scene.disk.fill()
            scene.disk.end(scene.server)
            await_attempts(writers, put_off=2)  # the second of which began after the end
            scene.disk.make_room(scene.server)
        await_attempts(writers, answered=ENOUGH)
    finally:
        stop.touch()
        scene.disk.make_room(scene.server)
        attempts = [attempt for each in scene.writing.results() for attempt in each]

    assert_only_told_to_come_back(attempts)
    # The server was gone, at least for a while.
    assert {attempt.line.get("sqlstate") for attempt in put_off(attempts)} - {"53100"}
    assert_all_is_kept_once(scene.url, scene.writing, writers, attempts)
    assert scene.writing.exit_codes == [None] * WRITERS


def put_off(attempts: list[Attempt]) -> list[Attempt]:
    return [attempt for attempt in attempts if not attempt.is_answered]
