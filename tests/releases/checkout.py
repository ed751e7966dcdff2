"""The code of a release, taken from the history, and its client in an environment of its own."""

import subprocess
import sys
import tarfile
import venv
from io import BytesIO
from pathlib import Path

from scripts.packages import PIP, environment
from tests import tools

ROOT = Path(__file__).parents[2]


def git(*arguments: str) -> bytes:
    """Ask the repository, which has to be a clone with its whole history."""
    options = ["-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    done = subprocess.run(
        [tools.program("git"), *options, *arguments], check=False, capture_output=True
    )
    assert done.returncode == 0, (
        "The former release is taken from the history, which is not here. Clone the repository"
        f" whole, or git fetch --unshallow --tags. {done.stderr.decode()}"
    )
    return done.stdout


def extract(commit: str, directory: Path, *paths: str) -> None:
    """Write the files of a commit into a directory: all of them, or those below the paths."""
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        git("fetch", "--quiet", "--unshallow", "--tags")
    archive = git("archive", "--format=tar", commit, *paths)
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(directory, filter="data")


def client_of(commit: str, directory: Path) -> Path:
    """Install the client of a commit into a virtual environment; return its Python.

    Its dependencies are those that are pinned now, which its own bounds allow: they are not
    downloaded again, and a release has to work with what is current.
    """
    extract(commit, directory / "release", "client")
    venv.create(directory / "venv", symlinks=True)
    python = directory / "venv" / "bin" / "python"
    (packages,) = (directory / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(
        "".join(f"{path}\n" for path in sys.path if path.endswith("site-packages"))
    )
    subprocess.run(
        [
            *PIP,
            *("install", "-qq", "--no-deps", "--no-build-isolation", "--no-compile"),
            *("--target", str(packages), str(directory / "release" / "client")),
        ],
        env=environment("install"),
        check=True,
    )
    return python
