"""The files of the web app as its build left them, which each server has to serve."""

from hashlib import sha256
from pathlib import Path

DIST = Path(__file__).parents[3] / "client" / "web" / "dist"
PAGE_PATHS = {"/": "index.html", "/join": "index.html"}
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
OWN_HEADERS = {"Cache-Control", "Content-Security-Policy"}
"""The headers that these files have in place of those of all answers."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data: https://tile.openstreetmap.org; manifest-src 'self';"
    " worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def names() -> list[str]:
    """Return what HASHES lists."""
    lines = (DIST / "HASHES").read_text().splitlines()
    return [line.split("  ")[1] for line in lines]


def hashes() -> dict[str, str]:
    """Return the SHA-256 of each file, as HASHES has it."""
    lines = (DIST / "HASHES").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def paths() -> dict[str, str]:
    """Return the file that each path serves."""
    served = {f"/{name}": name for name in names() if name != "index.html"}
    return PAGE_PATHS | served


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's bytes, as HASHES writes it."""
    return sha256(content).hexdigest()
