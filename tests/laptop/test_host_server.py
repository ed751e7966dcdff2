"""The HTTP server of `make host`: what clients may send, how slowly, and how much."""

import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from threading import Event, Thread

import pytest
from chalice.app import Chalice, Response

from scripts.host import server
from scripts.host.gateway import Gateway
from scripts.host.server import Server

from .runs import HANGS_AFTER

LARGEST = 1_000_000
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nConnection: close\r\n"
GET = b"GET /api/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Service:
    """A server of an app that says how long a body was, and one route of which waits."""

    def __init__(self) -> None:
        self.go_on = Event()
        app = Chalice("service")

        @app.route("/api/health")
        def health() -> Response:
            return Response(body="well")

        @app.route("/echo", methods=["POST"], content_types=["text/plain"])
        def echo() -> Response:
            assert app.current_request is not None
            return Response(body=f"{len(app.current_request.raw_body)} bytes")

        @app.route("/large")
        def large() -> Response:
            return Response(body="x" * 8 * LARGEST)

        @app.route("/wait")
        def wait() -> Response:
            self.go_on.wait()
            return Response(body="waited")

        listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(listening.getsockname()[1])
        self.server = Server(Gateway(app), listening, largest_body=LARGEST)
        self.thread = Thread(target=self.server.serve, args=(lambda: None,))
        self.thread.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANGS_AFTER)

    def answer(self, *pieces: bytes) -> bytes:
        """Send pieces; return all that comes back until the connection ends."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return rest(connection)

    def stop(self) -> None:
        self.go_on.set()
        with suppress(OSError):  # it has ended between the two steps of `stop`, and closed the pipe
            self.server.stop()
        self.thread.join()


def rest(connection: socket.socket) -> bytes:
    told = b""
    while piece := connection.recv(65536):
        told += piece
    return told


@pytest.fixture
def service() -> Iterator[Service]:
    """A server that ends with the test."""
    made = Service()
    yield made
    made.stop()


def test_a_body_arrives_whole_whether_it_has_a_length_or_comes_in_chunks(service: Service) -> None:
    body = b"\xff" * LARGEST

    with_length = service.answer(POST + b"Content-Length: %d\r\n\r\n" % len(body), body)
    chunked = service.answer(
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n" % (len(body), body),
        b"0\r\n\r\n",
    )

    assert with_length.endswith(b"\r\n\r\n1000000 bytes")
    assert chunked.endswith(b"\r\n\r\n1000000 bytes")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"transfer-encoding: xchunked\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
    ],
)
def test_a_body_whose_end_is_not_certain_is_refused(service: Service, head: bytes) -> None:
    answer = service.answer(POST + head + b"\r\n0\r\n\r\n")

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert answer.count(b"HTTP/1.") == 1
    assert b"Content-Type: application/problem+json\r\n" in answer
    assert b'"code": "unacceptable_request"' in answer


def test_chunks_are_unknown_before_http_1_1(service: Service) -> None:
    answer = service.answer(
        POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )

    assert b" 400 " in answer.partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: %d\r\n" % (20 * LARGEST),
        b"Content-Length: %d\r\nExpect: 100-continue\r\n" % (20 * LARGEST),
        b"Transfer-Encoding: chunked\r\n",
    ],
)
def test_a_client_that_sends_too_much_reads_why_it_is_refused(
    service: Service, head: bytes
) -> None:
    piece = b"%x\r\n%b\r\n" % (LARGEST, b"x" * LARGEST)

    answer = service.answer(POST + head + b"\r\n", *[piece] * 20)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "body_too_large"' in answer


def test_a_request_that_expects_to_go_on_is_told_to(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        told = connection.recv(65536)
        connection.sendall(b"{}")
        answer = rest(connection)

    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.endswith(b"2 bytes")


def test_one_without_a_body_that_expects_to_go_on_is_answered(service: Service) -> None:
    answer = service.answer(GET[:-2] + b"Expect: 100-continue\r\n\r\n")

    assert answer.endswith(b"well")


def test_a_head_that_is_too_long_is_refused(service: Service) -> None:
    answer = service.answer(GET[:-2] + b"X: zq7mark\r\n" * 10_000 + b"\r\n")

    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"zq7mark" not in answer


def test_a_request_that_comes_too_slowly_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.5)
    with service.connect() as connection, service.connect() as other:
        connection.sendall(POST + b"Content-Length: 100000\r\n\r\n")
        other.sendall(b"GET /api/h")
        sent = 0
        # A byte now and then, as long as the server takes them.
        connection.settimeout(0.05)
        while sent < 100_000:
            try:
                connection.sendall(b"x")
                sent += 1
                assert connection.recv(1) == b""
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break

        assert sent < 100_000
        assert rest(other) == b""
    assert service.answer(GET).endswith(b"well")


def test_what_is_held_of_unfinished_requests_is_bounded(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HELD_BYTES", LARGEST)
    with ExitStack() as stack:
        small = stack.enter_context(service.connect())
        small.sendall(POST + b"Content-Length: 1000\r\n\r\n" + bytes(999))
        large = [stack.enter_context(service.connect()) for _ in range(6)]
        for connection in large:
            connection.sendall(POST + b"Content-Length: 600000\r\n\r\n" + bytes(400_000))

        told = []
        for connection in large:
            with suppress(ConnectionError):  # it was given up before it had sent all
                connection.sendall(bytes(200_000))
            told.append(rest(connection))
        small.sendall(bytes(1))

        refused = [answer for answer in told if answer.startswith(b"HTTP/1.1 503 ")]
        taken = [answer for answer in told if answer.endswith(b"600000 bytes")]
        assert len(refused) + len(taken) == 6
        assert len(refused) >= 4
        assert taken
        assert all(b'"code": "temporarily_unavailable"' in answer for answer in refused)
        assert all(b"\r\nRetry-After: 5\r\n" in answer for answer in refused)
        assert rest(small).endswith(b"1000 bytes")


def test_answers_that_are_not_fetched_are_bounded(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HELD_BYTES", 10 * LARGEST)
    dropped = Event()
    give_up = server.Channel.give_up

    def seen(channel: server.Channel) -> None:
        give_up(channel)
        dropped.set()

    monkeypatch.setattr(server.Channel, "give_up", seen)
    with ExitStack() as stack:
        idle = [stack.enter_context(service.connect()) for _ in range(20)]
        for connection in idle:
            connection.sendall(GET.replace(b"/api/health", b"/large"))

        assert dropped.wait(HANGS_AFTER)  # nothing is fetched before
        ended = [rest(connection) for connection in idle]

    assert any(len(answer) < 8 * LARGEST for answer in ended)
    assert service.answer(GET).endswith(b"well")


@pytest.mark.parametrize("line", [b"1;" + b"x" * 5000, b"0\r\nX: " + b"x" * 5000])
def test_what_stands_between_chunks_is_bounded(service: Service, line: bytes) -> None:
    answer = service.answer(POST + b"Transfer-Encoding: chunked\r\n\r\n", line)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code": "unacceptable_request"' in answer


def test_clients_that_are_slow_or_silent_keep_no_other_waiting(service: Service) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == resource.RLIM_INFINITY or soft > 3200  # the server has raised it
    with ExitStack() as stack:
        for _ in range(1500):
            stack.enter_context(service.connect())
        for number in range(20):
            half = stack.enter_context(service.connect())
            half.sendall((POST + b"Content-Length: 100\r\n\r\n")[: 20 + 4 * number])

        assert service.answer(POST + b"Content-Length: 2\r\n\r\n{}").endswith(b"2 bytes")


def test_health_is_answered_while_all_workers_are_busy(service: Service) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(service.connect()) for _ in range(30)]
        for connection in waiting:
            connection.sendall(GET.replace(b"/api/health", b"/wait"))

        assert service.answer(GET).endswith(b"well")

        service.go_on.set()
        assert all(rest(connection).endswith(b"waited") for connection in waiting)


def test_stopping_answers_what_was_accepted_and_closes_the_rest(service: Service) -> None:
    with ExitStack() as stack:
        idle = stack.enter_context(service.connect())
        waiting = [stack.enter_context(service.connect()) for _ in range(20)]
        for connection in waiting:
            connection.sendall(GET.replace(b"/api/health", b"/wait"))
        half = stack.enter_context(service.connect())
        half.sendall(POST)

        service.server.stop()
        assert rest(idle) == b""
        half.sendall(b"Content-Length: 2\r\n\r\n{}")
        service.go_on.set()

        assert all(rest(connection).endswith(b"waited") for connection in waiting)
        assert rest(half).endswith(b"2 bytes")
        service.thread.join()
        with pytest.raises(ConnectionRefusedError):
            service.connect()


def test_requests_and_what_fails_in_the_server_write_nothing(
    service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in (GET, POST + b"Content-Length: zq7mark\r\n\r\n", b"zq7mark\r\n\r\n"):
        service.answer(sent)
    with service.connect() as gone:
        gone.sendall(GET.replace(b"/api/health", b"/wait?zq7mark"))
    service.go_on.set()
    service.stop()

    out, errors = capfd.readouterr()
    assert re.search("zq7mark", out + errors) is None
    assert errors == ""
