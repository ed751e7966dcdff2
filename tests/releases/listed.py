"""The releases, as docs/releases.md lists them."""

import re
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).parents[2] / "docs" / "releases.md"


class Listed(NamedTuple):
    """A line of the list."""

    version: str
    commit: str
    schema: str
    protocol: str
    notes: str


def releases() -> list[Listed]:
    """Return the releases, the newest first: the one that this checkout is, or will be."""
    lines = re.findall(r"^\| (\d+\.\d+\.\d+ \|.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return [Listed(*line.split(" | ")) for line in lines]


def previous() -> Listed:
    """Return the release before the one that this checkout is."""
    return releases()[1]
