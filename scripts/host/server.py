"""The HTTP server of `make host`: waitress, with bounds of its own and an orderly end.

One thread reads and writes all connections, so a client that is slow takes no worker; the workers
are as many as the database connections. What needs no database is not queued behind what waits
for one.
"""

import logging
import re
import resource
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.utilities import BadRequest, Error

from scripts.host.gateway import UNIX, problem, target

WORKERS = 8
CONNECTIONS = 2000
IDLE_SECONDS = 60
REQUEST_SECONDS = 120
"""How long a client may take to send one request, even where it sends a byte now and then."""

STOPPING_SECONDS = 30
"""How long requests in flight are waited for: longer than the database may take for a statement."""

LINGERING_SECONDS = 5
HELD_BYTES = 64 * 1024 * 1024
"""How much is held of requests that are not answered and of answers that are not fetched.

Above it, the clients that hold most are given up. More than ten of the largest bodies fit.
"""
NEEDS_NO_DATABASE = "/api/health"

_SPARE_FILES = 200  # connections to the database, the log, pipes to jobs
_LONGEST_LINE = 4096  # between chunks; what follows the last one may be as long
_CODING = re.compile(rb"\r\ntransfer-encoding:([^\r]*)", re.IGNORECASE)


class Overloaded(Error):
    """Too much is held of other requests."""

    code = HTTPStatus.SERVICE_UNAVAILABLE
    reason = HTTPStatus.SERVICE_UNAVAILABLE.phrase


class Parser(HTTPRequestParser):
    """Reads a request, and refuses one whose end two programs might see at different places."""

    @property
    def held(self) -> int:
        """How many bytes of it are in memory."""
        return int(self.header_bytes_received + self.body_bytes_received)

    def received(self, data: bytes) -> int:
        """Take some bytes of a request; return how many."""
        consumed = int(super().received(data))
        body: Any = self.body_rcv
        # Each of them is read from its begin again when more comes.
        if isinstance(body, ChunkedReceiver) and (
            len(body.control_line) > _LONGEST_LINE or len(body.trailer) > _LONGEST_LINE
        ):
            self.refuse(BadRequest("chunks"))
        if self.error or self.body_rcv is None:
            self.expect_continue = False  # there is no body to wait for
        return consumed

    def refuse(self, error: Error) -> None:
        """Drop what was received, and let this be the answer."""
        self.error, self.completed, self.expect_continue = error, True, False
        self.header_plus = b""
        self.body_rcv: Any = None
        self.header_bytes_received = self.body_bytes_received = 0

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request. Raises ParsingError."""
        codings = _CODING.findall(header_plus)
        if codings and [coding.strip(b" \t").lower() for coding in codings] != [b"chunked"]:
            raise ParsingError("Transfer-Encoding")
        super().parse_header(header_plus)
        if codings and (self.version != "1.1" or "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Transfer-Encoding")


class Refusal(ErrorTask):
    """Answers what is no request by a problem document, which repeats nothing of it."""

    def execute(self) -> None:
        """Write the answer."""
        match self.request.error.code:
            case HTTPStatus.REQUEST_ENTITY_TOO_LARGE as status:
                code, detail = "body_too_large", "No route takes that much."
            case HTTPStatus.INTERNAL_SERVER_ERROR as status:
                code, detail = "internal_error", "Something went wrong here. It has been noted."
            case HTTPStatus.SERVICE_UNAVAILABLE as status:
                code, detail = "temporarily_unavailable", "Too much was sent at once. Try again."
                self.response_headers.append(("Retry-After", "5"))
            case _:
                status = HTTPStatus.BAD_REQUEST
                code = "unacceptable_request"
                detail = "The request cannot be served as it was sent."
        status = HTTPStatus(status)
        headers, body = problem(status, code, detail)
        self.status = f"{status.value} {status.phrase}"
        self.response_headers.extend(headers)
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.lingers = True
        # What could not be read has no method.
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)


class Channel(HTTPChannel):
    """A connection."""

    parser_class = Parser
    error_task_class = Refusal
    request: Any = None
    lingers = False
    lingering_until: float | None = None
    request_begun: float | None = None

    def received(self, data: bytes) -> bool:
        """Take some bytes, and note when the request that they belong to began."""
        taken = bool(super().received(data))
        if self.request is None:
            self.request_begun = None
        elif self.request_begun is None:
            self.request_begun = time.monotonic()
        self.server.count(len(data))
        return taken

    @property
    def held(self) -> int:
        """How many bytes it holds of requests and answers."""
        requests = (*self.requests, self.request)  # a worker may take one away meanwhile
        return int(sum(request.held for request in requests if request) + self.total_outbufs_len)

    @property
    def can_be_given_up(self) -> bool:
        """Whether it waits for its client: for the rest of a request, or to take an answer."""
        return self.request is not None or not self.requests

    def give_up(self) -> None:
        """Refuse the request that is arriving, or drop the answer that the client does not take."""
        with self.requests_lock:
            request, self.request = self.request, None
            if request is None or self.requests or self.total_outbufs_len:
                self.will_close = True
                return
            request.refuse(Overloaded(""))
            self.requests.append(request)
        self.server.add_task(self)

    def readable(self) -> bool:
        """Whether more is to be read now."""
        return self.lingering_until is not None or bool(super().readable())

    def handle_read(self) -> None:
        """Read; what is sent after a refusal is dropped."""
        if self.lingering_until is None:
            super().handle_read()
            return
        try:
            self.recv(self.adj.recv_bytes)  # closes by itself at the end
        except OSError:
            super().handle_close()

    def handle_close(self) -> None:
        """Close; after a refusal not yet, or a reset might overtake the answer."""
        if self.lingers and self.lingering_until is None and self.connected:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            else:
                self.lingering_until = time.monotonic() + LINGERING_SECONDS
                self.will_close = self.close_when_flushed = False
                return
        super().handle_close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request or an answer is under way."""
        is_empty = self.request is None and not self.requests and not self.total_outbufs_len
        return is_empty and not self.close_when_flushed

    def is_late(self, now: float) -> bool:
        """Whether the client has taken too long, by the clock that is never set."""
        if self.lingering_until is not None:
            return now > self.lingering_until
        return (
            not self.requests
            and self.request_begun is not None
            and now - self.request_begun > REQUEST_SECONDS
        )


class Dispatcher(ThreadedTaskDispatcher):
    """Workers. Each takes a connection whose next request is complete."""

    def shutdown(self, cancel_pending: bool = True, timeout: float = 0) -> bool:  # noqa: FBT001, FBT002 -- its signature
        """End the workers, without waiting for one that is still at work."""
        return bool(super().shutdown(cancel_pending, timeout))


class Server(BaseWSGIServer):
    """Serves an application on one socket until it is told to stop."""

    channel_class = Channel

    def __init__(self, application: Any, listening: socket.socket, *, largest_body: int) -> None:
        # It writes paths and texts of errors, and a line for each request that waits.
        logging.getLogger("waitress").setLevel(logging.CRITICAL + 1)
        _allow_files(CONNECTIONS + _SPARE_FILES)
        self._stopping: float | None = None
        self._at_most_held = 0
        self._at_once = Dispatcher()
        self._at_once.set_thread_count(1)
        workers = Dispatcher()
        workers.set_thread_count(WORKERS)
        in_memory = 64 * 1024 * 1024  # more than any body has: no file is ever written
        super().__init__(
            application,
            map={},
            dispatcher=workers,
            adj=Adjustments(
                sockets=[listening],
                threads=WORKERS,
                connection_limit=CONNECTIONS,
                asyncore_use_poll=True,
                # Counted as sent, with the lines between chunks; the routes count what is in them.
                max_request_body_size=largest_body * 9 // 8,
                max_request_header_size=64 * 1024,
                inbuf_overflow=in_memory,
                outbuf_overflow=in_memory,
                outbuf_high_watermark=in_memory,
                channel_timeout=IDLE_SECONDS,
                cleanup_interval=1,
                backlog=1024,
                log_socket_errors=False,
                clear_untrusted_proxy_headers=False,  # the gateway knows whom to trust
                ident=None,
            ),
            sockinfo=(listening.family, listening.type, listening.proto, ()),
            bind_socket=False,
            _sock=listening,
        )

    def getsockname(self) -> tuple[str, str]:
        """Return what the environment of a request says of the server, which nothing reads."""
        return "draugar", "0"

    def set_socket_options(self, conn: socket.socket) -> None:
        """Send answers at once."""
        if conn.family != socket.AF_UNIX:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fix_addr(self, addr: Any) -> tuple[str, Any]:
        """Return the peer's address and port."""
        return (addr[0], addr[1]) if isinstance(addr, tuple) else (UNIX, None)

    def add_task(self, task: Channel) -> None:
        """Give a request to a worker, and one that needs no database to a worker of its own."""
        request = task.requests[0]
        needs_none = request.error or target(request.request_uri)[0] == NEEDS_NO_DATABASE
        (self._at_once if needs_none else self.task_dispatcher).add_task(task)

    def maintenance(self, now: float) -> None:
        """Close connections that have been idle for long, or whose client is too slow."""
        super().maintenance(now)
        self.bound_memory()
        for channel in list(self.active_channels.values()):
            if channel.is_late(time.monotonic()):
                channel.lingers = False
                channel.will_close = True

    def count(self, received: int) -> None:
        """Count what was received, and look at what is held before it can be too much."""
        self._at_most_held += received
        if self._at_most_held > HELD_BYTES:
            self.bound_memory()

    def bound_memory(self) -> None:
        """Give the clients up that hold most, while too much is held."""
        held = {channel: channel.held for channel in list(self.active_channels.values())}
        total = sum(held.values())
        if total > HELD_BYTES:
            # Some more, or the next bytes would have it all counted again.
            for channel in sorted(held, key=held.__getitem__, reverse=True):
                if total <= HELD_BYTES * 7 // 8:
                    break
                if channel.can_be_given_up:
                    channel.give_up()
                    total -= held[channel]
        self._at_most_held = total

    def stop(self) -> None:
        """Accept no more connections, and end when those that are open have been answered.

        For a handler of signals: the thread that serves does the work.
        """
        if self._stopping is None:
            self._stopping = time.monotonic() + STOPPING_SECONDS
            self.pull_trigger()

    def serve(self, look_around: Callable[[], None]) -> None:
        """Serve until `stop` is called, calling `look_around` once a second or more often."""
        while self._stopping is None:
            self._turn(1)
            look_around()
        # Clients that the system has accepted already are answered too: each is taken, and read.
        known = -1
        while known != len(self.active_channels):
            known = len(self.active_channels)
            self.handle_accept()
        self.accepting = False
        self.del_channel()
        self.socket.close()
        self._turn(0)
        while time.monotonic() < self._stopping:
            for channel in list(self.active_channels.values()):
                if channel.is_idle or channel.lingering_until is not None:
                    channel.lingers = False
                    channel.handle_close()
            if not self.active_channels:
                break
            self._turn(0.1)
        self._at_once.shutdown()
        self.task_dispatcher.shutdown()
        wasyncore.close_all(self._map, ignore_all=True)

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)


class Address(NamedTuple):
    """Where the server listens: at a path, or at a host and a port."""

    path: str | None
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `127.0.0.1:8000`, `[::1]:8000` or `unix:/path`. Raises ValueError."""
        if text.startswith("unix:/"):
            return cls(text.removeprefix("unix:"), "", 0)
        host, _, port = text.rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
            raise ValueError(text)
        is_v6 = host.startswith("[") and host.endswith("]")
        if not is_v6 and ":" in host:
            raise ValueError(text)
        return cls(None, host[1:-1] if is_v6 else host, int(port))

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def listen(self) -> socket.socket:
        """Return a socket that listens there. Raises OSError."""
        if self.path is None:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            return socket.create_server((self.host, self.port), family=family, backlog=1024)
        return _listen_at(self.path)


def _listen_at(path: str) -> socket.socket:
    """Listen at a path that the owner's group may use too, such as a proxy. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as other:
        in_use = other.connect_ex(path) == 0
    if in_use:
        raise FileExistsError(17, "another service listens there")
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(Path(path).stat().st_mode):  # one that a killed service has left
            Path(path).unlink()
    made = socket.socket(socket.AF_UNIX)
    made.bind(path)
    Path(path).chmod(0o660)
    made.listen(1024)
    return made


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
