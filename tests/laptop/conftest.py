from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .runs import Run


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start launchers on an empty data directory, or one given; none of them survives the test."""
    runs: list[Run] = []

    def start(*command: str, data_dir: Path = tmp_path / "data", **environment: str | int) -> Run:
        runs.append(Run(data_dir, *command, **environment))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that earlier tests may have used: a start on it takes half the time."""
    return tmp_path_factory.mktemp("lived_in")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One launcher that serves, for the tests that only ask it something."""
    run = Run(tmp_path_factory.mktemp("running"))
    run.printed_until_serving()
    yield run
    run.kill()
