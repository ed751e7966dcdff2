"""Programs that some tests need beyond Python and make: `make test-tools` runs those tests.

A test names what it needs, `@pytest.mark.tools("pgbouncer")`, and takes the program from here.

    python -m tests.tools             name what is missing and how to install it; exit 1 if any is
    python -m tests.tools --packages  print the Debian packages that are missing

It imports nothing beyond the standard library, so it runs before anything is installed.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


class Missing(Exception):
    """A program is not on this machine; the text says how to get it."""


class Unmarked(Exception):
    """A test uses a program that its marker does not name."""


@dataclass(frozen=True)
class Tool:
    """A program, the Debian packages that bring it, and where it is found."""

    packages: tuple[str, ...]
    find: Callable[[], Path | None]


def _on_path(name: str) -> Path | None:
    # Debian puts servers into /usr/sbin, which is not in everyone's PATH.
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    return Path(found) if found else None


def _in_environment(name: str) -> Path | None:
    """Return where `make test-tools` has installed a program of requirements-tools.txt."""
    found = Path(sys.executable).parent / name
    return found if found.exists() else None


def _newest_postgresql() -> Path | None:
    programs = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max(programs, key=lambda path: int(path.parent.parent.name), default=None)


def _minibrowser() -> Path | None:
    found = Path("/usr/lib").glob("*/webkit2gtk-*/MiniBrowser")
    return max(found, default=None)


def _pgbouncer() -> Path | None:
    named = os.environ.get("PGBOUNCER")
    return Path(named) if named else _on_path("pgbouncer")


TOOLS = {
    "git": Tool(("git",), lambda: _on_path("git")),
    "pgbouncer": Tool(("pgbouncer",), _pgbouncer),
    "postgresql": Tool(("postgresql",), _newest_postgresql),
    "node": Tool(("nodejs",), lambda: _on_path("node")),
    "npm": Tool(("npm",), lambda: _on_path("npm")),
    "chromium": Tool(("chromium",), lambda: _on_path("chromium")),
    "webkitdriver": Tool(("webkit2gtk-driver",), lambda: _on_path("WebKitWebDriver")),
    "minibrowser": Tool(("webkit2gtk-driver",), _minibrowser),
    "xvfb": Tool(("xvfb",), lambda: _on_path("Xvfb")),
    "caddy": Tool(("caddy",), lambda: _on_path("caddy")),
    "systemd-analyze": Tool(("systemd",), lambda: _on_path("systemd-analyze")),
    "hadolint": Tool((), lambda: _in_environment("hadolint")),
    "docker-compose": Tool((), lambda: _in_environment("docker-compose")),
}

marked: set[str] = set()
"""The tools that the running test's marker names; tests/conftest.py sets it."""


def program(name: str) -> Path:
    """Return the path of a tool. Raises Missing, or Unmarked if the test does not name it."""
    if name not in marked:
        raise Unmarked(f"Add @pytest.mark.tools({name!r}) to this test")
    path = TOOLS[name].find()
    if path is None:
        raise Missing(_advice([name]))
    return path


def missing(names: Iterable[str] = TOOLS) -> list[str]:
    """Return those of the tools that are not on this machine."""
    return [name for name in names if TOOLS[name].find() is None]


def _packages(names: Iterable[str]) -> str:
    return " ".join(package for name in names for package in TOOLS[name].packages)


def _advice(names: Iterable[str]) -> str:
    names = list(names)
    ways = [f"apt-get install {_packages(names)}"] if _packages(names) else []
    if not all(TOOLS[name].packages for name in names):
        ways.append("make test-tools")
    return f"Not installed: {', '.join(names)}. Install: {'; '.join(ways)}"


def main(arguments: list[str]) -> None:
    """Say what is missing: of the tools that are named, or of all."""
    if arguments == ["--packages"]:
        sys.stdout.write(f"{_packages(missing())}\n")
    elif absent := missing(arguments or TOOLS):
        sys.exit(_advice(absent))


if __name__ == "__main__":
    main(sys.argv[1:])
