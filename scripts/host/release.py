"""Going to another release, and back: what `make upgrade` and `make rollback` do to the checkout.

The database follows when the service starts: a newer release migrates it, and an older one finds a
newer schema, says so and leaves it unchanged. Before an upgrade a backup is written.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.host.backup import back_up
from scripts.installation import data_directory, make_command

PROJECT = Path(__file__).resolve().parents[2]


def upgrade(url: str, version: str | None) -> None:
    """Write a backup and check a release out: the newest, or one by its name. Raises SystemExit."""
    if _git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("This checkout has changes of its own, and nothing was done: see git status")
    present, branch = _git("rev-parse", "HEAD"), _git("rev-parse", "--abbrev-ref", "HEAD")
    if version is None and branch == "HEAD":
        sys.exit(
            "This checkout is of one release, not of a branch, and nothing was done. Name the"
            f" release to go to: {make_command('upgrade', VERSION='...')}"
        )
    _git("fetch", "--quiet", "--tags")
    wanted = _git("rev-parse", "--verify", f"{version or '@{upstream}'}^{{commit}}")
    if wanted == present:
        print("That release is checked out already. Nothing was done.")
        return
    directory = data_directory() / "backups"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / f"{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}.sql.gz"
    back_up(url, file)
    print(f"Wrote {file}, the backup of before.")
    _former().write_text(json.dumps({"commit": present, "branch": branch}))
    if version is None:
        _git("merge", "--quiet", "--ff-only", wanted)
    else:
        _git("checkout", "--quiet", "--detach", wanted)
    print(f"Checked out {_described()}. Start the service again: it migrates the database.")
    print(f"If something is wrong then: {make_command('rollback')}")


def roll_back() -> None:
    """Check the release of before the last upgrade out. Raises SystemExit."""
    try:
        former = json.loads(_former().read_text())
    except FileNotFoundError:
        sys.exit("No upgrade was made here, and nothing was done.")
    _git("checkout", "--quiet", "--detach", former["commit"])
    _former().unlink()
    print(f"Checked out {_described()}. Start the service again.")
    print("The database keeps the newer schema, and all that was written since.")
    if former["branch"] != "HEAD":
        print(f"Forward again, later: git switch {former['branch']}")


def _former() -> Path:
    return data_directory() / "former_release.json"


def _described() -> str:
    return _git("describe", "--tags", "--always")


def _git(*arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        sys.exit("git is not installed, and nothing was done. Install it first.")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        [program, *arguments],
        cwd=PROJECT,
        env=variables | {"GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["it has failed"]
        sys.exit(f"git {arguments[0]}: {reason[0]}")
    return done.stdout.strip()
