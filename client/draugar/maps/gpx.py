"""Tracks in files: reading GPX 1.0 and 1.1, writing GPX 1.1.

A file may come from anywhere, so reading is bounded: no document type (and so no entities), and no
more than SIZE bytes. Of what stands around the track points nothing is used, so it refuses no
file: undeclared prefixes, characters that XML does not allow, blanks before the declaration.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.parsers import expat

from draugar.errors import FailureCode
from draugar.maps.geo import HALF_TURN, QUARTER_TURN, Trail, decimal
from draugar.maps.track import Fault, NotATrack, Point, Track
from draugar.protocol.times import CLOCKS_DIFFER, EARLIEST
from draugar.text.display import stamp

SIZE = 32 * 1024 * 1024
SPACE = "http://www.topografix.com/GPX/1/1"
HEIGHT = 20_000
"""Metres above and below the sea; what is beyond is a recorder's mistake."""
LONGEST = 64
"""Characters after which no more of a time or a height is kept."""

# XML 1.0 has no way to write these.
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_DECLARATION = re.compile(r"<\?xml\s[^>]*\?>")
_ENCODING = re.compile(rb"<\?xml\s[^>]*encoding\s*=\s*[\"']([\w.:-]+)[\"']")
_PROLOG = 1024
"""Characters, or bytes, in which the declaration is looked for."""
_CHARACTER = re.compile("&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,10}));")
_AMPERSAND = re.compile(r"&(?!#?\w[\w.:-]*;)")
"""One that begins no reference."""
_ASCII = bytes(range(32, 127))
_NOT_FOR_TEXT = {"idna", "punycode"}
"""They read ASCII as it is, and take quadratic time."""

_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ]"
    r"(?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2}(?:[.,][0-9]+)?)?"
    # Java writes the name of the zone behind its offset, and leaves out seconds that are zero.
    r"(?: ?(?P<zone>Z|[+-][0-9]{2}(?::?[0-9]{2}){0,2})(?:\[[\w/+-]+\])?)?",
    re.ASCII | re.IGNORECASE,
)
_MIDNIGHT = re.compile(r"24:00(?::00(?:[.,]0+)?)?")


def read(file: Path, now: datetime | None = None) -> Track:
    """Read the points of all tracks of a GPX file, in the order in which they stand there.

    Raises NotATrack, OSError.
    """
    with file.open("rb") as stream:
        content = stream.read(SIZE + 1)
    if len(content) > SIZE:
        raise NotATrack(FailureCode.FILE_TOO_LARGE, mebibytes=SIZE // 1024 // 1024)
    found = _Content(now or datetime.now(UTC))
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = found.doctype
    parser.StartElementHandler = found.start
    parser.CharacterDataHandler = found.data
    parser.EndElementHandler = found.end
    text = _text(content)
    try:
        parser.Parse(text, True)  # noqa: FBT003 -- has no keywords
    except expat.ExpatError as error:
        behind = text.encode()[parser.ErrorByteIndex :]
        if not found.is_over or b"trkpt" in behind:
            raise _not_xml(error) from None
    if not found.number:
        raise NotATrack(FailureCode.NO_TRACK_POINTS, **found.others())
    return Track(found.points, found.left_out)


def _not_xml(error: expat.ExpatError) -> NotATrack:
    if error.code == expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]:
        return NotATrack(FailureCode.UNKNOWN_ENTITY, line=error.lineno)
    return NotATrack(FailureCode.NOT_XML, line=error.lineno)


def written(trails: Iterable[Trail]) -> str:
    """Write trails as GPX 1.1, a track each, and a segment for each stretch of it."""
    root = ET.Element("gpx", version="1.1", creator="draugar", xmlns=SPACE)
    for trail in trails:
        track = ET.SubElement(root, "trk")
        ET.SubElement(track, "name").text = NOT_IN_XML.sub("\ufffd", trail.name)
        for stretch in trail.stretches():
            segment = ET.SubElement(track, "trkseg")
            for fix in stretch:
                # GPX ends before 180 degrees, which are the same meridian as -180.
                longitude = -fix.longitude if fix.longitude == HALF_TURN else fix.longitude
                point = ET.SubElement(
                    segment, "trkpt", lat=_decimal(fix.latitude), lon=_decimal(longitude)
                )
                if fix.altitude is not None:
                    ET.SubElement(point, "ele").text = _decimal(fix.altitude)
                ET.SubElement(point, "time").text = stamp(fix.at)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _decimal(value: float) -> str:
    """Write a number so that it reads back exactly, without an exponent and without "-0.0"."""
    return f"{Decimal(repr(value + 0.0)):f}"


def _text(content: bytes) -> str:
    """Return a file's text without its declaration, and without what XML cannot hold.

    Lines keep their numbers. Raises NotATrack.
    """
    text = _decoded(content)
    start = text.find("<")
    if start < 0:
        raise NotATrack(FailureCode.NOT_XML, line=1)
    head, rest = text[start : start + _PROLOG], text[start + _PROLOG :]
    head = _DECLARATION.sub(lambda found: "\n" * found[0].count("\n"), head, count=1)
    text = "\n" * text.count("\n", 0, start) + head + rest.rstrip("\0 \t\r\n")
    text = _CHARACTER.sub(_reference, NOT_IN_XML.sub(" ", text))
    return _AMPERSAND.sub("&amp;", text)


def _decoded(content: bytes) -> str:
    """Decode a file: by its byte order mark, else as its declaration says, else as UTF-8.

    What cannot be decoded is in names and comments; in a position it leads to no number.
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if b"\0" in content[:2]:
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le", "replace")
    declared = _ENCODING.search(content[:_PROLOG])
    name = declared[1].decode() if declared else "utf-8"
    if name.lower().replace("_", "-").startswith("utf-16"):
        name = "utf-8"  # its declaration could not be read if it were
    if not _is_readable(name):
        raise NotATrack(FailureCode.UNKNOWN_ENCODING)
    return content.decode(name, "replace")


def _is_readable(encoding: str) -> bool:
    with suppress(LookupError, ValueError):
        known = codecs.lookup(encoding).name
        return known not in _NOT_FOR_TEXT and _ASCII.decode(encoding) == _ASCII.decode()
    return False


def _reference(found: re.Match[str]) -> str:
    """Keep a reference to a character, unless XML has no such character."""
    code = int(found[1], 16) if found[1] else int(found[2])
    known = code <= 0x10FFFF and not NOT_IN_XML.match(chr(code))  # noqa: PLR2004 -- Unicode
    return found[0] if known else " "


class _Content:
    """What the parser calls: it keeps track points, and refuses a document type."""

    def __init__(self, now: datetime) -> None:
        self.points: list[Point] = []
        self.left_out: dict[int, Fault] = {}
        self.number = 0
        """Of the newest track point, from 1."""
        self._latest = now + CLOCKS_DIFFER
        self.is_over = False
        """Whether the outermost element has ended."""
        self._others: Counter[str] = Counter()
        self._segment = 0
        self._depth = 0
        self._extensions_depth = 0
        self._point_depth = 0
        self._prefix = ""
        self._attributes: dict[str, str] = {}
        self._text: dict[str, str] = {}
        self._open: str | None = None

    def doctype(self, *_: object) -> None:
        raise NotATrack(FailureCode.DOCUMENT_TYPE)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        prefix, _, name = tag.rpartition(":")
        if self._extensions_depth:
            return
        if self._point_depth:
            is_its_own = self._depth == self._point_depth + 1 and prefix == self._prefix
            if is_its_own and name in {"time", "ele"} and name not in self._text:
                self._open, self._text[name] = name, ""
        elif name == "trkpt":
            self.number += 1
            self._point_depth, self._prefix, self._attributes = self._depth, prefix, attributes
            self._text = {}
        elif name == "extensions":
            self._extensions_depth = self._depth
        elif name in {"trk", "trkseg"}:
            self._segment += 1
        else:
            self._others[name] += 1

    def data(self, text: str) -> None:
        if self._open and self._depth == self._point_depth + 1:
            known = self._text[self._open]
            if len(known) < LONGEST:
                self._text[self._open] = known + text

    def end(self, _: str) -> None:
        if self._depth == self._extensions_depth:
            self._extensions_depth = 0
        elif self._depth == self._point_depth:
            self._point_depth = 0
            self._keep()
        elif self._depth == self._point_depth + 1:
            self._open = None
        self._depth -= 1
        self.is_over = not self._depth

    def others(self) -> dict[str, int]:
        """Count what the file has that is no track."""
        return {"waypoints": self._others["wpt"], "route_points": self._others["rtept"]}

    def _keep(self) -> None:
        latitude = decimal(self._attributes.get("lat", ""), limit=QUARTER_TURN)
        longitude = decimal(self._attributes.get("lon", ""), limit=HALF_TURN)
        if latitude is None or longitude is None:
            self.left_out[self.number] = self._fault_of_place(latitude)
            return
        at, fault_of_time = self._at()
        self.points.append(
            Point(
                number=self.number,
                segment=self._segment,
                latitude=latitude,
                longitude=longitude,
                altitude=decimal(self._text.get("ele", ""), limit=HEIGHT),
                at=at,
                fault=fault_of_time,
            )
        )

    def _fault_of_place(self, latitude: float | None) -> Fault:
        if latitude is not None:
            return Fault.LONGITUDE
        exchanged = (
            decimal(self._attributes.get("lon", ""), limit=QUARTER_TURN),
            decimal(self._attributes.get("lat", ""), limit=HALF_TURN),
        )
        return Fault.LATITUDE if None in exchanged else Fault.SWAPPED

    def _at(self) -> tuple[datetime | None, Fault | None]:
        """Read an xsd:dateTime; GPX means UTC where no zone is named."""
        text = self._text.get("time", "").strip()
        if not text:
            return None, Fault.NO_TIME
        at = _moment(text)
        if at is None:
            return None, Fault.UNREADABLE
        if at < EARLIEST:
            return at, Fault.EARLY
        return at, Fault.AHEAD if at > self._latest else None


def _moment(text: str) -> datetime | None:
    said = _TIME.fullmatch(text)
    if said is None:
        return None
    clock, zone = said["minute"] + (said["second"] or ""), (said["zone"] or "Z").upper()
    try:
        if _MIDNIGHT.fullmatch(clock):  # the end of the day
            at = datetime.fromisoformat(f"{said['day']}T00:00{zone}") + timedelta(days=1)
        else:
            at = datetime.fromisoformat(f"{said['day']}T{clock}{zone}")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
