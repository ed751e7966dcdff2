"""Two releases on one database, as while a new one is rolled out (R10).

A release migrates first, so for a while the former code works on the new schema: its own tests
say whether it does. The new code meets the former schema only where somebody has not kept to that
order; then it serves what it can, says of the rest that it will, and does once it is migrated.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.jobs.migrate import configuration
from tests.database import Server
from tests.faults.processes import Call, Processes, perform
from tests.faults.test_delivered_twice import TABLE, make_scene
from tests.releases.checkout import ROOT, extract, git
from tests.releases.listed import Listed, previous, releases

pytestmark = pytest.mark.tools("git")

VERSIONS = Path("migrations", "versions")
FEW = ["auth/test_join.py", "locations/test_latest.py"]
CASES = {route: cases[0] for route, cases in TABLE.items()}
SUITES = [
    pytest.param(FEW, id="some"),
    pytest.param([""], id="all", marks=pytest.mark.full),
]

# It takes the newest number less one for an older schema, which is now its own.
ABOUT_NUMBERS = "health/test_health.py::test_the_service_is_not_ready_on_an_older_schema[older]"


@dataclass(frozen=True)
class Release:
    """The code of a release, without its history."""

    directory: Path

    @property
    def revision(self) -> str:
        """The newest migration that it came with."""
        return max(file.name[:4] for file in self.directory.joinpath(VERSIONS).glob("[0-9]*.py"))


@pytest.fixture
def former(tmp_path: Path) -> Release:
    """The release before this one, as docs/releases.md lists it."""
    extract(previous().commit, tmp_path / "former")
    return Release(tmp_path / "former")


@pytest.mark.parametrize("suite", SUITES)
def test_the_former_release_works_on_the_new_schema(
    server: Server, former: Release, suite: list[str]
) -> None:
    shutil.rmtree(former.directory / VERSIONS)
    shutil.copytree(ROOT / VERSIONS, former.directory / VERSIONS)

    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--no-header",
            "--tb=short",
            "-p",
            "no:cacheprovider",
            f"--deselect=tests/features/{ABOUT_NUMBERS}",
        ]
        + [f"tests/features/{name}" for name in suite],
        cwd=former.directory,
        env=os.environ | {"TEST_DATABASE_URL": server.url, "PYTHONPATH": str(former.directory)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]


def test_this_release_serves_what_it_can_on_the_former_schema_and_all_once_it_is_migrated(
    former: Release, url: str, session: Session
) -> None:
    with engine.migration_engine().connect() as connection, Processes(url, count=1) as one:
        calls = calls_of_everything(session)
        command.downgrade(configuration(connection), former.revision)
        early = dict(zip(calls, one.each(perform, [*calls.values()]), strict=True))
        command.upgrade(configuration(connection), "head")
        late = one.each(perform, [*calls_of_everything(session).values()])

    ready = early.pop("GET /api/health/ready")
    assert (ready.status, ready.code) == (503, "schema_not_ready")
    assert early["GET /api/auth/me"].status == 200
    refused = {reply.code for reply in early.values() if reply.status >= 500}
    assert refused == {"temporarily_unavailable"}
    assert [reply.status for reply in late] == [CASES[route].first for route in calls]


def calls_of_everything(session: Session) -> dict[str, Call]:
    """Return a request to each route; those that change something have a scene of their own."""
    calls = {}
    session.execute(text("DELETE FROM rate_limits"))
    with Session(session.connection(), join_transaction_mode="rollback_only") as making:
        to_read = make_scene(making)
        for route, case in CASES.items():
            scene = to_read if route.startswith("GET ") else make_scene(making)
            calls[route] = scene.call(route, case)
    session.commit()
    session.close()  # which would keep the tables from being changed
    return calls


@pytest.mark.parametrize("listed", releases()[1:], ids=lambda listed: listed.version)
def test_a_release_is_a_commit_of_the_history_with_the_schema_that_is_listed(
    listed: Listed, tmp_path: Path
) -> None:
    git("merge-base", "--is-ancestor", listed.commit, "HEAD")
    extract(listed.commit, tmp_path, str(VERSIONS))

    assert Release(tmp_path).revision == listed.schema
