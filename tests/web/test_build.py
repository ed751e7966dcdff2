"""What is served is what the sources make; every text is there in each language."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import tools

ROOT = Path(__file__).parents[2]
WEB = ROOT / "client" / "web"
DIST = WEB / "dist"
TEXT = re.compile(r'^\s+(\w+):\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
CODE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def texts(language: str) -> dict[str, str]:
    """Return the texts of a language. What stands on a line of its own is joined to its key."""
    source = (WEB / "src" / "texts" / f"{language}.ts").read_text()
    return dict(TEXT.findall(re.sub(r":\n\s+\"", ': "', source)))


def compressed(pattern: str) -> int:
    return sum(len(gzip.compress(path.read_bytes())) for path in DIST.rglob(pattern))


@pytest.mark.tools("node", "npm")
def test_the_files_are_what_the_sources_make(tmp_path: Path) -> None:
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    for command in (["ci", "--ignore-scripts"], ["run", "build"]):
        done = subprocess.run(
            [tools.program("npm"), *command], cwd=copy, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    made = {
        path.relative_to(copy / "dist"): path.read_bytes()
        for path in (copy / "dist").rglob("*")
        if path.is_file()
    }

    kept = {path.relative_to(DIST): path.read_bytes() for path in DIST.rglob("*") if path.is_file()}
    assert made.keys() == kept.keys(), "`make web` renews client/web/dist."
    assert [str(path) for path in made if made[path] != kept[path]] == []


def test_the_page_is_small() -> None:
    on_start = compressed("index.html") + compressed("web/app-*") + compressed("web/chunk-*")
    languages = max(compressed("web/en-*"), compressed("web/de-*"))

    assert on_start + languages <= 100_000
    assert compressed("web/world-*.json") + compressed("web/towns-*.json") <= 110_000


def test_the_page_holds_no_script_and_no_style_of_its_own() -> None:
    page = (DIST / "index.html").read_text()

    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []


def test_each_language_has_every_text_with_the_same_places() -> None:
    english, german = texts("en"), texts("de")

    assert len(english) > 200
    assert german.keys() == english.keys()
    places = re.compile(r"\{\w+\}")
    for name, text in english.items():
        assert set(places.findall(german[name])) == set(places.findall(text)), name


def test_every_failure_of_the_client_has_a_text() -> None:
    about = (WEB / "src" / "errors.ts").read_text()
    (listed,) = re.findall(r"refusal of the service, and otherwise:(.*?)\*/", about, re.DOTALL)
    codes = {code for line in listed.splitlines() for code in CODE.findall(line[:110])}
    sources = [path.read_text() for path in (WEB / "src").rglob("*.ts")]
    codes |= {code for it in sources for code in re.findall(r'Failure\(\s*"([a-z_]+)"', it)}

    assert len(codes) > 30
    assert codes - texts("en").keys() == set()


def test_every_notice_of_the_protocol_has_a_text() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text()
    (section,) = re.findall(r"## What a person is told(.*?)\n## ", protocol, re.DOTALL)
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    codes = {code for row in rows for code in re.findall("`([a-z_]+)`", row)} - {"rotate"}

    assert len(codes) > 20
    assert codes - texts("en").keys() == set()
