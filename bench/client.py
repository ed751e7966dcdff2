"""What commands of the client cost, against the cryptography alone over the same points.

The processor's time of a whole process, for the time of day says more about the machine and its
disk. The floor is a process that loads PyNaCl and seals, or opens, as many points.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from bench.figures import Figure
from tests.client.malice import Relay
from tests.laptop.runs import Run

POINTS = 20_000
DRAUGAR = Path(sys.executable).with_name("draugar")
FLOOR = """
import json, sys
from nacl.secret import SecretBox
box = SecretBox(bytes(32))
point = {"lat": 64.1466, "lon": -21.9426, "acc": 12.0, "tst": 1767323045, "userId": 36 * "0"}
sealed = box.encrypt(json.dumps(point).encode().ljust(256))
for number in range(int(sys.argv[2])):
    if sys.argv[1] == "seal":
        box.encrypt(json.dumps(point).encode().ljust(256))
    else:
        json.loads(box.decrypt(sealed))
"""
COMMANDS = {
    "share --gpx": (["share", "--gpx", "walk.gpx"], "seal", POINTS),
    "map": (["map", "--hours", "24"], "open", POINTS),
    "history --gpx": (["history", "--gpx", "out.gpx", "--yes"], "open", POINTS),
    "where": (["where"], "open", 1),
    "--help": (["--help"], "open", 0),
}
"""Each with what its floor does, and how many points that is."""
AT_MOST = {"share --gpx": 20.0, "map": 16.0, "history --gpx": 16.0, "where": 25.0, "--help": 15.0}
"""Times the floor."""
REQUESTS = {"share --gpx": 47, "map": 49, "history --gpx": 44, "where": 8, "--help": 0}
"""With 40 posts, or pages, of 500 points. Una is alone: `where` and `map` ask who there is, too."""


def run(*, full: bool) -> list[Figure]:
    """Share a track of a person's day and read it, in a home of its own each time."""
    spent: dict[str, list[float]] = {name: [] for name in COMMANDS}
    floors: dict[str, list[float]] = {name: [] for name in COMMANDS}
    requests: dict[str, int] = {}
    for _ in range(5 if full else 2):
        with _family() as (relay, home):
            for name, (arguments, work, points) in COMMANDS.items():
                relay.received.clear()
                spent[name].append(_cost(home, [str(DRAUGAR), *arguments]))
                requests[name] = len(relay.received)
                floor = [sys.executable, "-c", FLOOR, work, str(points)]
                floors[name].append(_cost(home, floor))
    return [
        figure
        for name in COMMANDS
        for figure in _figures(name, spent[name], floors[name], requests[name])
    ]


@contextmanager
def _family() -> Iterator[tuple[Relay, Path]]:
    """Yield a home that has founded a group of a service of its own, and what counts requests."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory, "home")
        _write_track(home.parent / "walk.gpx")
        service = Run(Path(directory, "service"))
        try:
            printed = service.printed_until_serving()
            code = printed.partition("Founding invite: ")[2].split()[0]
            with Relay(f"http://127.0.0.1:{service.port}") as relay:
                _cost(home, [str(DRAUGAR), "found", relay.url, code, "--name", "Una"])
                yield relay, home
        finally:
            service.kill()


def _figures(name: str, spent: list[float], floors: list[float], requests: int) -> Iterator[Figure]:
    points = COMMANDS[name][2]
    what = f"draugar {name}" + (f", {points:,} points" if points > 1 else "")
    yield Figure(
        section="client",
        name=f"{what}: processor time",
        value=median(spent),
        unit="s",
        against="bare PyNaCl",
        baseline=median(floors),
        ratio=median(mine / floor for mine, floor in zip(spent, floors, strict=True)),
        at_most=AT_MOST[name],
    )
    yield Figure(
        section="client",
        name=f"{what}: requests",
        value=requests,
        unit="requests",
        at_most=REQUESTS[name],
    )


def _write_track(file: Path) -> None:
    """Write a track of a second a point, which has just ended."""
    start = datetime.now(UTC) - timedelta(seconds=POINTS)
    points = "".join(
        f'<trkpt lat="{64 + number / 1e5:.6f}" lon="-21.9">'
        f"<time>{start + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}</time></trkpt>"
        for number in range(POINTS)
    )
    file.write_text(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")


def _cost(home: Path, command: list[str]) -> float:
    """Run a command, which has to succeed; return its processor time in seconds."""
    environment = os.environ | {"DRAUGAR_HOME": str(home), "DRAUGAR_KEYRING": "file"}
    process = subprocess.Popen(  # noqa: S603 -- commands of this file
        command, cwd=home.parent, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(command)
    return usage.ru_utime + usage.ru_stime
