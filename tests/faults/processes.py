"""Processes that each serve as a Lambda function's would, and begin what they are given together.

They commit for real, so they work on a database of their own (`own_database`). They are forked
from a server that has imported everything but settings, and so start in a few milliseconds.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Self, TypeVar

from chalice.app import Chalice
from chalice.local import LambdaContext, LambdaEventConverter, RouteMatcher
from chalice.test import Client

from chalicelib.db import engine
from chalicelib.settings import settings
from tests import contract
from tests.api import Reply
from tests.database import PEPPER, Server

forkserver = get_context("forkserver")
_FEATURES = (
    "auth",
    "devices",
    "docs",
    "export",
    "groups",
    "health",
    "invites",
    "keys",
    "locations",
    "users",
)
forkserver.set_forkserver_preload(
    [
        "alembic.command",
        "chalice.test",
        "draugar.cli.app",
        __name__,
        *(f"chalicelib.{feature}.routes" for feature in _FEATURES),
    ]
)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@contextmanager
def own_database(server: Server, schema: str) -> Iterator[str]:
    """Copy the migrated database, which nobody may be connected to meanwhile; give its URL."""
    engine.engine().dispose()
    with server.database(template=schema) as name:
        yield server.url_of(name)


class Processes:
    """Processes on one database, with `threads` in each.

    Every thread has its own connection, unless `connections` says that they share so many.
    """

    def __init__(
        self, url: str, *, count: int, threads: int = 1, connections: int | None = None
    ) -> None:
        self._gate = forkserver.Barrier(count, timeout=60)
        pipes = [forkserver.Pipe() for _ in range(count)]
        self._pipes = [ours for ours, _ in pipes]
        self._theirs = [theirs for _, theirs in pipes]
        self._processes = [
            forkserver.Process(
                target=_serve,
                args=(url, threads, connections or threads, self._gate, theirs),
                daemon=True,
            )
            for theirs in self._theirs
        ]

    def __enter__(self) -> Self:
        for process, theirs in zip(self._processes, self._theirs, strict=True):
            process.start()
            theirs.close()
        for pipe in self._pipes:
            pipe.recv()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is not None:
            self.kill()
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            if process.is_alive():
                pipe.send(None)
            process.join()
            pipe.close()

    def each(self, function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """Call the function with each of the items, all at once, and return what it returned."""
        self.begin(function, items)
        return self.results()

    def begin(self, function: Callable[[_Item], Any], items: Sequence[_Item]) -> None:
        """Begin the calls and wait for nothing."""
        for first, pipe in enumerate(self._pipes):
            numbers = range(first, len(items), len(self._pipes))
            pipe.send((function, {number: items[number] for number in numbers}))

    def results(self) -> list[Any]:
        """Wait for the calls that were begun, and return what they returned."""
        results: dict[int, Any] = {}
        for pipe in self._pipes:
            results |= pipe.recv()
        return [results[number] for number in range(len(results))]

    def kill(self) -> None:
        """End the processes as a crash would."""
        for process in self._processes:
            process.kill()
            process.join()

    @property
    def exit_codes(self) -> list[int | None]:
        """How the processes have ended."""
        return [process.exitcode for process in self._processes]


@dataclass(frozen=True)
class Call:
    """A request, as API Gateway would pass it on."""

    method: str
    path: str
    body: Any = None
    token: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    address: str = "192.0.2.1"


def perform(call: Call) -> Reply:
    """Send a request to the app of this process."""
    app, converter = _served()
    headers = {"Content-Type": "application/json"} | call.headers
    if call.token is not None:
        headers["Authorization"] = f"Bearer {call.token}"
    body = b"" if call.body is None else json.dumps(call.body).encode()
    event = converter.create_lambda_event(call.method, call.path, headers, body)
    event["requestContext"]["identity"]["sourceIp"] = call.address
    answer = app(event, LambdaContext("api", memory_size=1024))
    reply = Reply(answer["statusCode"], answer["headers"], answer["body"])
    contract.check(call.method, call.path, reply)
    return reply


def perform_patiently(call: Call) -> Reply:
    """Send a request until it is served: after each 503 again, when its answer says."""
    for _ in range(60):
        reply = perform(call)
        if reply.status != 503:
            break
        time.sleep(int(reply.headers["Retry-After"]))
    return reply


def invoke(function: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run a function of this process's app; without a payload, as its schedule would."""
    app, _ = _served()
    client = Client(app)
    if payload is None:
        payload = client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
    answer: dict[str, Any] = client.lambda_.invoke(function, payload).payload
    return answer


@cache
def _served() -> tuple[Chalice, LambdaEventConverter]:
    from app import app  # noqa: PLC0415 -- it reads the settings of this process

    return app, LambdaEventConverter(RouteMatcher(list(app.routes)))


def _serve(url: str, threads: int, connections: int, gate: Barrier, pipe: Pipe) -> None:
    os.environ["DATABASE_URL"] = url
    os.environ["INVITE_CODE_PEPPER"] = PEPPER
    own = replace(settings(), pool_size=connections)
    engine.settings = lambda: own  # type: ignore[assignment, attr-defined]
    _served()
    contract.document()  # here, for it is not made by several threads at once
    pipe.send("ready")
    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        ThreadPoolExecutor(threads) as pool,
    ):
        while (work := pipe.recv()) is not None:
            function, items = work
            gate.wait()
            pipe.send(dict(zip(items, pool.map(function, items.values()), strict=True)))
