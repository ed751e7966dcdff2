"""Tracks in files: reading GPX 1.0 and 1.1, writing GPX 1.1 and GeoJSON (RFC 7946).

A file may come from anywhere, so reading is bounded and strict: no document type (and so no
entities), no numbers that are no positions, no more than SIZE bytes.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from draugar.errors import NotPossible
from draugar.geo import NotAPosition, Trail, number
from draugar.model import Fix

SIZE = 32 * 1024 * 1024
PIECE = 1024 * 1024
SPACE = "http://www.topografix.com/GPX/1/1"
HALF_TURN = 180
HEIGHT = 20_000
"""Metres above and below the sea; what is beyond is a recorder's mistake."""
LONGEST = 64
"""Characters after which no more of a time or a height is kept."""
YEARS = range(1900, 3000)
"""In which a time is believed; some recorders stamp 1901 while they have no fix."""

# XML 1.0 has no way to write these.
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotATrack(NotPossible):
    """A file that is no GPX track; the text says why, and never what stands in it."""

    advice = "Write the track to a GPX file again, or name another file."


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a track: metres of altitude and a time, where the recorder wrote them."""

    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    altitude: float | None = field(repr=False)
    at: datetime | None


def read(file: Path) -> list[Point]:
    """Read the points of all tracks of a GPX file, in the order in which they stand there.

    Raises NotATrack, OSError.
    """
    content = _Content()
    parser = ET.XMLParser(target=content)  # noqa: S314 -- bounded, and refuses document types
    size = 0
    try:
        with file.open("rb") as stream:
            while piece := stream.read(PIECE):
                size += len(piece)
                if size > SIZE:
                    raise NotATrack(f"The file is larger than {SIZE // 1024 // 1024} MiB.")
                parser.feed(piece)
        parser.close()
    except ET.ParseError as error:
        line, _ = error.position
        raise NotATrack(f"The file is not XML, as GPX is: line {line} is broken.") from None
    except (LookupError, ValueError):
        raise NotATrack(
            "The file is in an encoding that cannot be read; save it as UTF-8."
        ) from None
    if not content.points:
        raise NotATrack("The file holds no track points.")
    return content.points


def ending(points: Sequence[Point], at: datetime) -> list[Point]:
    """Shift a track so that it ends at a time.

    Where a time is missing, or not after the one before it (some recorders stamp all points
    alike), the point counts as recorded a second after it.
    """
    first = next((index for index, point in enumerate(points) if point.at), 0)
    before = (points[first].at or at) - timedelta(seconds=first + 1)
    times = []
    for point in points:
        later = point.at is not None and point.at > before
        before = point.at if point.at and later else before + timedelta(seconds=1)
        times.append(before)
    shift = at - before
    return [replace(point, at=time + shift) for point, time in zip(points, times, strict=True)]


def written(trails: Iterable[Trail]) -> str:
    """Write trails as GPX 1.1, a track each."""
    root = ET.Element("gpx", version="1.1", creator="draugar", xmlns=SPACE)
    for trail in trails:
        track = ET.SubElement(root, "trk")
        ET.SubElement(track, "name").text = NOT_IN_XML.sub("\ufffd", trail.name)
        segment = ET.SubElement(track, "trkseg")
        for fix in trail.fixes:
            latitude, longitude = f"{fix.latitude:.7f}", f"{fix.longitude:.7f}"
            point = ET.SubElement(segment, "trkpt", lat=latitude, lon=longitude)
            if fix.altitude is not None:
                ET.SubElement(point, "ele").text = f"{fix.altitude:.1f}"
            ET.SubElement(point, "time").text = stamp(fix.at)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def geojson(trails: Iterable[Trail]) -> dict[str, Any]:
    """Write trails as a FeatureCollection: a line each, and `times` nested like its positions.

    A line is cut where it crosses the antimeridian (RFC 7946, 3.1.9); one position alone is a
    point.
    """
    return {
        "type": "FeatureCollection",
        "features": [_feature(trail) for trail in trails if trail.fixes],
    }


def stamp(at: datetime) -> str:
    """Write a time as programs read it, to the millisecond, in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _feature(trail: Trail) -> dict[str, Any]:
    lines = [list(line) for line in _cut(trail.fixes)]
    coordinates: list[Any] = [
        [[round(fix.longitude, 7), round(fix.latitude, 7)] for fix in line] for line in lines
    ]
    times: list[Any] = [[stamp(fix.at) for fix in line] for line in lines]
    kind = "MultiLineString"
    if len(lines) == 1:
        kind, coordinates, times = "LineString", coordinates[0], times[0]
        if len(lines[0]) == 1:
            kind, coordinates, times = "Point", coordinates[0], times[0]
    return {
        "type": "Feature",
        "properties": {"name": trail.name, "times": times},
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


class _Content:
    """What the parser calls: it keeps track points, and refuses a document type."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._path: list[str] = []
        self._place = (0.0, 0.0)
        self._text: dict[str, str] = {}

    def doctype(self, *_: object) -> None:
        raise NotATrack("The file has a document type, which GPX has not.")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag.rpartition("}")[2])
        if self._path[-1] == "trkpt":
            self._text = {"time": "", "ele": ""}
            try:
                self._place = (
                    number(attributes.get("lat", ""), limit=90, name="latitude"),
                    number(attributes.get("lon", ""), limit=180, name="longitude"),
                )
            except NotAPosition:
                raise NotATrack(f"{self._which()} has no position on the earth.") from None

    def data(self, text: str) -> None:
        if self._path[-2:-1] == ["trkpt"]:
            known = self._text.get(self._path[-1])
            if known is not None and len(known) < LONGEST:
                self._text[self._path[-1]] = known + text

    def end(self, _: str) -> None:
        if self._path.pop() == "trkpt":
            self.points.append(Point(*self._place, altitude=self._altitude(), at=self._at()))

    def _altitude(self) -> float | None:
        """Read metres; what is no height on the earth is left out."""
        try:
            return number(self._text["ele"], limit=HEIGHT, name="height")
        except NotAPosition:
            return None

    def _at(self) -> datetime | None:
        """Read an xsd:dateTime; GPX means UTC where no zone is named."""
        text = self._text["time"].strip()
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise NotATrack(f"{self._which()} has a time that is none.") from None
        if at.year not in YEARS:
            raise NotATrack(f"{self._which()} has a time at which nobody recorded anything.")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)

    def _which(self) -> str:
        return f"Track point {len(self.points) + 1}"
