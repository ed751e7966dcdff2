"""`make host` while its database goes away, the disk is full, and a crowd comes through a proxy."""

import json
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy.orm import Session

from tests.database import connect
from tests.factories import group, plain_point, someone
from tests.faults.own_server import OwnServer
from tests.faults.test_full_disk import Disk, DiskByDecree, SmallDisk, mounted
from tests.servers import serving

from .runs import HANGS_AFTER, HOST, Run, eventually

Launch = Callable[..., Run]

ATTEMPTS = 1200
BURST, INTERVAL = 10, 6.0
"""How many attempts to join one address has at once, and the seconds until it has one more."""


@pytest.fixture(scope="module")
def disk_and_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[OwnServer, str, Disk]]:
    """A server of its own, the URL of a database on it, and its disk."""
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp("faults")
        has_mounted = stack.enter_context(mounted(directory))
        server = stack.enter_context(OwnServer(directory / "postgres"))
        url = stack.enter_context(server.database())
        disk = SmallDisk(directory, url) if has_mounted else DiskByDecree(url)
        yield server, url, disk


def token_of_a_member(url: str) -> str:
    with serving(url) as engine, Session(engine) as session:
        who = someone(session)
        group(session, who)
        session.commit()
        return who.token


class Poster:
    """Posts points, and keeps the ids of those that were acknowledged."""

    def __init__(self, run: Run, url: str) -> None:
        self._run = run
        self._token = token_of_a_member(url)
        self.acknowledged: list[str] = []

    def post(self) -> tuple[int, str | None]:
        """Post one; return the status and the problem's code."""
        point = plain_point()
        response, answer = self._run.request("POST", "/api/locations", point, self._token)
        if response.status == 200:
            self.acknowledged.append(point["id"])
        return response.status, answer.get("code")

    def is_taken(self) -> bool:
        return self.post()[0] == 200


def stored(url: str) -> Counter[str]:
    with closing(connect(url)) as operator:
        return Counter(str(id_) for (id_,) in operator.run("SELECT id FROM locations"))


def test_a_database_that_dies_and_comes_back_costs_nothing_that_was_acknowledged(
    launch: Launch, disk_and_server: tuple[OwnServer, str, Disk]
) -> None:
    server, url, _ = disk_and_server
    run = launch(*HOST, DATABASE_URL=url)
    run.printed_until_serving()
    poster = Poster(run, url)
    assert [poster.post() for _ in range(10)] == [(200, None)] * 10

    server.kill()
    server.await_end()
    meanwhile = {poster.post() for _ in range(10)}
    health = run.request("GET", "/api/health")[0].status
    server.start()

    assert meanwhile == {(503, "temporarily_unavailable")}
    assert health == 200
    assert eventually(poster.is_taken)
    assert [poster.post() for _ in range(10)] == [(200, None)] * 10
    kept = stored(url)
    assert {kept[id_] for id_ in poster.acknowledged} == {1}
    assert run.process.poll() is None


def test_a_full_disk_puts_posts_off_and_costs_nothing_that_was_acknowledged(
    launch: Launch, disk_and_server: tuple[OwnServer, str, Disk]
) -> None:
    server, url, disk = disk_and_server
    run = launch(*HOST, DATABASE_URL=url)
    run.printed_until_serving()
    poster = Poster(run, url)
    assert poster.post() == (200, None)

    disk.fill()
    try:
        # What is left of the last page takes some more.
        assert eventually(lambda: poster.post()[0] != 200)
        put_off = {poster.post() for _ in range(5)}
        ready = run.request("GET", "/api/health")[0].status
    finally:
        disk.make_room(server)

    assert put_off == {(503, "temporarily_unavailable")}
    assert ready == 200
    assert eventually(poster.is_taken)
    kept = stored(url)
    assert {kept[id_] for id_ in poster.acknowledged} == {1}


@pytest.mark.parametrize("is_trusted", [True, False])
def test_of_1200_attempts_at_once_each_address_has_its_own(
    launch: Launch, disk_and_server: tuple[OwnServer, str, Disk], *, is_trusted: bool
) -> None:
    _, url, _ = disk_and_server
    run = launch(*HOST, DATABASE_URL=url, TRUSTED_PROXIES="127.0.0.1" if is_trusted else "")
    run.printed_until_serving()
    with closing(connect(url)) as operator:
        operator.run("DELETE FROM rate_limits")

    begun = time.monotonic()
    # A third of them says that it is one address, and each of the others another one.
    addresses = [
        "203.0.113.7" if number % 3 == 0 else f"10.1.{number // 200}.{number % 200}"
        for number in range(ATTEMPTS)
    ]
    with reading(run), ExitStack() as stack:
        waiting = [stack.enter_context(closing(attempt(run.port, each))) for each in addresses]
        statuses = [status_of(connection) for connection in waiting]
    had_more = (time.monotonic() - begun) / INTERVAL + 1

    tried = [s for s, a in zip(statuses, addresses, strict=True) if a == "203.0.113.7"]
    others = [s for s, a in zip(statuses, addresses, strict=True) if a != "203.0.113.7"]
    assert set(statuses) <= {404, 429}
    if is_trusted:
        assert BURST <= tried.count(404) <= BURST + had_more
        assert set(others) == {404}
    else:
        assert BURST <= statuses.count(404) <= BURST + had_more


def attempt(port: int, address: str) -> socket.socket:
    """Send an attempt with a code that does not exist; return the connection."""
    body = b'{"code": "AAAAAAAAAAAAAAAAAAAAAAAA", "name": "Ada"}'
    made = socket.create_connection(("127.0.0.1", port), timeout=4 * HANGS_AFTER)
    made.sendall(
        b"POST /api/auth/join HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\n"
        + f"X-Forwarded-For: {address}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return made


def status_of(connection: socket.socket) -> int:
    told = b""
    while piece := connection.recv(65536):
        told += piece
    return int(told.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("seconds", "warm_up"),
    [
        pytest.param(4.0, 2.0, id="seconds"),
        pytest.param(1800.0, 180.0, id="half an hour", marks=pytest.mark.full),
    ],
)
def test_memory_stays_where_it_was_under_load(
    launch: Launch,
    disk_and_server: tuple[OwnServer, str, Disk],
    seconds: float,
    warm_up: float,
) -> None:
    _, url, _ = disk_and_server
    run = launch(*HOST, DATABASE_URL=url)
    run.printed_until_serving()
    statuses: Counter[int] = Counter()

    with reading(run), posting(run, url, statuses, clients=8):
        time.sleep(warm_up)
        before = megabytes(run)
        time.sleep(seconds - warm_up)
        after = megabytes(run)

    assert set(statuses) == {200}
    assert after <= 1.1 * before


def megabytes(run: Run) -> float:
    status = Path(f"/proc/{run.process.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


@contextmanager
def reading(run: Run) -> Iterator[None]:
    """Read what it prints meanwhile, or it would wait for that."""
    assert run.process.stdout
    drain = run.process.stdout.fileno()

    def read() -> None:
        while os.read(drain, 65536):
            pass

    Thread(target=read, daemon=True).start()
    yield


@contextmanager
def posting(run: Run, url: str, statuses: Counter[int], *, clients: int) -> Iterator[None]:
    """Let clients post, each on a connection that it keeps, until the context ends."""
    over = Event()
    tokens = [token_of_a_member(url) for _ in range(clients)]

    def post(token: str) -> None:
        connection = HTTPConnection("127.0.0.1", run.port, timeout=HANGS_AFTER)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        with closing(connection):
            while not over.is_set():
                connection.request("POST", "/api/locations", json.dumps(plain_point()), headers)
                response = connection.getresponse()
                response.read()
                statuses[response.status] += 1

    threads = [Thread(target=post, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
