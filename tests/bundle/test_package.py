"""What `make package` makes is whole, clean, and the same wherever it is made."""

import json
import marshal
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType
from zipfile import ZipFile

import pytest

from scripts import package
from scripts.package import PROJECT
from tests.bundle.conftest import Bundle, copy_of_the_project, unpacked
from tests.features.site import files

ELF_MACHINES = {62: "x86_64", 183: "aarch64"}


def names(bundle: Bundle) -> list[str]:
    return ZipFile(bundle.code).namelist()


def machines(bundle: Bundle) -> dict[str, set[str]]:
    """Return for which processors each package's compiled modules are."""
    found: dict[str, set[str]] = {}
    for file in bundle.tree.rglob("*.so"):
        machine = int.from_bytes(file.read_bytes()[18:20], "little")
        top = file.relative_to(bundle.tree).parts[0]
        found.setdefault(top, set()).add(ELF_MACHINES[machine])
    return found


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


@pytest.mark.parametrize(
    ("stage", "instead"),
    [("try", "chalice deploy --stage try"), ("local", "make run"), ("nowhere", "one of prod")],
)
def test_a_stage_without_a_bundle_is_named_with_what_releases_it(
    monkeypatch: pytest.MonkeyPatch, stage: str, instead: str
) -> None:
    monkeypatch.setenv("STAGE", stage)

    with pytest.raises(SystemExit) as refused:
        package.main()

    assert str(refused.value).startswith(f"There is no bundle for STAGE={stage}, ")
    assert instead in str(refused.value)


def test_it_holds_what_runs_and_nothing_else(release: Bundle) -> None:
    tops = {name.partition("/")[0] for name in names(release)}

    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "__pycache__",
        "alembic",
        "annotated_types",
        "app.py",
        "asn1crypto",
        "chalice",
        "chalicelib",
        "dateutil",
        "docs",
        "mako",
        "markupsafe",
        "migrations",
        "pg8000",
        "pydantic",
        "pydantic_core",
        "scramp",
        "six.py",
        "sqlalchemy",
        "typing_extensions.py",
        "typing_inspection",
        "web",
    }


def test_of_chalice_it_holds_the_runtime_alone(release: Bundle) -> None:
    found = {name for name in names(release) if name.startswith("chalice/")}

    assert {name for name in found if name.endswith(".py")} == {
        "chalice/__init__.py",
        "chalice/app.py",
    }


def test_it_holds_every_pinned_package_in_its_pinned_version(release: Bundle) -> None:
    pinned = re.findall(
        r"^([\w.-]+)==(\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE
    )

    shipped = {name.partition("/")[0] for name in names(release) if ".dist-info/" in name}

    assert shipped == {f"{name.replace('-', '_')}-{version}.dist-info" for name, version in pinned}


def test_it_holds_every_module_of_ours_and_every_migration(release: Bundle) -> None:
    ours = {
        path.relative_to(PROJECT).as_posix()
        for folder in ("chalicelib", "migrations")
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    shipped = {
        name
        for name in names(release)
        if re.match("(chalicelib|migrations)/", name) and not name.endswith(".pyc")
    }

    assert shipped == ours


def test_it_holds_the_documents_that_are_served(release: Bundle) -> None:
    shipped = {name for name in names(release) if name.startswith("docs/")}

    assert shipped == {"docs/protocol.md", "docs/errors.md", "docs/vectors.json"}
    for name in shipped:
        assert ZipFile(release.code).read(name) == (PROJECT / name).read_bytes()


def test_it_holds_the_web_app_as_it_was_built(release: Bundle) -> None:
    shipped = {name for name in names(release) if name.startswith("web/")}

    assert shipped == {f"web/{name}" for name in [*files.names(), "HASHES"]}
    for name in shipped:
        built = files.DIST / name.removeprefix("web/")
        assert ZipFile(release.code).read(name) == built.read_bytes()


def test_it_is_small(release: Bundle) -> None:
    assert release.code.stat().st_size < 13_000_000


@pytest.mark.parametrize("kind", ["bundle", "release"])
def test_compiled_modules_are_for_the_processor_of_the_stage(
    kind: str, request: pytest.FixtureRequest
) -> None:
    made: Bundle = request.getfixturevalue(kind)
    (architecture,) = {
        resource["Properties"]["Architectures"][0]
        for resource in json.loads(made.template.read_text())["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }

    machine = package.MACHINES[architecture]

    assert machine == ("aarch64" if kind == "release" else platform.machine())
    assert machines(made) == {
        "markupsafe": {machine},
        "pydantic_core": {machine},
        "sqlalchemy": {machine},
    }


def test_what_ships_is_what_is_run_here_but_for_compiled_modules(
    bundle: Bundle, release: Bundle
) -> None:
    """Two runs, in two directories: whatever is not a wheel's own is equal to the byte."""
    here, there = ZipFile(bundle.code), ZipFile(release.code)
    of_wheels = re.compile(r"\.so$|^(markupsafe|pydantic_core|sqlalchemy)-.*\.dist-info/")

    def entries(archive: ZipFile) -> list[tuple[object, ...]]:
        return [
            (entry.filename, entry.CRC, entry.date_time, entry.external_attr, entry.create_system)
            for entry in archive.infolist()
            if not of_wheels.search(entry.filename)
        ]

    assert entries(here) == entries(there)


def test_entries_are_in_order_of_one_date_and_readable_by_lambda(release: Bundle) -> None:
    entries = ZipFile(release.code).infolist()

    paths = [Path(entry.filename) for entry in entries]
    assert paths == sorted(paths)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {oct(entry.external_attr >> 16) for entry in entries} == {"0o100644"}


@pytest.mark.full
def test_another_directory_gives_the_same_bytes(release: Bundle, tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path / "elsewhere", architecture="arm64")

    again = unpacked(project, tmp_path)

    assert again.code.read_bytes() == release.code.read_bytes()
    assert again.template.read_bytes() == release.template.read_bytes()


def test_a_developer_s_leftovers_stay_at_home(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path / "project", architecture="arm64")
    for leftover in ("chalicelib/__pycache__", "migrations/versions/__pycache__"):
        (project / leftover).mkdir(exist_ok=True)
        (project / leftover / "old.cpython-311.pyc").touch()
    for cache in ("deployments", "deployed"):
        (project / ".chalice" / cache).mkdir()

    package._copy(project, tmp_path / "copy")

    copied = {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*")}
    assert {path.name for path in copied} & {"__pycache__", "deployments", "deployed"} == set()
    assert Path("vendor/migrations/versions") in copied


def test_no_file_knows_where_it_was_made(release: Bundle) -> None:
    places = [str(PROJECT).encode(), sys.prefix.encode(), str(release.tree.parent).encode()]

    found = [
        file
        for file in release.tree.rglob("*")
        if file.is_file() and any(place in file.read_bytes() for place in places)
    ]

    assert found == []


def test_byte_code_is_believed_unchecked_and_says_where_lambda_has_its_source(
    release: Bundle,
) -> None:
    compiled = list(release.tree.rglob("*.pyc"))

    assert compiled
    for file in compiled:
        content = file.read_bytes()
        source = file.parent.parent / f"{file.name.partition('.')[0]}.py"
        assert content[:4] == MAGIC_NUMBER
        assert content[4:8] == b"\1\0\0\0"  # PEP 552: by hash, and not compared
        expected = f"/var/task/{source.relative_to(release.tree)}"
        assert {code.co_filename for code in codes(marshal.loads(content[16:]))} == {expected}  # noqa: S302 -- made by the test itself


def test_importing_a_handler_compiles_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """In a copy that the interpreter may write to, with no package but the bundle's."""
    tree = tmp_path / "task"
    shutil.copytree(bundle.tree, tree)
    before = set(tree.rglob("*.pyc"))
    template = json.loads(bundle.template.read_text())
    handlers = {
        resource["Properties"]["Handler"].rpartition(".")[0]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }

    for handler in handlers:
        subprocess.run(
            [sys.executable, "-S", "-c", f"import {handler}"],
            cwd=tree,
            env={
                name: value
                for name, value in package.ENVIRONMENT.items()
                if name != "PYTHONDONTWRITEBYTECODE"
            },
            check=True,
        )

    assert len(handlers) > 1
    assert set(tree.rglob("*.pyc")) - before == set()


def test_a_package_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INPUT", "1")
    pins = (PROJECT / "requirements.txt").read_text()
    (forged,) = re.findall(r"^six==.*?(?=^[a-z])", pins, re.MULTILINE | re.DOTALL)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", forged))

    with pytest.raises(SystemExit) as refused:
        package._wheels(requirements, tmp_path / "wheels", "arm64")

    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in str(refused.value)
