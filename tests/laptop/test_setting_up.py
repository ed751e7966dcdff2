"""What the first `make` puts into .venv, whatever the directory's name and the environment are."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import packages

from .runs import PROJECT

NAMES = [
    *(
        "una's",
        "two words",
        "#1",
        "50%",
        "$HOME",
        "$(id)",
        "-f",
        'a"b',
        "`id`",
        "übung",
        "a;b&c",
        "a=b",
        "back\\slash",
        "!h",
        "{x}",
        "~",
    ),
    '-una\'s "x" $HOME #50% ü`id` $(id) *?[a] a,b (c)',
]

# Each of them stops pip, or takes the packages elsewhere; some stop Python.
HOSTILE = {
    "PIP_USER": "1",
    "PIP_TARGET": "/nonexistent/target",
    "PIP_PREFIX": "/nonexistent/prefix",
    "PIP_ROOT": "/nonexistent/root",
    "PIP_DRY_RUN": "1",
    "PIP_NO_BINARY": ":all:",
    "PIP_ONLY_BINARY": ":none:",
    "PIP_PYTHON": "/nonexistent/python",
    "PIP_REQUIREMENT": "/nonexistent/requirements.txt",
    "PIP_CONSTRAINT": "/nonexistent/constraints.txt",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_NO_DEPS": "0",
    "PIP_REPORT": "/nonexistent/report",
    "PIP_LOG": "/nonexistent/log",
    "PYTHONHOME": "/nonexistent",
    "PYTHONPATH": "/nonexistent",
    "PYTHONUSERBASE": "/nonexistent",
    "PYTHONNOUSERSITE": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONSTARTUP": "/nonexistent",
    "PYTHONSAFEPATH": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONINSPECT": "1",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHONEXECUTABLE": "/nonexistent",
    "PYTHONVERBOSE": "1",
}
HOSTILE_FILE = """\
[global]
dry-run = true
[install]
user = yes
target = /nonexistent/target
"""


def set_up(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the first step of every target of make there."""
    return subprocess.run(
        ["make", ".venv/.ready"],
        cwd=directory,
        # What a make that runs the tests hands down makes this one say where it works.
        env={
            name: os.environ[name] for name in os.environ if not name.startswith(("MAKE", "MFLAGS"))
        }
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def checkout(directory: Path) -> Path:
    """Make a checkout that needs one package: the one that installs the client."""
    directory.mkdir()
    shutil.copy(PROJECT / "Makefile", directory)
    for name in ("scripts", "client"):
        shutil.copytree(PROJECT / name, directory / name)
    pinned = (PROJECT / "requirements-dev.txt").read_text()
    entry = re.search(r"^flit-core==(?:.*\\\n)+.*\n", pinned, re.MULTILINE)
    assert entry
    (directory / "requirements-dev.txt").write_text(entry[0])
    return directory


def modules_in(directory: Path) -> str:
    """Return where the virtual environment there finds what was installed."""
    return subprocess.run(
        [
            directory / ".venv/bin/python",
            "-c",
            "import draugar, flit_core; print(draugar.__file__)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_an_environment_for_other_programs_changes_nothing_in_the_virtual_environment(
    tmp_path: Path,
) -> None:
    directory = checkout(tmp_path / NAMES[-1])
    config = tmp_path / "pip.conf"
    config.write_text(HOSTILE_FILE)

    first = set_up(directory, **HOSTILE, PIP_CONFIG_FILE=str(config))
    second = set_up(directory)

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "Installing packages into .venv (once, about a minute)\n"
    assert "up to date" in second.stdout
    assert modules_in(directory) == str(directory / "client/draugar/__init__.py")
    # A command of .venv/bin is started by a shell, for the path has blanks.
    started = subprocess.run(
        [directory / ".venv/bin/draugar"], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError" in started.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_checkout_of_any_name_is_recognised_as_its_own(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    (directory / ".venv/bin").mkdir(parents=True)
    shutil.copy(PROJECT / "Makefile", directory)
    (directory / "client").mkdir()
    for file in ("requirements-dev.txt", "client/pyproject.toml"):
        (directory / file).touch()
    (directory / ".venv/bin/python").symlink_to(shutil.which("true") or "")
    (directory / "scripts").mkdir()
    (directory / "scripts/packages.py").touch()

    # `true` is a Python that does whatever it is asked for, and keeps the directory.
    first = set_up(directory, PYTHON="true")
    second = set_up(directory, PYTHON="true")

    assert (first.returncode, first.stderr) == (0, "")
    assert (directory / ".venv/.ready").read_text() == f"{directory}\n"
    assert "up to date" in second.stdout


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a:b", "a ':'"),
        ("a\nb", "a line break or another control character"),
        ("a\tb", "a line break or another control character"),
        ("a\u2028b", "a line break or another control character"),
        (os.fsdecode(b"\xff"), "a character that is not in UTF-8"),
    ],
    ids=ascii,
)
def test_a_checkout_whose_name_no_virtual_environment_can_have_is_told_the_way_out(
    tmp_path: Path, name: str, what: str
) -> None:
    directory = checkout(tmp_path / name)

    refused = set_up(directory)

    assert refused.returncode != 0
    sentence, *others = refused.stderr.splitlines()
    assert sentence == (
        "Python can make no virtual environment here, because the path of this directory has"
        f" {what} in it: move it, and run make there, as in:"
        ' mv "$PWD" ~/draugar && cd ~/draugar && make run'
    )
    assert [line for line in others if not line.startswith("make")] == []
    assert not (directory / ".venv").exists()


def test_a_python_with_blanks_in_its_path_is_used(tmp_path: Path) -> None:
    directory = checkout(tmp_path / "project")

    refused = set_up(directory, PYTHON=str(tmp_path / "no python's here"))

    assert refused.returncode != 0
    assert refused.stdout == (
        f"{tmp_path}/no python's here is not Python 3.11 or later; name one that is:"
        " make PYTHON=python3.12\n"
    )


def test_where_packages_come_from_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://one.example/simple\nproxy = http://proxy.example:3128\n"
        "trusted-host =\n    one.example\n    two.example\nuser = yes\nquiet = 3\n"
        "[install]\nindex-url = https://two.example/simple\ntarget = /nonexistent\n"
        "[download]\nindex-url = https://three.example/simple\n"
    )
    for name in {name for name in os.environ if name.startswith("PIP_")}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CERT", "/etc/ssl/our.pem")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://four.example/simple")
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)

    found = packages.environment("install")

    said = {name: value for name, value in found.items() if name.startswith(("PIP_", "PYTHON"))}
    assert said == {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_CERT": "/etc/ssl/our.pem",
        "PIP_EXTRA_INDEX_URL": "https://four.example/simple",
        "PIP_INDEX_URL": "https://two.example/simple",
        "PIP_PROXY": "http://proxy.example:3128",
        "PIP_TRUSTED_HOST": "\none.example\ntwo.example",
    }
    assert packages.environment("download")["PIP_INDEX_URL"] == "https://three.example/simple"
