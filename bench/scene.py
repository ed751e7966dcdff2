"""What is measured on: a family with a database of its own, and processes that call and time.

A process has one scene, for it reads its settings once; `python -m bench` therefore runs every
section in a process of its own.
"""

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID

from chalice.local import LambdaContext, LambdaEventConverter, RouteMatcher
from sqlalchemy import text
from sqlalchemy.orm import Session

from scripts.postgres import Postgres
from tests import factories

_context = get_context("spawn")

_WALKS = text("""
INSERT INTO locations
    (group_id, user_id, recorded_at, id, device_id, latitude, longitude, accuracy)
SELECT group_id, user_id, uuid_time(id), id, device_id, 64.1466, -21.9426, 12.5
FROM (
    SELECT m.group_id, m.user_id, d.id AS device_id, new_id(now() - n * interval '5 minutes') AS id
    FROM generate_series(1, :each) n, group_members m JOIN devices d ON d.user_id = m.user_id
) point
""")


@dataclass(frozen=True)
class Scene:
    """A migrated database, and a group of four people in it who have been about for days.

    The group's encryption is optional. `tokens` are those of the people's devices.
    """

    url: str
    pepper: str
    group_id: UUID
    tokens: list[str]

    def environment(self, url: str | None = None, **settings: str) -> dict[str, str]:
        """Return what the service's environment says, where `url` is the way to the database."""
        return {"DATABASE_URL": url or self.url, "INVITE_CODE_PEPPER": self.pepper} | settings


@contextmanager
def scene(*, points: int = 4000) -> Iterator[Scene]:
    """Set the scene on a throwaway server, which does not wait for its disk."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Postgres(Path(directory, "postgres"), durable=False) as server,
    ):
        url, pepper = server.url("draugar"), secrets.token_urlsafe(32)
        os.environ |= {"DATABASE_URL": url, "INVITE_CODE_PEPPER": pepper}
        # They read the settings made above.
        from chalicelib.db.engine import migration_engine  # noqa: PLC0415
        from chalicelib.jobs.migrate import migrate  # noqa: PLC0415

        migrate({}, None)
        engine = migration_engine()
        with Session(engine) as session:
            people = [
                factories.someone(session, name=name) for name in ("Una", "Ari", "Sif", "Jón")
            ]
            group_id = factories.group(session, *people)
            session.execute(_WALKS, {"each": points // len(people)})
            session.commit()
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(
                text("VACUUM ANALYZE")
            )
        yield Scene(url, pepper, group_id, [who.token for who in people])


class Handler:
    """The warm function, called as Lambda calls it: API Gateway's event in, its response out.

    Made in a process that has the settings; it imports the app.
    """

    def __init__(self, token: str) -> None:
        from app import app  # noqa: PLC0415 -- it reads the settings of this process

        self._app = app
        self._converter = LambdaEventConverter(RouteMatcher(list(app.routes)))
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._context = LambdaContext("api", memory_size=1024)

    def event(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        """Make the event of a request; `body` is JSON."""
        event = self._converter.create_lambda_event(method, path, self._headers)
        return event | {"body": body, "isBase64Encoded": False}

    def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        """Serve the request, which has to succeed."""
        response: dict[str, Any] = self._app(event, self._context)
        if response["statusCode"] != 200:  # noqa: PLR2004 -- HTTP's
            raise RuntimeError(response["body"])
        return response


class Act(NamedTuple):
    """Something to time: `do`, with what `make` has made before."""

    make: Callable[[], Any]
    do: Callable[[Any], object]


class Performer:
    """A process of its own that makes calls, and times them itself, when it is told to.

    There `prepare(*arguments)` returns its acts by name, in an `environment` that is added to
    this one's. What it prints goes nowhere, as a function's log does.
    """

    def __init__(
        self,
        prepare: Callable[..., Mapping[str, Act]],
        *arguments: object,
        environment: Mapping[str, str],
    ) -> None:
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_perform, args=(theirs, prepare, arguments, environment), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()

    def time(self, name: str, calls: int) -> float:
        """Make calls one after another; return milliseconds per call."""
        self._pipe.send((name, calls))
        milliseconds: float = self._pipe.recv()
        return milliseconds


def _perform(
    pipe: Pipe,
    prepare: Callable[..., Mapping[str, Act]],
    arguments: tuple[object, ...],
    environment: Mapping[str, str],
) -> None:
    os.environ |= environment
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        acts = prepare(*arguments)
        while True:
            try:
                name, calls = pipe.recv()
            except EOFError:
                return
            inputs = [acts[name].make() for _ in range(calls)]
            do = acts[name].do
            begun = time.perf_counter()
            for given in inputs:
                do(given)
            pipe.send((time.perf_counter() - begun) * 1000 / calls)
