"""Run the tests on an older PostgreSQL: python -m tests.older_postgres 16 [...].

What follows the version goes to pytest.
"""

import os
import subprocess
import sys

from tests import tools
from tests.older_postgres import VERSIONS, programs


def main(arguments: list[str]) -> None:
    """Replace this process by pytest."""
    version, *others = arguments or [""]
    if version not in VERSIONS:
        sys.exit("Name a version: make test-postgres VERSION=15, 16 or 17")
    tools.main(["node", "npm"])
    os.environ["TEST_POSTGRES_PROGRAMS"] = str(programs(version))
    subprocess.run([programs(version) / "postgres", "--version"], check=True)
    os.environ.pop("TEST_DATABASE_URL", None)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *others])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
