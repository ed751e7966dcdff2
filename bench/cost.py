"""What the processor does while a warm request is served: `python -m bench.cost`.

Functions at the borders between layers are wrapped while it is measured, and each layer is given
the time of this thread's processor that passes between its borders. What the clocks themselves
take is measured the same way and taken off. Run by itself it also prints a profile, whose times
are not those of the table: a profiler makes calls dear and leaves C code cheap.
"""

import cProfile
import inspect
import json
import os
import pstats
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.figures import Figure
from bench.scene import Handler, scene
from tests.factories import plain_point

KERNEL = "sending and receiving"
LAYERS = {
    "Chalice, and what we put around a route": ["chalice.app:Chalice.__call__"],
    "token, checking of body and query": ["chalicelib.web.contract:Contract.arguments"],
    "reading of JSON": ["chalicelib.web.body:read_json"],
    "service": ["chalicelib.locations.service:store", "chalicelib.locations.service:latest"],
    "SQLAlchemy's pool": [
        "sqlalchemy.engine:Engine.raw_connection",
        "sqlalchemy.pool.base:_ConnectionFairy.close",
    ],
    "statement": ["chalicelib.db.transaction:OneStatement.execute"],
    "driver": ["chalicelib.db.wire:Connection.run_alone"],
    KERNEL: ["socket:socket.sendall", "socket:socket.recv_into"],
    "answer": [
        "chalicelib.locations.schemas:StoredAnswer.of",
        "chalicelib.locations.schemas:LatestAnswer.of",
        "chalicelib.web.endpoint:_success",
    ],
    "log": ["chalicelib.web.log:request"],
}
_OUTSIDE = ""
_FUNCTIONS_SHOWN = 25


class Clock:
    """Gives the time that passes to whichever layer is running."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.cpu: Counter[str] = Counter()  # nanoseconds
        self.wall: Counter[str] = Counter()
        self._running = [_OUTSIDE]
        self._cpu, self._wall = time.thread_time_ns(), time.perf_counter_ns()

    def wrap(self, layer: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is called across the border of its layer."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self.calls[self._running[-1], layer] += 1
            self._running.append(layer)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._running.pop()

        return timed

    def _turn(self) -> None:
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        self.cpu[self._running[-1]] += cpu - self._cpu
        self.wall[self._running[-1]] += wall - self._wall
        self._cpu, self._wall = cpu, wall


def run(*, full: bool) -> list[Figure]:
    """Split the processor time of the two hot requests."""
    return _measured(3000 if full else 600)


def _measured(count: int, profile: cProfile.Profile | None = None) -> list[Figure]:
    with scene() as family, Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        handler = Handler(family.tokens[0])

        def post() -> dict[str, Any]:
            return handler.event("POST", "/api/locations", json.dumps(plain_point()))

        def latest() -> dict[str, Any]:
            return handler.event("GET", "/api/locations/latest")

        figures = [
            figure
            for name, make in (("post 1 point", post), ("latest", latest))
            for figure in _split(name, handler, make, count)
        ]
        if profile is not None:
            events = [post() for _ in range(count)]
            with profile:
                for event in events:
                    handler(event)
        return figures


def _split(
    name: str, handler: Handler, make: Callable[[], dict[str, Any]], count: int
) -> Iterator[Figure]:
    for _ in range(50):
        handler(make())  # connected, prepared, compiled
    events = [make() for _ in range(count)]
    clock = Clock()
    with _borders(clock):
        for event in events:
            handler(event)
    inside, around = _own_cost()
    spent = {
        layer: clock.cpu[layer]
        - sum(calls * inside for (_, to), calls in clock.calls.items() if to == layer)
        - sum(calls * around for (by, _), calls in clock.calls.items() if by == layer)
        for layer in LAYERS
    }
    whole = sum(spent.values())
    for layer, nanoseconds in {"all": whole, **spent}.items():
        yield Figure(
            section="cost",
            name=f"{name}: {layer}",
            value=nanoseconds / count / 1000,
            unit="µs",
            against="all",
            baseline=whole / count / 1000,
            ratio=nanoseconds / whole,
        )
    yield Figure(
        section="cost",
        name=f"{name}: waiting for the server",
        value=(clock.wall[KERNEL] - clock.cpu[KERNEL]) / count / 1000,
        unit="µs",
    )


@contextmanager
def _borders(clock: Clock) -> Iterator[None]:
    with ExitStack() as stack:
        for layer, places in LAYERS.items():
            for place in places:
                module, _, path = place.partition(":")
                *holders, name = path.split(".")
                holder: Any = import_module(module)
                for part in holders:
                    holder = getattr(holder, part)
                found = inspect.getattr_static(holder, name)
                if isinstance(found, classmethod):
                    crossed: Any = classmethod(clock.wrap(layer, found.__func__))
                else:
                    crossed = clock.wrap(layer, found)
                stack.enter_context(patch.object(holder, name, crossed))
        yield


def _own_cost(calls: int = 20_000) -> tuple[float, float]:
    """Return what crossing a border adds, in nanoseconds: beyond it, and on this side of it."""
    clock = Clock()
    crossed = clock.wrap("inner", lambda: None)

    def cross(function: Callable[[], None]) -> None:
        for _ in range(calls):
            function()

    clock.wrap("outer", cross)(crossed)
    clock.wrap("plain", cross)(lambda: None)
    return (
        clock.cpu["inner"] / calls,
        (clock.cpu["outer"] - clock.cpu["plain"]) / calls,
    )


def main() -> None:
    """Print the table, and the functions in which a profile of posts finds most time."""
    profile = cProfile.Profile()
    for figure in _measured(600, profile):
        print(f"{figure.name:<60} {figure.value:>8.1f} {figure.unit}")
    pstats.Stats(profile).sort_stats("tottime").print_stats(_FUNCTIONS_SHOWN)


if __name__ == "__main__":
    main()
