"""What comes to the socket of `make run` or `make host` without being HTTP, or not quite."""

import re
import socket
from collections.abc import Iterator
from random import Random
from threading import Thread
from typing import IO, cast

import pytest

from .runs import HANGS_AFTER, HOST, SERVE, Run

MARK = b"zq7mark"
HEALTH = b"GET /api/health HTTP/1.1\r\nHost: a\r\n"
JOIN = (
    b"POST /api/auth/join HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b'Content-Length: 32\r\n\r\n{"code":"zq7mark","name":"mark"]'
)
NO_REQUESTS = [
    *(b"", b"\r\n\r\n", b"\n", b"G", b"GET", b"GET /\r\n", b"GET \r\n\r\n", b"/ HTTP/1.1\r\n\r\n"),
    *(b"\0" * 100, b"\xff" * 1000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20),
    *(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/health HTTP/9.9\r\n\r\n",
        b"GET / FTP/1\r\n\r\n",
    ),
    *(
        b"GET /api/health HTTP/1.1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET\t/\tHTTP/1.1\r\n\r\n",
    ),
    *(MARK + b" /api/health HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n", HEALTH[:-4]),
    b"GET /" + MARK * 10_000 + b" HTTP/1.1\r\n\r\n",
    HEALTH + b"X: " + MARK * 10_000 + b"\r\n\r\n",
    HEALTH + b"X: 1\r\n" * 200 + b"\r\n",
    HEALTH + b"X: 1\r\n" * 50_000 + b"\r\n",
]
ODD_TARGETS = [
    *(b"*", b"?", b"//", b"/api//health", b"/api/../api/health", b"http://zq7mark/api/health"),
    *(b"http://[/api/health", b"//[::1/api", b"/api/users/%zz", b"/api/users/%00", b"/\xff\xfe"),
    *(b"/api/health#zq7mark", b"/api/export?limit=%ff", b"/api/health;a=b", b"zq7mark", b"/" * 900),
    *(b"/api/groups/\xed\xa0\x80/keys", b"/api/groups/{group_id}/keys", b"/api/\x7f"),
]
ODD_HEADERS = [
    *(b"zq7mark", b": 1", b" folded: 1", b"X: 1\r\n zq7mark", b"X: \0", b"X: \xff\xfe", b"X\0: 1"),
    *(b"Authorization: Bearer \xff", b"Authorization: Basic \xe2\x82\xac", b"Host: b\r\nHost: c"),
    *(b"Content-Type: \xff", b"Expect: 100-continue", b"Expect: zq7mark", b"Connection: zq7mark"),
    *(b"Upgrade: h2c", b"Idempotency-Key: \xe9" * 2, b"If-None-Match: \xff", b"X: a\rb"),
]
LENGTHS = [
    *(b"-1", b"+2", b"0x2", b"2 2", b"1e1", b"", b"zq7mark", b"\xb2", b"9" * 400, b"99999999999"),
    *(b"2\r\nContent-Length: 3", b"2\r\nTransfer-Encoding: chunked", b"32, 32"),
]
CHUNKS = [b"", b"zq7mark\r\n", b"-1\r\n{}", b"2\r\n{}\r\n0\r\n\r\n", b"ffffffffff\r\n{}", b"0\r\n"]


@pytest.fixture(scope="module", params=[SERVE, HOST], ids=["run", "host"])
def served(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator["Served"]:
    """A launcher of these tests' own, whose every word is read."""
    run = Run(tmp_path_factory.mktemp("bad_bytes"), *request.param)
    run.printed_until_serving()
    yield Served(run)
    run.kill()


@pytest.mark.parametrize(
    "sent",
    [
        *NO_REQUESTS,
        *(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target for target in ODD_TARGETS),
        *(HEALTH + header + b"\r\n\r\n" for header in ODD_HEADERS),
        *(JOIN.replace(b" 32", b" " + length) for length in LENGTHS),
        *(
            JOIN.partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
            for chunks in CHUNKS
        ),
    ],
    ids=lambda sent: repr(sent[:30]),
)
def test_what_is_no_request_is_refused_and_the_next_is_served(
    served: "Served", sent: bytes
) -> None:
    answer = served.answer(sent)

    assert all(status < 500 for status in statuses(answer)), answer
    assert MARK not in answer
    assert served.is_well()


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.full)])
def test_no_bytes_end_the_server_or_are_repeated_by_it(served: "Served", count: int) -> None:
    random = Random(20261122)  # noqa: S311 -- the same bytes each time

    for number in range(count):
        sent = bent(random, random.choice([HEALTH + b"\r\n", JOIN, JOIN + HEALTH + b"\r\n"]))

        answer = served.answer(sent)

        assert all(status < 500 for status in statuses(answer)), (sent, answer)
        assert number % 50 or served.is_well()
    assert served.is_well()
    assert served.words  # of the requests that have reached the service
    assert MARK.decode() not in served.told
    assert served.errors == []


@pytest.mark.parametrize(
    ("codings", "status", "named"),
    [
        ((b"gzip", b"identity"), 415, b'not as \\"gzip\\".'),
        ((b"identity", b"gzip"), 415, b'not as \\"gzip\\".'),
        ((b"br", b"gzip"), 415, b'not as \\"br\\", \\"gzip\\".'),
        ((b"identity", b"identity"), 400, b"malformed_body"),
    ],
)
def test_content_codings_in_several_lines_are_all_read(
    served: "Served", codings: tuple[bytes, ...], status: int, named: bytes
) -> None:
    lines = b"".join(b"Content-Encoding: %s\r\n" % coding for coding in codings)

    answer = served.answer(JOIN.replace(b"Host: a\r\n", b"Host: a\r\n" + lines))

    assert statuses(answer) == [status]
    assert named in answer


def test_requests_in_one_piece_are_answered_one_by_one(served: "Served") -> None:
    answer = served.answer((HEALTH + b"\r\n") * 5 + JOIN + HEALTH + b"\r\n")

    assert statuses(answer) == [200, 200, 200, 200, 200, 400, 200]


def test_more_than_was_said_is_another_request_and_less_is_none(served: "Served") -> None:
    more = served.answer(JOIN + b"zq7mark\r\n\r\n")
    less = served.answer(JOIN[:-10])

    assert statuses(more)[0] == 400
    assert len(statuses(more)) == 2
    assert MARK not in more
    assert statuses(less) in ([], [400])


def test_half_requests_keep_nobody_waiting(served: "Served") -> None:
    halves = [socket.create_connection(("127.0.0.1", served.run.port)) for _ in range(60)]
    for number, half in enumerate(halves):
        half.sendall(JOIN[: 1 + number])

    assert served.is_well()

    for half in halves:
        half.close()
    assert served.is_well()


class Served:
    """A launcher whose words are read while it serves."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.words: list[str] = []
        self.errors: list[str] = []
        self.readers = [
            Thread(target=target.extend, args=(cast("IO[str]", stream),), daemon=True)
            for target, stream in (
                (self.words, run.process.stdout),
                (self.errors, run.process.stderr),
            )
        ]
        for reader in self.readers:
            reader.start()

    @property
    def told(self) -> str:
        """All that it has written."""
        return "".join(self.words + self.errors)

    def answer(self, sent: bytes) -> bytes:
        """Send bytes and then no more; return all that comes back before the connection ends."""
        received = bytearray()
        address = ("127.0.0.1", self.run.port)
        with socket.create_connection(address, timeout=HANGS_AFTER) as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    received += piece
            except ConnectionError:
                pass  # it may hang up on what it need not read
        return bytes(received)

    def is_well(self) -> bool:
        """Whether a request is answered as it should be."""
        return statuses(self.answer(HEALTH + b"\r\n")) == [200]


def statuses(answer: bytes) -> list[int]:
    """The status of each of the answers."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def bent(random: Random, request: bytes) -> bytes:
    """A request with some bytes of it changed, put in, taken out, or put elsewhere."""
    raw = bytearray(request)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(raw))
        odd = random.choice(
            [random.randbytes(random.randint(1, 5)), b"\r\n", b"\0", MARK, b" ", b":"]
        )
        match random.randrange(4):
            case 0:
                raw[at : at + len(odd)] = odd
            case 1:
                raw[at:at] = odd
            case 2:
                del raw[at : at + random.randint(1, 20)]
                raw = raw or bytearray(b"x")
            case _:
                raw[at:at] = raw[random.randrange(len(raw)) :][:40]
    return bytes(raw)
