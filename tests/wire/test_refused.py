"""A server that refuses a connection, for whatever reason, is a database that is not there: 503."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
def answering(answer: bytes) -> Iterator[str]:
    """Answer whoever connects with these bytes, and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_all() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
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


def test_a_database_that_takes_no_connections_is_unavailable(server: Server) -> None:
    with (
        server.database() as name,
        closing(server.connect()) as operator,
        serving(server.url_of(name)),
    ):
        operator.run(f"ALTER DATABASE {identifier(name)} ALLOW_CONNECTIONS false")

        refused = ask_once()

    assert failure.sqlstate(refused.__cause__) == "55000"
