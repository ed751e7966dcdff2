import fcntl
import json
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import pytest

from scripts.package import MACHINES, PROJECT, SHIPPED, package


class Bundle(NamedTuple):
    """A bundle as `make package` makes it, and unpacked as Lambda unpacks it."""

    code: Path
    template: Path
    tree: Path


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle for this machine's kind of processor, so that it can be run here."""
    (architecture,) = (name for name, machine in MACHINES.items() if machine == platform.machine())
    return made_once(
        tmp_path_factory,
        "bundle",
        lambda here: copy_of_the_project(here / "project", architecture=architecture),
    )


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle that `make package` makes."""
    return made_once(tmp_path_factory, "release", lambda _: PROJECT)


@pytest.fixture(scope="session")
def template(release: Bundle) -> dict[str, Any]:
    """The template of the release."""
    read: dict[str, Any] = json.loads(release.template.read_text())
    return read


def made_once(
    factory: pytest.TempPathFactory, name: str, project: Callable[[Path], Path]
) -> Bundle:
    """Make a bundle of a project, or wait for the other worker of this run that makes it."""
    ours = factory.getbasetemp()
    here = (ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours) / name
    here.mkdir(exist_ok=True)
    made = here / "made"
    with (here / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            bundle = unpacked(project(here), here)
            made.write_text(json.dumps([str(path) for path in bundle]))
    return Bundle(*map(Path, json.loads(made.read_text())))


def copy_of_the_project(path: Path, *, architecture: str) -> Path:
    """Copy what a bundle is made of, and set the architecture of its stages."""
    unwanted = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
    for name in ("docs", "migrations", "client/web/dist", *SHIPPED):
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, path / name, symlinks=True, ignore=unwanted)
        else:
            shutil.copy(source, path / name)
    shutil.copy(PROJECT / "requirements.txt", path)
    config = path / ".chalice/config.json"
    content = json.loads(config.read_text())
    for stage in content["stages"].values():
        stage["lambda_architecture"] = architecture
    config.write_text(json.dumps(content))
    return path


def unpacked(project: Path, here: Path) -> Bundle:
    """Package the project, and unpack what is made."""
    (here / "build").mkdir()
    try:
        made = package("prod", project=project, build=here / "build")
    except SystemExit as error:
        pytest.fail(str(error))
    ZipFile(made.code).extractall(here / "tree")
    return Bundle(made.code, made.template, here / "tree")
