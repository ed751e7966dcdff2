"""A family's day against a running service: `make demo`.

Three people found a group and join it by codes. Their phones replay tracks the way phones do:
points one by one, a batch after a time without network, out of order, and everything twice. Then
it shows where everybody is, and checks that every point is there once.

The environment says URL (http://127.0.0.1:8000), TRACKS (a directory of GPX files; without one a
walk is made up) and CODE (a founding invite; without one it is made in the database of `make run`).
The tracks' times are shifted so that each ends now.
"""

import json
import math
import os
import random
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from io import StringIO
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit
from uuid import UUID
from xml.etree import ElementTree as ET

from scripts.serve import laptop

NAMES = ("Una", "Ari", "Sif")
BATCH = 500
PAGE = 500
Point = dict[str, Any]


class Fix(NamedTuple):
    """A point of a track."""

    at: datetime
    latitude: float
    longitude: float


class Phone:
    """A person's phone: an HTTP client with a token."""

    def __init__(self, url: str) -> None:
        if not re.fullmatch(r"https?://[^/:]+(:[0-9]{1,5})?/?", url):
            sys.exit("URL must be like http://127.0.0.1:8000, without a path.")
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=30)
        self._token: str | None = None
        self.user_id = ""

    def call(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Send a request and return what it answers. Raises SystemExit when it is refused."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, target, content, headers)
            with self._connection.getresponse() as response:
                answer = json.loads(response.read() or b"null")
        except (OSError, HTTPException) as error:
            sys.exit(f"The service does not answer ({error}). Start it with make run, or name URL=")
        if response.status >= 400:  # noqa: PLR2004 -- what HTTP calls an error
            sys.exit(f"{method} {path}: {response.status} {answer['detail']}")
        return answer

    def join(self, code: str, name: str, **group: object) -> Any:
        """Come in by a code, and keep the token."""
        joined = self.call("POST", "/api/auth/join", {"code": code, "name": name, **group})
        self._token, self.user_id = joined["token"], joined["user"]["id"]
        return joined

    def post(self, body: object) -> None:
        """Post a point or a batch; a repeat is answered as the first was."""
        results = self.call("POST", "/api/locations", body)["results"]
        if any(result["status"] != "stored" for result in results):
            sys.exit(f"Refused: {results}")

    def history(self) -> Iterator[Point]:
        """Page through this person's own points."""
        query: dict[str, object] = {"userId": self.user_id, "limit": PAGE}
        while True:
            page = self.call("GET", "/api/locations", **query)
            yield from page["locations"]
            if "nextCursor" not in page:
                return
            query["cursor"] = page["nextCursor"]


def main() -> None:
    """Play the day."""
    url = os.environ.get("URL") or "http://127.0.0.1:8000"
    tracks = list(islice(cycle(_tracks(os.environ.get("TRACKS"))), len(NAMES)))
    phones = {name: Phone(url) for name in NAMES}
    founder, *others = NAMES
    group = {"name": "Demo family", "encryption": "optional"}
    joined = phones[founder].join(os.environ.get("CODE") or _founding_code(), founder, group=group)
    print(f"{founder} founded the group {joined['group']['name']!r}.")
    for name in others:
        code = phones[founder].call("POST", "/api/invites", {})["code"]
        phones[name].join(code, name)
        print(f"{name} joined with a code.")

    sent = {}
    for name, (title, track) in zip(NAMES, tracks, strict=True):
        sent[name] = _points(track)
        started = time.perf_counter()
        _replay(phones[name], sent[name])
        seconds = time.perf_counter() - started
        print(
            f"{name}'s phone posted {title}: {len(sent[name])} points, each twice, {seconds:.1f} s."
        )

    print(f"\nWhere everybody is, as {founder} sees it:")
    people = {person["id"]: person["name"] for person in _people(phones[founder])}
    for point in phones[founder].call("GET", "/api/locations/latest")["locations"]:
        ago = datetime.now(UTC) - datetime.fromisoformat(point["recordedAt"])
        print(
            f"  {people[point['userId']]:<4} {point['latitude']:>10.5f} {point['longitude']:>11.5f}"
            f"  {ago.total_seconds():4.0f} s ago"
        )

    print("\nEvery point is there once:")
    complete = [_is_complete(name, phones[name], sent[name]) for name in NAMES]
    sys.exit(0 if all(complete) else "Points are missing, doubled or changed.")


def _founding_code() -> str:
    with laptop(join=True) as (_, client, _started), redirect_stdout(StringIO()):
        return str(client.lambda_.invoke("create_founding_invite", {}).payload["code"])


def _people(phone: Phone) -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = phone.call("GET", "/api/users")["users"]
    return people


def _replay(phone: Phone, points: list[Point]) -> None:
    """A third one by one as they come, a third after a time offline, a third out of order."""
    third = math.ceil(len(points) / 3)
    live, offline, late = points[:third], points[third : 2 * third], points[2 * third :]
    random.shuffle(late)
    for _ in range(2):
        for point in live:
            phone.post(point)
        for start in range(0, len(offline), BATCH):
            phone.post({"locations": offline[start : start + BATCH]})
        for point in late:
            phone.post(point)


def _is_complete(name: str, phone: Phone, sent: list[Point]) -> bool:
    stored = [(point["id"], point["latitude"], point["longitude"]) for point in phone.history()]
    wanted = [(point["id"], point["latitude"], point["longitude"]) for point in sent]
    complete = sorted(stored) == sorted(wanted)
    print(
        f"  {name:<4} {len(wanted):>5} sent, {len(stored):>5} stored: {'yes' if complete else 'NO'}"
    )
    return complete


def _points(track: list[Fix]) -> list[Point]:
    """Make points of a track that ends now, with ids of their times."""
    shift = datetime.now(UTC) - max(fix.at for fix in track)
    return [
        {
            "id": _id(fix.at + shift),
            "latitude": fix.latitude,
            "longitude": fix.longitude,
            "accuracy": 10,
        }
        for fix in track
    ]


def _id(at: datetime) -> str:
    """Make a UUID of version 7 (RFC 9562): the time in milliseconds, then random bits."""
    value = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return str(UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))


def _tracks(directory: str | None) -> list[tuple[str, list[Fix]]]:
    if not directory:
        return [(f"a walk of {round(2 * radius)} m", _walk(radius)) for radius in (300, 500, 800)]
    files = sorted(file for file in Path(directory).glob("*") if file.suffix.lower() == ".gpx")
    tracks = [(file.name, track) for file in files if (track := _read_gpx(file))]
    if not tracks:
        sys.exit(f"{directory} holds no GPX files with track points.")
    return tracks


def _walk(radius: float) -> list[Fix]:
    """Make up an hour's walk on a circle of so many metres around Reykjavik's pond."""
    latitude, longitude, start = 64.1440, -21.9420, datetime.now(UTC)
    metre = 1 / 111_320
    return [
        Fix(
            start + timedelta(seconds=15 * step),
            latitude + radius * metre * math.sin(step / 240 * math.tau),
            longitude
            + radius * metre * math.cos(step / 240 * math.tau) / math.cos(math.radians(latitude)),
        )
        for step in range(240)
    ]


def _read_gpx(file: Path) -> list[Fix]:
    """Read a track; points without a time are a second apart from those beside them."""
    try:
        elements = ET.parse(file).iter()  # noqa: S314 -- files that the user names
    except ET.ParseError as error:
        sys.exit(f"{file} is not XML: {error}")
    points = [element for element in elements if element.tag.rpartition("}")[2] == "trkpt"]
    if not points:
        return []
    times = [_time(point) for point in points]
    first = next((number for number, at in enumerate(times) if at), 0)
    before = (times[first] or datetime.now(UTC)) - timedelta(seconds=first + 1)
    fixes: list[Fix] = []
    for point, at in zip(points, times, strict=True):
        before = at or before + timedelta(seconds=1)
        fixes.append(Fix(before, float(point.attrib["lat"]), float(point.attrib["lon"])))
    return fixes


def _time(point: ET.Element) -> datetime | None:
    text = next((child.text for child in point if child.tag.rpartition("}")[2] == "time"), None)
    if text is None:
        return None
    at = datetime.fromisoformat(text.strip())
    return at if at.tzinfo else at.replace(tzinfo=UTC)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
