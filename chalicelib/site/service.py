"""The files of the web app, each read once.

`HASHES` lists them: a line `sha256  name` each. What it does not list is not served.
"""

import json
from functools import cache
from pathlib import Path

from chalicelib.errors import NotFound
from chalicelib.settings import MapTiles

_ROOT = Path(__file__).parents[2]
# In the bundle the folder has what vendor/web links to.
_PLACES = (_ROOT / "web", _ROOT / "vendor" / "web")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_BINARY = {".png"}


def find(name: str) -> tuple[str | bytes, str]:
    """Return a file's content and its media type.

    The content is text unless the type is binary: Chalice sends bytes of any other type on a laptop
    and fails on Lambda. Raises NotFound.
    """
    if name not in _names():
        raise NotFound
    return _read(name), _TYPES[Path(name).suffix]


def config(tiles: MapTiles | None) -> str:
    """Return what the page is told of this deployment, as JSON."""
    said = tiles and {"url": tiles.url, "attribution": tiles.attribution}
    return json.dumps({"tiles": said}, ensure_ascii=False)


@cache
def _directory() -> Path:
    return next(place for place in _PLACES if place.is_dir())


@cache
def _names() -> frozenset[str]:
    lines = (_directory() / "HASHES").read_text(encoding="ascii").splitlines()
    return frozenset(line.split("  ")[1] for line in lines)


@cache
def _read(name: str) -> str | bytes:
    path = _directory() / name
    return path.read_bytes() if path.suffix in _BINARY else path.read_text(encoding="utf-8")
