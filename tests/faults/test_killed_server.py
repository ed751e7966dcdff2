"""A database that dies under those who write, in each of its ways, and comes again (R6)."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, takewhile
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
    await_attempts,
    settled,
    warm_up,
    write,
)
from tests.laptop.runs import HANGS_AFTER

WRITERS = 8
ENOUGH = 12
"""So many answers to a writer are to requests of every kind."""
MOST_PUT_OFF = 1
"""So many requests of a writer may be put off after the server accepts connections again."""


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
class Scene:
    """A database, and processes that have worked on it since before any outage.

    `served` is the URL by which they reach it.
    """

    server: OwnServer
    url: str
    served: str
    processes: Processes


@pytest.fixture(scope="module")
def scene(own_server: OwnServer) -> Iterator[Scene]:
    with own_server.database() as url, Processes(url, count=WRITERS) as processes:
        warm_up(processes, url, WRITERS)
        yield Scene(own_server, url, url, processes)


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
        yield Scene(own_server, url, pooled, processes)


@pytest.mark.parametrize(("blow", "times"), [(kill, 1), (shut_down_fast, 1), *SEVERAL])
def test_whatever_ends_the_server_nothing_acknowledged_is_lost_or_doubled(
    scene: Scene, tmp_path: Path, blow: Blow, times: int
) -> None:
    writers, attempts, late = written_through(scene, WRITERS, tmp_path, blow, times)

    assert_only_told_to_come_back(attempts)
    assert_all_is_kept_once(scene.url, scene.processes, writers, attempts)
    assert late <= MOST_PUT_OFF
    assert scene.processes.exit_codes == [None] * WRITERS


@pytest.mark.tools("pgbouncer")
@pytest.mark.parametrize(("blow", "times"), [(kill, 1), *SEVERAL])
def test_nor_is_it_behind_a_pooler_that_stays(
    pooled: Scene, tmp_path: Path, blow: Blow, times: int
) -> None:
    writers, attempts, late = written_through(pooled, 3, tmp_path, blow, times)

    assert_only_told_to_come_back(attempts)
    assert_all_is_kept_once(pooled.url, pooled.processes, writers, attempts)
    assert late <= MOST_PUT_OFF
    assert pooled.processes.exit_codes == [None] * 3


def written_through(
    scene: Scene, count: int, directory: Path, blow: Blow, times: int
) -> tuple[list[Writer], list[Attempt], int]:
    """Let so many write, and the server die so often and come again; all are answered at last.

    Returns the writers, what they attempted, and how many attempts of one writer were put off
    after an outage, at most.
    """
    stop = directory / "stop"
    writers = settled(scene.url, count, stop)
    accepting = []
    scene.processes.begin(write, writers)
    try:
        for _ in range(times):
            await_attempts(writers, answered=ENOUGH)
            accepting.append(outage(scene, blow))
            await_attempts(writers, answered=ENOUGH)
    finally:
        stop.touch()
        scene.server.start()
        written = scene.processes.results()
    late = max(put_off_after(each, since) for each in written for since in accepting)
    return writers, list(chain.from_iterable(written)), late


def outage(scene: Scene, blow: Blow) -> float:
    """Let the server end, and start it at once; return when it accepted a connection again."""

    def accepting() -> float:
        while True:
            try:
                with psycopg.connect(scene.served, autocommit=True) as client:
                    client.execute("SELECT 1")  # for a pooler accepts a connection by itself
            except psycopg.Error:
                time.sleep(0.002)
            else:
                return time.monotonic()

    blow(scene.server)
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(accepting)
        scene.server.start()
        return accepted.result(HANGS_AFTER)


def put_off_after(attempts: list[Attempt], accepting: float) -> int:
    """Return how many attempts were put off between that time and the next answer."""
    later = (attempt for attempt in attempts if attempt.began > accepting)
    return sum(1 for _ in takewhile(lambda attempt: not attempt.is_answered, later))
