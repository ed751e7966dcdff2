"""Many points in one post, against as many posts of one point; 2 ms away."""

import json
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from bench.figures import Figure, interleaved, ratio
from bench.scene import Act, Handler, Performer, scene
from tests.factories import plain_point
from tests.relay import relay_process

DISTANCE = 2  # milliseconds added to a round trip
SIZES = (1, 100, 500)
MOST_FOR_100 = 2.5 * DISTANCE + 3
"""The most milliseconds that a post of 100 points may take."""

SINGLES = 20
"""So many posts of one point are timed together."""


def run(*, full: bool) -> list[Figure]:
    """Measure posts of 1, 100 and 500 points."""
    with (
        scene() as family,
        relay_process(family.url, delay=DISTANCE / 1000) as url,
        Performer(posts, family.tokens[0], environment=family.environment(url)) as performer,
    ):
        measures = {
            str(size): partial(performer.time, str(size), SINGLES if size == 1 else 1)
            for size in SIZES
        }
        interleaved(measures, rounds=5)  # connected, prepared, compiled
        times = interleaved(measures, rounds=100 if full else 25)
    return [figure for size in SIZES for figure in _figures(size, times)]


def posts(token: str) -> dict[str, Act]:
    """Return posts of so many new points."""
    handler = Handler(token)

    def post(size: int) -> dict[str, Any]:
        points = [plain_point() for _ in range(size)]
        body = points[0] if size == 1 else {"locations": points}
        return handler.event("POST", "/api/locations", json.dumps(body))

    return {str(size): Act(partial(post, size), handler) for size in SIZES}


def _figures(size: int, times: dict[str, list[float]]) -> Iterator[Figure]:
    took = median(times[str(size)])
    what = "one point" if size == 1 else f"{size} points"
    yield Figure(
        section="batch",
        name=f"a post of {what}, at {DISTANCE} ms per round trip",
        value=took,
        unit="ms",
        at_most=MOST_FOR_100 if size == 100 else None,  # noqa: PLR2004 -- as the bound says
    )
    if size > 1:
        shares = {"batch": [whole / size for whole in times[str(size)]], "alone": times["1"]}
        yield Figure(
            section="batch",
            name=f"a point's share of a post of {what}",
            value=took / size,
            unit="ms",
            against="a post of its own",
            baseline=median(times["1"]),
            ratio=ratio(shares, "batch", "alone"),
        )
