"""`make upgrade` and `make rollback`: a checkout goes to a release and back, and serves."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chalicelib.health.service import REVISION
from tests import tools
from tests.database import connect

from .runs import FOREIGN, HANGS_AFTER, HOST, PROJECT, Run

Launch = Callable[..., Run]

NEXT = '''"""A table more."""

from alembic import op

revision = "9999"
down_revision = "{before}"
branch_labels = depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE more (id int)")


def downgrade() -> None:
    op.execute("DROP TABLE more")
'''


def git(directory: Path, *arguments: str) -> str:
    options = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.org",
        "-c",
        "init.defaultBranch=main",
    ]
    done = subprocess.run(
        [tools.program("git"), *options, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with this code as its only release."""
    directory = tmp_path / "origin"
    directory.mkdir()
    for name in ("app.py", "chalicelib", "migrations", "scripts", "vendor", ".chalice", "docs"):
        source = PROJECT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
            shutil.copytree(source, directory / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, directory / name)
    shutil.copytree(PROJECT / "client" / "web" / "dist", directory / "client" / "web" / "dist")
    (directory / ".gitignore").write_text("__pycache__/\n")
    git(directory, "init", "--quiet")
    git(directory, "add", "--all", "--force", ".")
    git(directory, "commit", "--quiet", "--message=One")
    git(directory, "tag", "one")
    return directory


def operate(checkout: Path, data_dir: Path, *command: str) -> tuple[int, str]:
    """Run a command of the operator in a checkout; return its exit status and what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    done = subprocess.run(
        [*HOST, *command],
        cwd=checkout,
        env=kept | {"DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=4 * HANGS_AFTER,
    )
    return done.returncode, done.stdout


def served(launch: Launch, checkout: Path, data_dir: Path) -> str:
    """Serve from a checkout until it is ready, and stop; return what it printed and the schema."""
    run = launch(
        *("/bin/sh", "-c", 'cd "$0" && exec "$1" -m scripts.host', str(checkout), sys.executable),
        data_dir=data_dir,
    )
    printed = run.printed_until_serving()
    assert run.request("GET", "/api/health/ready")[0].status == 200
    with closing(connect(run.postgres.url("draugar"))) as operator:
        (revision,) = operator.run("SELECT version_num FROM alembic_version")
    run.process.terminate()
    assert run.ended() == (0, "")
    return f"{printed}{revision[0]}"


@pytest.mark.tools("git")
def test_a_checkout_goes_to_the_next_release_and_back_on_the_same_data(
    launch: Launch, origin: Path, tmp_path: Path
) -> None:
    checkout, data = tmp_path / "checkout", tmp_path / "data"
    git(tmp_path, "clone", "--quiet", str(origin), str(checkout))
    at_first = served(launch, checkout, data)
    nothing = operate(checkout, data, "upgrade", "")
    early = operate(checkout, data, "rollback")
    (origin / "migrations" / "versions" / "9999_more.py").write_text(NEXT.format(before=REVISION))
    service = origin / "chalicelib" / "health" / "service.py"
    service.write_text(service.read_text().replace(f'"{REVISION}"', '"9999"'))
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=Two")
    (checkout / "app.py").write_text((checkout / "app.py").read_text() + "# mine\n")
    refused = operate(checkout, data, "upgrade", "")
    git(checkout, "checkout", "--quiet", "app.py")

    upgraded = operate(checkout, data, "upgrade", "")
    newer = served(launch, checkout, data)
    back = operate(checkout, data, "rollback")
    older = served(launch, checkout, data)

    assert nothing == (0, "That release is checked out already. Nothing was done.\n")
    assert early == (1, "No upgrade was made here, and nothing was done.\n")
    assert refused[0] == 1
    assert "changes of its own" in refused[1]
    assert upgraded[0] == 0, upgraded[1]
    assert len(list((data / "backups").glob("*.sql.gz"))) == 1
    assert back[0] == 0, back[1]
    assert at_first.endswith(REVISION)
    assert newer.endswith("9999")
    assert "The schema is at 9999, newer than this release. It was left unchanged." in older
    assert older.endswith("9999")
    assert git(checkout, "rev-parse", "HEAD") == git(origin, "rev-parse", "one^{commit}")
