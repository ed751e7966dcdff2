"""A database that dies under those who write, in each of its ways, and comes again (R6)."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.faults.own_server import OwnServer
from tests.faults.pgbouncer import pgbouncer
from tests.faults.processes import Processes
from tests.faults.writers import (
    Attempt,
    Writer,
    assert_all_is_kept_once,
    assert_only_told_to_come_back,
    settled,
    warm_up,
    write,
)

WRITERS = 8
BACK_WITHIN = 1.0
"""So many seconds after the server accepts connections, a write has succeeded."""


def kill(server: OwnServer) -> None:
    server.kill()
    server.await_end()


def crash_a_backend(server: OwnServer) -> None:
    server.crash()


def shut_down_fast(server: OwnServer) -> None:
    server.shut_down(signal.SIGINT)
    server.await_end()


def shut_down_without_leave(server: OwnServer) -> None:
    server.shut_down(signal.SIGQUIT)
    server.await_end()


Blow = Callable[[OwnServer], None]
BLOWS: list[Blow] = [kill, crash_a_backend, shut_down_fast, shut_down_without_leave]
SEVERAL = [pytest.param(blow, 6, marks=pytest.mark.full) for blow in BLOWS]


@dataclass(frozen=True)
class Outage:
    """When the server had ended, and when it accepted connections again: the writers' clock."""

    began: float
    accepting: float


@dataclass(frozen=True)
class Scene:
    """A database, and processes that have worked on it since before any outage."""

    server: OwnServer
    url: str
    processes: Processes


@pytest.fixture(scope="module")
def scene(own_server: OwnServer) -> Iterator[Scene]:
    with own_server.database() as url, Processes(url, count=WRITERS) as processes:
        warm_up(processes, url, WRITERS)
        yield Scene(own_server, url, processes)


@pytest.fixture(scope="module")
def pooled(own_server: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("pgbouncer")
    # A server that it could not reach it leaves alone for 15 seconds, unless it is told otherwise.
    with (
        own_server.database() as url,
        pgbouncer(url, directory, server_login_retry="0.2") as pooled,
        Processes(pooled, count=3) as processes,
    ):
        warm_up(processes, url, 3)
        yield Scene(own_server, url, processes)


@pytest.mark.parametrize(("blow", "times"), [(kill, 1), (shut_down_fast, 1), *SEVERAL])
def test_whatever_ends_the_server_nothing_acknowledged_is_lost_or_doubled(
    scene: Scene, tmp_path: Path, blow: Blow, times: int
) -> None:
    writers, attempts, outages = written_through(scene, WRITERS, tmp_path, blow, times)

    assert_only_told_to_come_back(attempts)
    assert_all_is_kept_once(scene.url, scene.processes, writers, attempts)
    assert max(delays(attempts, outages)) < BACK_WITHIN
    assert scene.processes.exit_codes == [None] * WRITERS


@pytest.mark.tools("pgbouncer")
@pytest.mark.parametrize(("blow", "times"), [(kill, 1), *SEVERAL])
def test_nor_is_it_behind_a_pooler_that_stays(
    pooled: Scene, tmp_path: Path, blow: Blow, times: int
) -> None:
    writers, attempts, outages = written_through(pooled, 3, tmp_path, blow, times)

    assert_only_told_to_come_back(attempts)
    assert_all_is_kept_once(pooled.url, pooled.processes, writers, attempts)
    assert max(delays(attempts, outages)) < BACK_WITHIN
    assert pooled.processes.exit_codes == [None] * 3


def written_through(
    scene: Scene, count: int, directory: Path, blow: Blow, times: int
) -> tuple[list[Writer], list[Attempt], list[Outage]]:
    """Let so many write, and the server die so often and come again; all are answered at last."""
    stop = directory / "stop"
    writers = settled(scene.url, count, stop)
    outages = []
    scene.processes.begin(write, writers)
    try:
        for _ in range(times):
            time.sleep(0.4)
            outages.append(outage(scene.server, blow))
        time.sleep(0.4)
    finally:
        stop.touch()
        scene.server.start()
        attempts = [attempt for each in scene.processes.results() for attempt in each]
    return writers, attempts, outages


def outage(server: OwnServer, blow: Blow) -> Outage:
    """Let the server end, and start it at once."""

    def accepting() -> float:
        while True:
            try:
                server.operator().close()
            except psycopg.Error:
                time.sleep(0.002)
            else:
                return time.monotonic()

    blow(server)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(accepting)
        server.start()
        return Outage(began, accepted.result())


def delays(attempts: list[Attempt], outages: list[Outage]) -> list[float]:
    """Return how long after the server accepted connections the first write succeeded."""
    answered = [attempt for attempt in attempts if attempt.is_answered]
    return [
        min(each.ended for each in answered if each.began > outage.began) - outage.accepting
        for outage in outages
    ]
