"""Tests that need programs beyond Python and make are told apart, and say what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import tools

ROOT = Path(__file__).parents[2]


def test_a_test_that_does_not_name_its_tool_is_refused() -> None:
    with pytest.raises(tools.Unmarked, match=r"@pytest\.mark\.tools\('pgbouncer'\)"):
        tools.program("pgbouncer")


def test_a_missing_tool_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(tools, "marked", {"node"})

    with pytest.raises(tools.Missing, match=r"Not installed: node\. .*apt-get install nodejs"):
        tools.program("node")
    with pytest.raises(SystemExit, match=r"node, npm\. Install: apt-get install nodejs npm"):
        tools.main(["node", "npm"])


def test_the_missing_packages_are_printed_for_an_installer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    tools.main(["--packages"])

    assert {"nodejs", "npm"} <= set(capsys.readouterr().out.split())


def test_a_run_ends_with_the_number_of_tests_that_it_left_out() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/wire/test_tls.py"]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    left_out = subprocess.run(
        [*command, "-m", "tools and not full"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.count("::")
    assert left_out > 0
    assert ran.stdout.splitlines()[-1] == (
        f"{left_out} tests were not run because they need programs beyond Python"
        f" ({', '.join(tools.TOOLS)}). Run them: make test-tools"
    )


def test_an_older_postgresql_is_asked_for_by_its_version() -> None:
    command = [sys.executable, "-m", "tests.older_postgres", "14"]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert ran.stderr == "Name a version: make test-postgres VERSION=15, 16 or 17\n"
