"""What the project is made of is pinned, known and free of secrets."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class as detectors
from detect_secrets.plugins.base import RegexBasedDetector

from tests import tools

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)

UNLIKELY = ("Artifactory", "Cloudant", "IBM", "SoftLayer", "Public IP")
"""Kinds that nobody here ever had, and whose patterns take long, and what is no secret."""

PLACEHOLDERS = {
    *("change-me", "password"),  # what .env.example and the README say that a URL looks like
    *("open-sesame", "p%40ss%2Fword", "secret", "{SECRET}"),  # of databases that are not there
    "p",  # of an address that is refused for having a password: https://u:p@a.example
}


class DeviceTokens(RegexBasedDetector):
    """Our own tokens, by what credentials.py puts in front of them."""

    secret_type = "Draugar device token"
    denylist = (re.compile(r"\bdraugar_[\w-]{43}(?![\w-])"),)


def secrets_in(text: str) -> set[str]:
    """Return what looks like a key, a token or a password in a URL."""
    kinds: dict[str, type[Any]] = detectors()  # its annotation forgets what they are types of
    known = [
        detector()
        for kind, detector in kinds.items()
        # Words such as "secret" and random characters are in every line of this project.
        if issubclass(detector, RegexBasedDetector) and not kind.startswith(UNLIKELY)
    ]
    return {
        found for detector in [*known, DeviceTokens()] for found in detector.analyze_string(text)
    }


def git(*arguments: str) -> str:
    """Return what git prints."""
    command = [str(tools.program("git")), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, f"Not a checkout with its history: {done.stderr.decode()}"
    return done.stdout.decode(errors="replace")


@pytest.mark.tools("git")
def test_no_commit_holds_a_secret() -> None:
    # The first commit that a checkout has is shown as everything that it holds.
    history = git("log", "--all", "--patch", "--text", "--no-ext-diff", "--no-color")

    assert "chalicelib" in history
    assert secrets_in(history) - PLACEHOLDERS == set()


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "Q7RW2ZLKPD3MNBVC",
        "-----BEGIN " + "EC PRIVATE KEY-----",
        "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
        "pypi-AgEIcHlwaS5vcmc" + "CJ" * 40,
        "draugar_" + "x9" * 21 + "_",
        "postgresql://draugar:" + "hunter2@db.example.org/draugar",
    ],
    ids=["AWS", "private key", "GitHub", "PyPI", "device token", "URL"],
)
def test_a_secret_would_be_found(secret: str) -> None:
    assert secrets_in(f'+    SETTING = "{secret}"  # for now\n') - PLACEHOLDERS


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("requirements.txt", 10),
        ("requirements-dev.txt", 10),
        ("requirements-host.txt", 10),
        ("requirements-tools.txt", 1),
        ("requirements-lock.txt", 0),
    ],
)
def test_every_package_is_pinned_by_its_hashes(name: str, least: int) -> None:
    entries = re.split(r"\n(?=[\w.-]+[=<>~@ ])", (ROOT / name).read_text())[1:]

    assert len(entries) > least
    for entry in entries:
        assert PIN.match(entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_no_package_is_installed_without_its_hash() -> None:
    """That pip then refuses another file is seen in tests/bundle/test_package.py."""
    makefile = (ROOT / "Makefile").read_text()
    script = (ROOT / "scripts" / "packages.py").read_text()

    assert "pip install" not in makefile
    assert re.findall(r"python scripts/packages.py(.*)", makefile) == [
        " requirements-lock.txt",
        "",
        " requirements-tools.txt",
        " requirements-host.txt",
    ]
    assert script.count('"install", ') == 1
    assert '[*PIP, "install", "-qq", "--no-deps", *checked, *arguments]' in script
    assert 'checked = ["--require-hashes", "--no-compile"] if "-r" in arguments else []' in script
    # Without a hash: the client itself, which is here.
    assert re.findall(r"\[(\"-.*)\],", script) == [
        '"-r", "requirements-dev.txt"',
        '"--no-build-isolation", "--editable", "client"',
    ]


def test_what_ships_is_listed_with_its_licence() -> None:
    shipped = {
        name: licence_of(name) for name, _ in PIN.findall((ROOT / "requirements.txt").read_text())
    } | {"chalice": licence_of("chalice")}

    listed = dict(
        re.findall(
            r"^\| `([\w-]+)` \| ([^|]+?) \|", (ROOT / "SECURITY.md").read_text(), re.MULTILINE
        )
    )

    assert listed == shipped


def test_every_exception_from_a_rule_on_security_says_why() -> None:
    sources = [
        file
        for folder in ("chalicelib", "client", "migrations", "scripts")
        for file in (ROOT / folder).rglob("*.py")
    ]
    configured: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    lint = configured["ruff"]["lint"]

    excused = [
        line
        for file in [ROOT / "app.py", *sources]
        for line in file.read_text().splitlines()
        if re.search(r"noqa:[^-]*\bS\d{3}\b", line)
    ]

    assert lint["select"] == ["ALL"]
    assert [rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)] == []
    ignored = {
        place
        for place, rules in lint["per-file-ignores"].items()
        for rule in rules
        if re.fullmatch(r"S\d*", rule)
    }
    assert ignored == {"tests/**", "scripts/**"}
    assert excused
    for line in excused:
        assert re.search(r"noqa: [\w, ]+ -- \w", line), line


def licence_of(name: str) -> str:
    """Return the licence that a package gives itself, in a few words."""
    about = metadata.metadata(name).json
    classified = [
        kind.rpartition(" :: ")[2].removesuffix(" License").removesuffix(" Software")
        for kind in about.get("classifier", [])
        if kind.startswith("License ::")
    ]
    return str(about.get("license_expression") or " or ".join(classified) or about["license"])
