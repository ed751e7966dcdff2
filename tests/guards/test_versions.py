"""One version, in all places that say it."""

import re
import tomllib
from pathlib import Path

import pytest

from chalicelib.health.service import REVISION
from chalicelib.release import VERSION
from tests.releases.listed import Listed, releases

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "releases"


def test_service_and_client_are_the_newest_release_that_is_listed() -> None:
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    newest = releases()[0]

    assert newest.version == VERSION
    assert project["version"] == VERSION
    # Of a release that is not out yet more migrations may come.
    assert newest.commit == "this one" or newest.schema == REVISION, (
        "docs/releases.md lists the newest migration of a release."
    )


def test_releases_are_listed_from_the_newest_to_the_first() -> None:
    numbers = [tuple(map(int, listed.version.split("."))) for listed in releases()]

    assert numbers == sorted(set(numbers), reverse=True)
    assert releases()[-1].version == "1.0.0"


@pytest.mark.parametrize("listed", releases()[1:], ids=lambda listed: listed.version)
def test_a_release_that_is_out_has_a_commit_and_a_fixture(listed: Listed) -> None:
    assert re.fullmatch(r"[0-9a-f]{7,40}|v[0-9.]+", listed.commit)
    assert (FIXTURES / f"{listed.version}.tar.xz").is_file(), "tests/releases/make.py makes it."
