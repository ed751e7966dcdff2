"""A server that refuses a connection, for whatever reason, is a database that is not there: 503."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from threading import Thread

import pytest
from pg8000.native import identifier
from sqlalchemy import literal_column, select

from chalicelib.db import Compiled, failure, one_statement
from chalicelib.errors import Unavailable
from tests.database import Server
from tests.servers import serving

ONE = Compiled(lambda: select(literal_column("1").label("one")))
READY = b"Z\0\0\0\x05I"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def refusal(state: str) -> bytes:
    return message(b"E", f"SFATAL\0VFATAL\0C{state}\0Mno\0\0".encode())


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """Answer each message of a client with the next of these, and hang up after the last."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_all() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(OSError):  # a client may hang up first
                    for answer in answers:
                        client.recv(10_000)
                        client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)
                    client.recv(10_000)

        Thread(target=answer_all, daemon=True).start()
        try:
            yield f"postgresql://una@127.0.0.1:{listener.getsockname()[1]}/none"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def ask_once() -> Unavailable:
    with pytest.raises(Unavailable) as refused, one_statement() as connection:
        connection.execute(ONE, {})
    return refused.value


@pytest.mark.parametrize(
    "state",
    [
        *("XX000", "0A000", "08P01", "22023", "28000", "28P01", "3D000", "42501", "42704"),
        *("53300", "55000", "57P03", "F0000", "P0001"),
    ],
)
def test_a_refusal_of_any_sqlstate_is_unavailable_and_logged_by_it(state: str) -> None:
    with answering(refusal(state)) as url, serving(url):
        refused = ask_once()

    assert failure.sqlstate(refused.__cause__) == state


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 10_000,
        b"\0" * 100,
        message(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        message(b"R", b"\0\0\0\x0aPLAIN\0\0"),
        message(b"R", b"\0\0\0\x0b" + b"r=no"),
        message(b"R", b"\0\0\0\x03"),
        message(b"R", b"\0\0\0\x07"),
        message(b"R", b"\0\0\0\x63"),
        message(b"R", b"\0"),
        message(b"E", b"\xff\xfe\0\0"),
        message(b"R", b"\0\0\0\0") + message(b"S", b"client_encoding\0LATIN1\0") + READY,
    ],
    ids=repr,
)
def test_what_does_not_answer_as_postgresql_does_is_unavailable(answer: bytes) -> None:
    with answering(answer) as url, serving(url):
        ask_once()


LET_IN = (
    message(b"R", b"\0\0\0\0")
    + message(b"S", b"server_version\x0018.4\0")
    + message(b"K", b"\0\0\0\1\0\0\0\2")
    + READY
)


@pytest.mark.parametrize("state", ["XX000", "08P01", "0A000", "42501", "P0001"])
@pytest.mark.parametrize("prepare", [False, True])
def test_a_pooler_that_ends_a_connection_for_any_reason_is_unavailable(
    state: str, *, prepare: bool
) -> None:
    # As Supabase's does when no server of its pool is free, after it has let the client in.
    with answering(LET_IN, refusal(state)) as url, serving(url, prepare_statements=prepare):
        refused = ask_once()

    assert failure.sqlstate(refused.__cause__) == state


def test_a_database_that_takes_no_connections_is_unavailable(server: Server) -> None:
    with (
        server.database() as name,
        closing(server.connect()) as operator,
        serving(server.url_of(name)),
    ):
        operator.run(f"ALTER DATABASE {identifier(name)} ALLOW_CONNECTIONS false")

        refused = ask_once()

    assert failure.sqlstate(refused.__cause__) == "55000"
