"""The packages of the browser client: what imports what, and whether the types hold."""

import re
import subprocess

import pytest

from tests.web import browsers
from tests.web.browsers import CLIENT, PROJECT

SOURCES = CLIENT / "src"
_ALLOWED = {
    "models.ts": set(),
    "errors.ts": set(),
    "text": {"errors.ts"},
    "protocol": {"errors.ts", "models.ts", "text"},
    "trust": {"errors.ts", "models.ts", "text", "protocol"},
    "storage": {"errors.ts", "models.ts", "protocol", "trust"},
    "service": {"errors.ts", "models.ts", "protocol", "trust"},
    "usecases": {"errors.ts", "models.ts", "text", "protocol", "trust", "storage", "service"},
}
_OUTSIDE = re.compile(
    r"\b(?:fetch|indexedDB|localStorage|document|window|navigator|performance"
    r"|Date\.now|new Date\(\)|Math\.random)\b"
)
_IMPORT = re.compile(r'from "([^"]+)"')
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def _package(path: str) -> str:
    return path.partition("/")[0].replace(".js", ".ts")


@pytest.mark.parametrize("package", _ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    place = SOURCES / package
    for file in [place] if place.is_file() else place.glob("*.ts"):
        for name in _IMPORT.findall(file.read_text()):
            if name.startswith("@noble/"):
                assert package == "protocol", file
                continue
            found = (file.parent / name).resolve().relative_to(SOURCES)
            assert _package(str(found)) in _ALLOWED[package] | {package}, file


@pytest.mark.parametrize("package", ["protocol", "trust", "text"])
def test_decisions_read_no_clock_and_nothing_outside(package: str) -> None:
    for file in (SOURCES / package).glob("*.ts"):
        assert _OUTSIDE.findall(_COMMENT.sub("", file.read_text())) == [], file


@pytest.mark.tools("node", "npm")
def test_the_types_hold() -> None:
    with browsers.installed() as modules:
        for project in (CLIENT, PROJECT / "tests" / "web" / "checks"):
            compiler = str(modules / ".bin" / "tsc")
            ran = subprocess.run(
                [compiler, "-p", project], capture_output=True, text=True, check=False
            )
            assert (ran.returncode, ran.stdout) == (0, "")
