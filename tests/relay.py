"""A relay between PostgreSQL's clients and its server: it counts, delays, loses and speaks TLS.

    with Relay(url, directory=tmp_path) as relay:
        statements, round_trips = relay.count(lambda: request(relay.url))
        with relay.breaking_off(after=7, by=Ending.RST):
            request(relay.url)

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
from dataclasses import dataclass
from enum import Enum, Flag, auto
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
_NOTHING = b"."
_AT_ONCE = struct.pack("ii", 1, 0)  # do not linger: a close is a reset then


class Way(Flag):
    """Which way something goes."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


class Ending(Enum):
    """How a connection ends for a client. In silence it stays open, and nothing comes any more."""

    FIN = b"F"
    RST = b"R"
    SILENCE = b"S"


@dataclass(eq=False)
class Break:
    """An answer that breaks off: so many more bytes come on a connection, and then it ends.

    With `after=0` that is when the first byte would come, so the server has done its work. Noted
    is how many bytes have `passed`, on all connections, and how many that had come were `lost`.
    """

    after: int
    by: Ending
    passed: int = 0
    lost: int = 0


class Relay:
    """A relay to the server of `url`, reached by `self.url` while its context lasts.

    It listens on a Unix socket in `directory`, or on a TCP port of 127.0.0.1. `delay` is how many
    seconds it adds to a round trip, half on each way; bytes on their way hold up no others. With
    `tls` it answers a client's request for TLS and talks to the server in the clear; without, it
    passes the request on. `on_message` is called with each message of a client, whole.

    While it runs, anybody may set `way`, how many seconds it adds on each way; `trickle`, how
    many seconds lie between two bytes of an answer, which then come one by one; and `drops`,
    which ways nothing passes, not even an end. A way that has lost something stays silent: what
    TCP cannot deliver it does not leave out.

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
        self.trickle: float = 0
        self.drops = Way(0)
        self.breaking: Break | None = None
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

    @contextmanager
    def breaking_off(self, after: int, by: Ending) -> Iterator[Break]:
        """Let answers break off for a while; which connections that has ended is seen then."""
        self.breaking = breaking = Break(after, by)
        try:
            yield breaking
        finally:
            self.breaking = None
            self._order(_NOTHING)

    def end_all(self, by: Ending) -> None:
        """End the connections that there are, for both sides unless it is in silence."""
        self._order(by.value)

    def _order(self, order: bytes) -> None:
        """Wait until the relay has done this, and whatever it was about to do."""
        self._end.sendall(order)
        self._end.recv(1)

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
            order = self._ended.recv(1) if self._ended in readable else _NOTHING
            if not order:
                return
            for conversation in [*self._conversations]:
                try:
                    conversation.go_on(readable)
                except (OSError, EOFError):
                    conversation.close()
                    self._conversations.remove(conversation)
            if self._listener in readable:
                self._accept()
            if self._ended in readable:
                self._obey(order)

    def _obey(self, order: bytes) -> None:
        if order != _NOTHING:
            for conversation in self._conversations:
                conversation.end(Ending(order))
            self._conversations = {each for each in self._conversations if not each.has_ended}
        self._ended.sendall(order)

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
        self._ending = Ending.FIN
        self._breaking: Break | None = None
        self._told = 0  # bytes, since `_breaking` was set

    def go_on(self, readable: list[socket.socket]) -> None:
        """Read what has come and send what is due; OSError and EOFError are the end."""
        now = time.monotonic()
        if self._to_server.source in readable:
            self._hear_client(self._to_server.source.recv(_CHUNK), now)
        if self._to_client.source in readable:
            self._hear_server(self._to_client.source.recv(_CHUNK), now)
        self._to_server.send(now)
        self._server_spoke_last |= self._to_client.send(now)

    @property
    def has_ended(self) -> bool:
        """Whether both sides know the end."""
        return self._to_client.sink.fileno() < 0

    def end(self, by: Ending) -> None:
        """End it at once, in this way."""
        self._ending = by
        if by is Ending.SILENCE:
            for lane in self.lanes:
                lane.is_silent = True
        else:
            self.close()

    def close(self) -> None:
        """Hang up on both sides."""
        if self._ending is Ending.RST:
            self._to_client.sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        for lane in self.lanes:
            lane.sink.close()

    def _hear_client(self, data: bytes, now: float) -> None:
        there, back = now + self._relay.way, now + 2 * self._relay.way
        self._to_server.is_silent |= Way.TO_SERVER in self._relay.drops
        if self._to_server.is_silent:
            self._to_server.has_ended |= not data
            return
        if not data:
            self._to_server.end(there)
            return
        self._relay.round_trips += self._server_spoke_last
        self._server_spoke_last = False
        if self._relay.tls and data == TLS_REQUEST:  # whoever sends it waits, so it comes alone
            self._tls = _Tls(self._relay.tls)
            self._tell_client(b"S", back)
            return
        if self._tls:
            data, answer = self._tls.open(data)
            self._tell_client(answer, back)
        for message in self._messages.completed_by(data):
            self._relay.statements += message[0] in STATEMENTS
            if self._relay.on_message:
                self._relay.on_message(message)
        self._to_server.put(data, there)

    def _hear_server(self, data: bytes, now: float) -> None:
        back = now + self._relay.way
        if data:
            self._tell_client(self._tls.seal(data) if self._tls else data, back)
        else:
            self._to_client.end(back)

    def _tell_client(self, data: bytes, due: float) -> None:
        self._to_client.is_silent |= Way.TO_CLIENT in self._relay.drops
        breaking = self._relay.breaking
        if breaking is not self._breaking:
            self._breaking, self._told = breaking, 0
        passed = data if breaking is None else data[: breaking.after - self._told]
        self._told += len(passed)
        if step := self._relay.trickle:
            for number in range(len(passed)):
                self._to_client.put(passed[number : number + 1], due + number * step)
        else:
            self._to_client.put(passed, due)
        if breaking is None:
            return
        breaking.passed += len(passed)
        breaking.lost += len(data) - len(passed)
        if data and self._told == breaking.after:
            self._ending = breaking.by
            if breaking.by is Ending.SILENCE:
                self._to_client.is_silent = True
            else:
                self._to_client.end(due)


class _Lane:
    """The way from one socket to another: chunks in their order, each with the time it is due.

    When it is silent, what is put on it is lost.
    """

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.has_ended = self.is_silent = False
        self._chunks: deque[tuple[float, bytes]] = deque()

    @property
    def due(self) -> float:
        """When there is something to send, on the monotonic clock."""
        return self._chunks[0][0] if self._chunks else math.inf

    def put(self, data: bytes, due: float) -> None:
        """Send this when it is due."""
        if data and not self.is_silent:
            self._chunks.append((due, data))

    def end(self, due: float) -> None:
        """Hang up when everything has been sent."""
        self.has_ended = True
        if not self.is_silent:
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
