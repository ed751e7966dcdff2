"""The warm function against psycopg 3, which runs the same statement and does nothing else.

Ours is everything from API Gateway's event to the response: routing, checks, the caller, the
statement, JSON, headers, the log. Theirs is one prepared statement with its parameters and its
row read, by C code on libpq. Both go through one relay, which adds what it is told to every round
trip and a little of its own: that is what a SELECT 1 shows.
"""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from statistics import median
from typing import IO, Any

import psycopg

from bench.figures import Figure, interleaved, ratio
from bench.scene import Act, Handler, Performer, Scene, scene
from tests.factories import plain_point, point_id
from tests.relay import Relay, relay_process

POST, LATEST, NOTHING = "POST /api/locations", "GET /api/locations/latest", "SELECT 1"
THEIRS = "psycopg 3, prepared"

# The most that ours may take, in theirs, by milliseconds added to a round trip.
BOUNDS = {
    "prepared": {0: 1.75, 2: 1.20, 10: 1.06},
    "unprepared": {0: 2.8, 2: 1.47, 10: 1.12},
}
_SWITCH = {"prepared": "on", "unprepared": "off"}


def run(*, full: bool) -> list[Figure]:
    """Measure both routes at every distance, prepared and not."""
    with scene() as family:
        return [
            figure
            for distance in (0, 2, 10)
            for figure in _at(family, distance, 60 if full else 15)
        ]


def ours(token: str) -> dict[str, Act]:
    """Return the function's two hot routes."""
    handler = Handler(token)

    def post() -> dict[str, Any]:
        return handler.event("POST", "/api/locations", json.dumps(plain_point()))

    def latest() -> dict[str, Any]:
        return handler.event("GET", "/api/locations/latest")

    return {POST: Act(post, handler), LATEST: Act(latest, handler)}


def theirs(token: str, url: str) -> dict[str, Act]:
    """Return the statements of the two routes, as the function sends them, under psycopg."""
    from chalicelib.db.engine import engine  # noqa: PLC0415 -- it reads the settings of this process

    messages: list[bytes] = []
    point = plain_point()
    with Relay(url, on_message=messages.append) as relay:
        os.environ["DATABASE_URL"] = relay.url
        handler = Handler(token)
        with engine().connect() as ours_connected:
            planning = ours_connected.exec_driver_sql("SHOW plan_cache_mode").scalar_one()
        messages.clear()
        handler(handler.event("POST", "/api/locations", json.dumps(point)))
        handler(handler.event("GET", "/api/locations/latest"))
        engine().dispose()
    (store, stored), (latest, asked) = _statements(messages)
    connection = psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=0,
        cursor_factory=psycopg.RawCursor,  # which takes $1, $2, … and so the text as it is
        options=f"-c plan_cache_mode={planning}",  # or the plans would be compared
    )

    def new_point() -> list[str | None]:
        new = point_id()
        return [value and value.replace(point["id"], new) for value in stored]

    def execute(statement: str, parameters: list[str | None]) -> None:
        if connection.execute(statement, parameters).fetchone() is None:
            raise RuntimeError("There is always a row.")

    return {
        POST: Act(new_point, partial(execute, store)),
        LATEST: Act(lambda: asked, partial(execute, latest)),
        NOTHING: Act(list, partial(execute, NOTHING)),
    }


def _statements(messages: list[bytes]) -> list[tuple[str, list[str | None]]]:
    """Read each statement's text and parameters off its Parse and Bind messages."""
    texts = [message[5:].split(b"\0")[1].decode() for message in messages if message[:1] == b"P"]
    values = [
        _values(BytesIO(message[5:].split(b"\0", 2)[2]))
        for message in messages
        if message[:1] == b"B"
    ]
    return list(zip(texts, values, strict=True))


def _values(bind: IO[bytes]) -> list[str | None]:
    """Read the parameters of a Bind message, from its formats on, which have to be text."""

    def number(size: int) -> int:
        return int.from_bytes(bind.read(size), signed=True)

    if any(number(2) for _ in range(number(2))):
        raise ValueError("A parameter is in binary form.")
    return [None if (size := number(4)) < 0 else bind.read(size).decode() for _ in range(number(2))]


def _at(family: Scene, distance: int, rounds: int) -> list[Figure]:
    """Measure at so many milliseconds added to a round trip."""
    token = family.tokens[0]
    with ExitStack() as stack:
        url = stack.enter_context(relay_process(family.url, delay=distance / 1000))
        performers = {
            variant: stack.enter_context(
                Performer(
                    ours,
                    token,
                    environment=family.environment(url, DATABASE_PREPARED_STATEMENTS=switch),
                )
            )
            for variant, switch in _SWITCH.items()
        }
        performers[THEIRS] = stack.enter_context(
            Performer(theirs, token, url, environment=family.environment(url))
        )
        nothing = interleaved(
            {NOTHING: partial(performers[THEIRS].time, NOTHING, 10)}, rounds=rounds
        )
        return [
            Figure(
                section="warm",
                name=f"{NOTHING} by psycopg, at {distance} ms per round trip",
                value=median(nothing[NOTHING]),
                unit="ms",
            ),
            *(
                figure
                for route in (POST, LATEST)
                for figure in _compared(route, distance, performers, rounds)
            ),
        ]


def _compared(
    route: str, distance: int, performers: Mapping[str, Performer], rounds: int
) -> list[Figure]:
    for performer in performers.values():
        performer.time(route, 20)  # connected, prepared, compiled
    times = interleaved(
        {variant: partial(performer.time, route, 10) for variant, performer in performers.items()},
        rounds=rounds,
    )
    return [
        Figure(
            section="warm",
            name=f"{route}, {variant}, at {distance} ms per round trip",
            value=median(times[variant]),
            unit="ms",
            against=THEIRS,
            baseline=median(times[THEIRS]),
            ratio=ratio(times, variant, THEIRS),
            at_most=bound[distance],
        )
        for variant, bound in BOUNDS.items()
    ]
