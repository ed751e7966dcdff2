"""Two releases on one database, as while a new one is rolled out (R10).

A release migrates first, so for a while the former code works on the new schema: its own tests
say whether it does. The new code meets the former schema only where somebody has not kept to that
order; then it serves what it can, says of the rest that it will, and does once it is migrated.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.jobs.migrate import configuration
from tests import tools
from tests.database import Server
from tests.faults.processes import Call, Processes, perform
from tests.faults.test_delivered_twice import TABLE, make_scene

pytestmark = pytest.mark.tools("git")

ROOT = Path(__file__).parents[2]
VERSIONS = Path("migrations", "versions")
FEW = ["auth/test_join.py", "locations/test_latest.py"]
CASES = {route: cases[0] for route, cases in TABLE.items()}
SUITES = [
    pytest.param(FEW, id="some"),
    pytest.param([""], id="all", marks=pytest.mark.full),
]

# Tests of the release before a migration that put into a table, past its service, what that service
# never did: devices of a kind that nobody could add yet.
PAST_THE_SERVICE = {
    "0014": [
        "auth/test_tokens.py::test_a_token_of_another_kind_of_device_opens_no_route_of_the_app",
        "keys/test_versions.py::test_devices_that_may_not_have_the_key_are_named",
    ]
}

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


def git(*arguments: str) -> bytes:
    """Ask the repository, which has to be a clone with its whole history."""
    options = ["-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    done = subprocess.run(
        [tools.program("git"), *options, *arguments], check=False, capture_output=True
    )
    assert done.returncode == 0, (
        "The former release is taken from the history, which is not here. Clone the repository"
        f" whole, or git fetch --unshallow --tags. {done.stderr.decode()}"
    )
    return done.stdout


def former_release() -> str:
    """Return the newest tag before the present commit.

    Until there is one, the last commit before the newest migration came in.
    """
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        git("fetch", "--quiet", "--unshallow", "--tags")
    tags = git("tag", "--list", "v*", "--sort=-v:refname", "--no-contains", "HEAD").decode().split()
    if tags:
        return tags[0]
    newest = max(ROOT.joinpath(VERSIONS).glob("[0-9]*.py"))
    added = git("log", "--diff-filter=A", "--format=%H", "--", str(newest)).decode().split()
    # One that is not committed yet came in after all that is.
    return f"{added[-1]}^" if added else "HEAD"


@pytest.fixture
def former(tmp_path: Path) -> Release:
    """The release before this one."""
    archive = git("archive", "--format=tar", former_release())
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(tmp_path / "former", filter="data")
    return Release(tmp_path / "former")


@pytest.mark.parametrize("suite", SUITES)
def test_the_former_release_works_on_the_new_schema(
    server: Server, former: Release, suite: list[str]
) -> None:
    left_out = [f"--deselect=tests/features/{ABOUT_NUMBERS}"] + [
        f"--deselect=tests/features/{name}"
        for migration, names in PAST_THE_SERVICE.items()
        if former.revision < migration
        for name in names
    ]
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
        ]
        + left_out
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
