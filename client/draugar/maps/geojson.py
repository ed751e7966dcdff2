"""Writing tracks as GeoJSON (RFC 7946)."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from draugar.maps.geo import HALF_TURN, Trail
from draugar.models import Fix
from draugar.text.display import stamp


def written(trails: Iterable[Trail]) -> dict[str, Any]:
    """Write trails as a FeatureCollection: a line for each stretch, and `times` nested alike.

    A line is cut where it crosses the antimeridian (RFC 7946, 3.1.9); one position alone is a
    point.
    """
    return {
        "type": "FeatureCollection",
        "features": [
            _feature(trail.name, stretch) for trail in trails for stretch in trail.stretches()
        ],
    }


def _feature(name: str, fixes: Sequence[Fix]) -> dict[str, Any]:
    lines = [list(line) for line in _cut(fixes)]
    coordinates: list[Any] = [
        [[fix.longitude + 0.0, fix.latitude + 0.0] for fix in line] for line in lines
    ]
    times: list[Any] = [[stamp(fix.at) for fix in line] for line in lines]
    kind = "MultiLineString"
    if len(lines) == 1:
        kind, coordinates, times = "LineString", coordinates[0], times[0]
        if len(lines[0]) == 1:
            kind, coordinates, times = "Point", coordinates[0], times[0]
    return {
        "type": "Feature",
        "properties": {"name": name, "times": times},
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def _cut(fixes: Sequence[Fix]) -> Iterator[list[Fix]]:
    """Split a line where it crosses the antimeridian, with an end on either side of it."""
    line = list(fixes[:1])
    for here, there in pairwise(fixes):
        across = there.longitude - here.longitude
        if abs(across) > HALF_TURN:
            edge = math.copysign(HALF_TURN, here.longitude)
            turn = across + 2 * edge
            part = (edge - here.longitude) / turn if turn else 0.0
            latitude = here.latitude + part * (there.latitude - here.latitude)
            crossing = replace(
                here, latitude=latitude, longitude=edge, at=here.at + part * (there.at - here.at)
            )
            yield [*line, crossing]
            line = [replace(crossing, longitude=-edge)]
        line.append(there)
    yield line
