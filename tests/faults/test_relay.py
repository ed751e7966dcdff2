"""The relay that tests and benches listen with says what happened."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.certificates import make_certificates
from tests.database import Server
from tests.laptop.runs import HANGS_AFTER, eventually
from tests.relay import PROJECT, Ending, Relay, Way, relay_process


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(server.url) as relay:
        yield relay


def connected(url: str, *, options: str = "") -> psycopg.Connection:
    """Connect with libpq, which asks for TLS as told and for nothing else."""
    return psycopg.connect(f"{url}?gssencmode=disable{options}", autocommit=True)


def test_a_simple_query_is_one_statement_and_one_round_trip(relay: Relay) -> None:
    with connected(relay.url, options="&sslmode=disable") as connection:
        counted = relay.count(lambda: connection.execute("SELECT 1"))

    assert counted == (1, 1)
    assert relay.connections == 1


def test_a_prepared_statement_is_sent_once(relay: Relay) -> None:
    with connected(relay.url, options="&sslmode=disable") as connection:
        first, second = (
            relay.count(lambda: connection.execute("SELECT %s", ["a"], prepare=True))
            for _ in range(2)
        )

    assert first == (1, 2)  # libpq waits for the server between preparing and executing
    assert second == (0, 1)


def test_every_message_is_told_whole(server: Server) -> None:
    messages: list[bytes] = []
    with (
        Relay(server.url, on_message=messages.append) as relay,
        connected(relay.url, options="&sslmode=disable") as connection,
    ):
        connection.execute("SELECT 1")

    assert messages[0] == b"Q\0\0\0\x0dSELECT 1\0"


def test_statements_sent_together_are_one_round_trip(relay: Relay) -> None:
    with connected(relay.url, options="&sslmode=disable") as connection:

        def three() -> None:
            with connection.pipeline():
                for _ in range(3):
                    connection.execute("SELECT pg_sleep(0.05)", prepare=False)

        counted = relay.count(three)

    assert counted == (3, 1)


def test_a_statement_in_many_pieces_is_one(relay: Relay) -> None:
    text = "x" * 3_000_000
    with connected(relay.url, options="&sslmode=disable") as connection:
        answers = []
        counted = relay.count(
            lambda: answers.append(connection.execute("SELECT %s", [text]).fetchone())
        )

    assert counted == (1, 1)
    assert answers == [(text,)]


def test_a_server_that_speaks_no_tls_says_so_through_it(relay: Relay) -> None:
    with connected(relay.url, options="&sslmode=prefer") as connection:
        counted = relay.count(lambda: connection.execute("SELECT 1"))
        assert not connection.pgconn.ssl_in_use

    assert counted == (1, 1)


def test_it_listens_on_a_unix_socket_too(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("s")  # the path of a socket has to be short
    with Relay(server.url, directory=directory) as relay, psycopg.connect(relay.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert relay.connections == 1

    assert list(directory.iterdir()) == []


def test_it_speaks_tls_for_a_server_that_does_not(server: Server, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    with Relay(server.url, tls=made.server_context()) as relay:
        options = f"&sslmode=verify-full&sslrootcert={made.authority}"
        with connected(relay.url, options=options) as connection:
            begun = relay.round_trips
            counted = relay.count(lambda: connection.execute("SELECT repeat('x', 1000000)"))
            assert connection.pgconn.ssl_in_use

    assert begun == 3  # may we, hello, and who we are
    assert counted == (1, 1)


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_client_that_verifies_refuses_a_server_that_is_not_meant(
    server: Server, tmp_path: Path, wrong: str
) -> None:
    (tmp_path / "other").mkdir()
    made = make_certificates(tmp_path, host="elsewhere" if wrong == "name" else "localhost")
    other = make_certificates(tmp_path / "other")
    trusted = other if wrong == "authority" else made
    options = f"&sslmode=verify-full&sslrootcert={trusted.authority}"

    with (
        Relay(server.url, tls=made.server_context()) as relay,
        pytest.raises(psycopg.OperationalError, match=r"verify failed|does not match"),
    ):
        connected(relay.url, options=options)

    assert relay.statements == 0


def test_it_delays_every_round_trip(server: Server) -> None:
    with (
        Relay(server.url, delay=0.05) as relay,
        connected(relay.url, options="&sslmode=disable") as connection,
    ):
        begun = time.perf_counter()
        for _ in range(3):
            connection.execute("SELECT 1")

        assert time.perf_counter() - begun >= 3 * 0.05


QUERY = b"Q\0\0\0\x0dSELECT 1\0"
LOCK = b"Q\0\0\0\x24SELECT pg_advisory_lock(1909)  \0"
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1909"


@contextmanager
def spoken(relay: Relay) -> Iterator[socket.socket]:
    """Connect, and speak with the server by hand from then on."""
    with (
        connected(relay.url, options="&sslmode=disable") as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as client,
    ):
        client.settimeout(HANGS_AFTER)
        yield client


def received(client: socket.socket, length: int) -> bytes:
    """Read so many bytes."""
    parts = b""
    while len(parts) < length:
        parts += client.recv(length - len(parts))
    return parts


@pytest.fixture
def answer(relay: Relay) -> bytes:
    """What the server answers to the query."""
    with spoken(relay) as client, relay.breaking_off(1 << 30, Ending.FIN) as whole:
        client.sendall(QUERY)
        parts = b""
        while not parts.endswith(b"Z\0\0\0\5I"):
            parts += client.recv(1 << 16)
    assert (whole.passed, whole.lost) == (len(parts), 0)
    return parts


def test_an_answer_breaks_off_after_any_number_of_bytes(relay: Relay, answer: bytes) -> None:
    for after in range(len(answer) + 1):
        with spoken(relay) as client, relay.breaking_off(after, Ending.FIN) as breaking:
            client.sendall(QUERY)

            assert received(client, after) == answer[:after]
            assert client.recv(1) == b""
        assert (breaking.passed, breaking.lost) == (after, len(answer) - after)


def test_it_is_reset_after_any_number_of_bytes(relay: Relay, answer: bytes) -> None:
    for after in range(len(answer) + 1):
        with spoken(relay) as client, relay.breaking_off(after, Ending.RST):
            client.sendall(QUERY)

            assert received(client, after) == answer[:after]
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@pytest.mark.parametrize("after", [0, 1, 40])
def test_it_stops_after_so_many_bytes_and_nobody_hangs_up(
    relay: Relay, answer: bytes, after: int
) -> None:
    with spoken(relay) as client, relay.breaking_off(after, Ending.SILENCE):
        client.sendall(QUERY)

        assert received(client, after) == answer[:after]
        assert_silent(client)
        client.sendall(QUERY)
        assert_silent(client)


def assert_silent(client: socket.socket) -> None:
    """See that nothing comes, not even an end."""
    client.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.recv(1)


def test_each_connection_breaks_off_by_itself_and_those_to_come_are_whole(
    relay: Relay, answer: bytes
) -> None:
    with (
        spoken(relay) as one,
        spoken(relay) as other,
        relay.breaking_off(3, Ending.FIN) as breaking,
    ):
        for client in (one, other):
            client.sendall(QUERY)
            assert received(client, 3) == answer[:3]
            assert client.recv(1) == b""
    with spoken(relay) as client:
        client.sendall(QUERY)

        assert received(client, len(answer)) == answer
    assert breaking.passed == 6


@pytest.mark.parametrize("way", Way)
def test_what_is_dropped_on_a_way_is_never_made_up_for(
    server: Server, relay: Relay, way: Way
) -> None:
    with spoken(relay) as client, server.connect() as onlooker:
        relay.drops = way
        client.sendall(LOCK)
        assert_silent(client)
        relay.drops = Way(0)
        client.sendall(QUERY)
        assert_silent(client)

        assert eventually(lambda: onlooker.run(LOCKS) == [[0 if way is Way.TO_SERVER else 1]])


@pytest.mark.parametrize("by", [Ending.FIN, Ending.RST])
def test_all_connections_end_at_once(relay: Relay, by: Ending) -> None:
    with spoken(relay) as one, spoken(relay) as other:
        relay.end_all(by)

        for client in (one, other):
            if by is Ending.FIN:
                assert client.recv(1) == b""
            else:
                with pytest.raises(ConnectionResetError):
                    client.recv(1)


def test_bytes_come_one_by_one(relay: Relay, answer: bytes) -> None:
    relay.trickle = 0.002
    with spoken(relay) as client:
        client.sendall(QUERY)
        begun = time.perf_counter()
        told = received(client, len(answer))

    assert time.perf_counter() - begun >= (len(answer) - 1) * relay.trickle * 0.9
    assert told == answer


def test_it_runs_in_a_process_of_its_own(server: Server) -> None:
    with relay_process(server.url, delay=0.05) as url, psycopg.connect(url) as connection:
        begun = time.perf_counter()
        connection.execute("SELECT 1")

        assert time.perf_counter() - begun >= 0.05


def test_a_process_of_its_own_ends_with_who_started_it(server: Server) -> None:
    command = [sys.executable, "-m", "tests.relay", "--target", server.url]

    run = subprocess.run(
        command, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )

    assert run.stdout.startswith("postgresql://postgres@localhost:")


def test_a_server_that_is_away_is_a_connection_that_ends(server: Server) -> None:
    del server
    with (
        Relay("postgresql://postgres@127.0.0.1:1/none") as relay,
        pytest.raises(psycopg.OperationalError),
    ):
        connected(relay.url, options="&sslmode=disable")
