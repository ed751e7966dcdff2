"""How often each request goes to the database and back: `.venv/bin/python -m bench.round_trips`.

Counted at the socket, by a relay between the service and a PostgreSQL of its own. A round trip
begins whenever the service speaks after the server has; a statement is a Parse or Query message.
"""

import os
import secrets
import selectors
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.postgres import SOCKET, Postgres

STATEMENTS = frozenset(b"PQ")


class Relay:
    """A Unix socket in `directory` that passes everything on to another, and counts."""

    def __init__(self, directory: Path, target: str) -> None:
        self.round_trips = self.statements = 0
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / SOCKET))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, request: Callable[[], object]) -> tuple[int, int]:
        """Return the (statements, round trips) of a request."""
        before = self.statements, self.round_trips
        request()
        return self.statements - before[0], self.round_trips - before[1]

    def _accept(self) -> None:
        while True:
            service, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            threading.Thread(target=self._pass_on, args=(service, server), daemon=True).start()

    def _pass_on(self, service: socket.socket, server: socket.socket) -> None:
        waiting, messages = selectors.DefaultSelector(), Messages()
        waiting.register(service, selectors.EVENT_READ)
        waiting.register(server, selectors.EVENT_READ)
        server_spoke_last = True
        while True:
            # The server first: whatever it has said, it said before the service went on.
            ready = sorted(waiting.select(), key=lambda key: key[0].fileobj is service)
            for key, _ in ready:
                from_service = key.fileobj is service
                with suppress(ConnectionError):
                    if data := (service if from_service else server).recv(1 << 20):
                        if from_service:
                            self.round_trips += server_spoke_last
                            self.statements += messages.count(data)
                        server_spoke_last = not from_service
                        (server if from_service else service).sendall(data)
                        continue
                service.close()
                server.close()
                return


class Messages:
    """The stream of a client, cut into messages: a type, four bytes of length, a body."""

    def __init__(self) -> None:
        self._buffer = b""
        self._is_first = True  # the start-up message has no type

    def count(self, data: bytes) -> int:
        """Return how many statements have been completed by this data."""
        self._buffer += data
        found = 0
        while True:
            head = 0 if self._is_first else 1
            length = int.from_bytes(self._buffer[head : head + 4]) + head
            if len(self._buffer) < max(length, head + 4):
                return found
            found += not self._is_first and self._buffer[0] in STATEMENTS
            self._buffer, self._is_first = self._buffer[length:], False


def main() -> None:
    """Print the table."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Postgres(Path(directory, "postgres"), durable=False) as server,
    ):
        url = server.url("draugar")
        relay = Relay(Path(directory), url.partition("host=")[2].replace("%2F", "/") + "/" + SOCKET)
        os.environ["INVITE_CODE_PEPPER"] = secrets.token_urlsafe(32)
        os.environ["DATABASE_URL"] = f"postgresql://postgres@/draugar?host={directory}"
        for name, request in _requests().items():
            request()
            statements, round_trips = relay.count(request)
            print(f"{name:<24} {statements:>2} statements {round_trips:>3} round trips")


def _requests() -> dict[str, Callable[[], object]]:
    """A family, and what its members ask for. Imports what reads the settings made above."""
    from app import app  # noqa: PLC0415
    from chalicelib.jobs.create_founding_invite import create_founding_invite  # noqa: PLC0415
    from chalicelib.jobs.migrate import migrate  # noqa: PLC0415
    from tests.client import Api  # noqa: PLC0415
    from tests.factories import plain_point  # noqa: PLC0415

    del app
    migrate({}, None)
    founding = create_founding_invite({}, None)["code"]
    group = {"name": "Hearth", "encryption": "optional"}
    joined = Api().post("/api/auth/join", {"code": founding, "name": "Una", "group": group})
    una = Api(joined.json["token"])
    codes = iter([una.post("/api/invites", {}).json["code"] for _ in range(2)])

    def post(body: Any) -> None:
        assert una.post("/api/locations", body).status == 200  # noqa: PLR2004, S101

    return {
        "join": lambda: Api().post("/api/auth/join", {"code": next(codes), "name": "Ari"}),
        "make an invite": lambda: una.post("/api/invites", {}),
        "post 1 point": lambda: post(plain_point()),
        "post 100 points": lambda: post({"locations": [plain_point() for _ in range(100)]}),
        "latest": lambda: una.get("/api/locations/latest"),
        "history, 100 points": lambda: una.get("/api/locations"),
        "me": lambda: una.get("/api/auth/me"),
    }


if __name__ == "__main__":
    main()
