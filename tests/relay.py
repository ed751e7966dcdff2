"""A relay between PostgreSQL's clients and its server, which counts, delays and speaks TLS.

    with Relay(url, directory=tmp_path) as relay:
        statements, round_trips = relay.count(lambda: request(relay.url))

It is a thread of the process that enters it. What is timed should not share an interpreter with
it: `relay_process` runs one in a process of its own, and so does a terminal:

    python -m tests.relay --target postgresql://postgres@localhost/draugar --delay 0.002
"""

import argparse
import math
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self, cast
from urllib.parse import quote

from chalicelib.settings import DatabaseAddress
from scripts.postgres import SOCKET

STATEMENTS = frozenset(b"PQ")
"""The types of the messages Parse and Query."""

TLS_REQUEST = struct.pack("!ii", 8, 80877103)
NEGOTIATIONS = frozenset({80877103, 80877104})
"""The codes of the requests for TLS and GSSAPI, after which the start-up message is still due."""

PROJECT = Path(__file__).parents[1]

_CHUNK = 1 << 18  # bytes


class Relay:
    """A relay to the server of `url`, reached by `self.url` while its context lasts.

    It listens on a Unix socket in `directory`, or on a TCP port of 127.0.0.1. `delay` is how many
    seconds it adds to a round trip, half on each way; bytes on their way hold up no others. With
    `tls` it answers a client's request for TLS and talks to the server in the clear; without, it
    passes the request on. `on_message` is called with each message of a client, whole.

    Counted, since the beginning and over all connections, are `connections`; `round_trips`: how
    often a client spoke, whatever it was (a start, a handshake, a BEGIN), after something had
    been delivered to it; and `statements`: Parse and Query messages, as the server reads them, so
    BEGIN is one when it is sent as a message of its own. A server's own TLS hides them.
    """

    def __init__(
        self,
        url: str,
        *,
        directory: Path | None = None,
        delay: float = 0,
        tls: ssl.SSLContext | None = None,
        on_message: Callable[[bytes], object] | None = None,
    ) -> None:
        self.connections = self.round_trips = self.statements = 0
        self.way = delay / 2
        self.tls = tls
        self.on_message = on_message
        self._target = DatabaseAddress.parse(url)
        self._directory = directory
        self._conversations: set[_Conversation] = set()

    def __enter__(self) -> Self:
        if self._directory is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._directory / SOCKET))
            self._listener.listen(128)
        self.url = self._url()
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join()
        for conversation in self._conversations:
            conversation.close()
        self._ended.close()
        self._listener.close()
        if self._directory is not None:
            (self._directory / SOCKET).unlink()

    def count(self, request: Callable[[], object]) -> tuple[int, int]:
        """Return the (statements, round trips) of a request."""
        before = self.statements, self.round_trips
        request()
        return self.statements - before[0], self.round_trips - before[1]

    def _url(self) -> str:
        user, password = self._target.user, self._target.password
        who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        database = quote(self._target.database, safe="")
        if self._directory is not None:
            return f"postgresql://{who}@/{database}?host={quote(str(self._directory), safe='')}"
        return f"postgresql://{who}@localhost:{self._listener.getsockname()[1]}/{database}"

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            lanes = [lane for conversation in self._conversations for lane in conversation.lanes]
            next_due = min((lane.due for lane in lanes if lane.due > now), default=math.inf)
            # Not a selector: most of them round a wait up to the next millisecond.
            readable, _, _ = select.select(
                [
                    self._ended,
                    self._listener,
                    *(lane.source for lane in lanes if not lane.has_ended),
                ],
                [lane.sink for lane in lanes if lane.due <= now],
                [],
                None if next_due == math.inf else next_due - now,
            )
            if self._ended in readable:
                return
            for conversation in [*self._conversations]:
                try:
                    conversation.go_on(readable)
                except (OSError, EOFError):
                    conversation.close()
                    self._conversations.remove(conversation)
            if self._listener in readable:
                self._accept()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.connections += 1
        try:
            if self._target.socket is None:
                server = socket.create_connection((self._target.host, self._target.port))
            else:
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target.socket)
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.settimeout(0)
            if end.family != socket.AF_UNIX:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._conversations.add(_Conversation(self, client, server))


class _Conversation:
    """One connection of a client, and the one to the server that belongs to it.

    TLS is spoken at the server's end: what it answers by itself has been on both ways.
    """

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay = relay
        self._to_server = _Lane(client, server)
        self._to_client = _Lane(server, client)
        self.lanes = self._to_server, self._to_client
        self._messages = _Messages()
        self._tls: _Tls | None = None
        self._server_spoke_last = True

    def go_on(self, readable: list[socket.socket]) -> None:
        """Read what has come and send what is due; OSError and EOFError are the end."""
        now = time.monotonic()
        if self._to_server.source in readable:
            self._hear_client(self._to_server.source.recv(_CHUNK), now)
        if self._to_client.source in readable:
            self._hear_server(self._to_client.source.recv(_CHUNK), now)
        self._to_server.send(now)
        self._server_spoke_last |= self._to_client.send(now)

    def close(self) -> None:
        """Hang up on both sides."""
        for lane in self.lanes:
            lane.sink.close()

    def _hear_client(self, data: bytes, now: float) -> None:
        there, back = now + self._relay.way, now + 2 * self._relay.way
        if not data:
            self._to_server.end(there)
            return
        self._relay.round_trips += self._server_spoke_last
        self._server_spoke_last = False
        if self._relay.tls and data == TLS_REQUEST:  # whoever sends it waits, so it comes alone
            self._tls = _Tls(self._relay.tls)
            self._to_client.put(b"S", back)
            return
        if self._tls:
            data, answer = self._tls.open(data)
            self._to_client.put(answer, back)
        for message in self._messages.completed_by(data):
            self._relay.statements += message[0] in STATEMENTS
            if self._relay.on_message:
                self._relay.on_message(message)
        self._to_server.put(data, there)

    def _hear_server(self, data: bytes, now: float) -> None:
        back = now + self._relay.way
        if data:
            self._to_client.put(self._tls.seal(data) if self._tls else data, back)
        else:
            self._to_client.end(back)


class _Lane:
    """The way from one socket to another: chunks in their order, each with the time it is due."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.has_ended = False
        self._chunks: deque[tuple[float, bytes]] = deque()

    @property
    def due(self) -> float:
        """When there is something to send, on the monotonic clock."""
        return self._chunks[0][0] if self._chunks else math.inf

    def put(self, data: bytes, due: float) -> None:
        """Send this when it is due."""
        if data:
            self._chunks.append((due, data))

    def end(self, due: float) -> None:
        """Hang up when everything has been sent."""
        self.has_ended = True
        self._chunks.append((due, b""))

    def send(self, now: float) -> bool:
        """Send what is due, as far as the sink takes it; return whether it took anything."""
        has_sent = False
        while self.due <= now:
            due, data = self._chunks[0]
            if not data:
                raise EOFError
            try:
                sent = self.sink.send(data)
            except BlockingIOError:
                break
            has_sent = True
            self._chunks.popleft()
            if sent < len(data):
                self._chunks.appendleft((due, data[sent:]))
        return has_sent


class _Tls:
    """The server's side of TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._received, self._to_send, server_side=True)

    def open(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what the client says, and what is to be answered before the server says more."""
        self._received.write(data)
        said = []
        with suppress(ssl.SSLWantReadError):
            while chunk := self._session.read(_CHUNK):  # which shakes hands first
                said.append(chunk)
        return b"".join(said), self._to_send.read()

    def seal(self, data: bytes) -> bytes:
        """Return what the server says, as the client can read it."""
        self._session.write(data)
        return self._to_send.read()


class _Messages:
    """The stream of a client, cut into messages: a type, four bytes of length, a body."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._has_started = False  # what starts a connection has no type

    def completed_by(self, data: bytes) -> Iterator[bytes]:
        """Return the messages that this data completes, without those that start a connection."""
        self._unread += data
        while True:
            head = int(self._has_started)
            length = int.from_bytes(self._unread[head : head + 4]) + head
            if len(self._unread) < max(length, head + 4):
                return
            message = bytes(self._unread[:length])
            del self._unread[:length]
            if self._has_started:
                yield message
            else:
                self._has_started = int.from_bytes(message[4:8]) not in NEGOTIATIONS


@contextmanager
def relay_process(url: str, *, delay: float = 0) -> Iterator[str]:
    """Run a relay in a process of its own, and give the URL of the database through it."""
    command = [sys.executable, "-m", "tests.relay", "--target", url, "--delay", str(delay)]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield cast("IO[str]", process.stdout).readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """Print the URL through the relay, and relay until standard input is closed."""
    parser = argparse.ArgumentParser(prog="python -m tests.relay", description=main.__doc__)
    parser.add_argument("--target", required=True, help="the database's URL")
    parser.add_argument("--delay", type=float, default=0, help="seconds added to a round trip")
    arguments = parser.parse_args()
    with Relay(arguments.target, delay=arguments.delay) as relay:
        sys.stdout.write(f"{relay.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
