"""The connection stands on private names of one version of pg8000."""

import subprocess
import sys

from chalicelib.db import wire


def test_another_version_of_pg8000_is_refused_with_the_command_to_type() -> None:
    importing = "import pg8000; pg8000.__version__ = '1.32.0'; import chalicelib.db.wire"
    ended = subprocess.run(
        [sys.executable, "-c", importing], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "ImportError: pg8000 1.32.0 is installed, and chalicelib.db.wire was written for"
        f" {wire.PINNED}. Install the pinned version: pip install -r requirements.txt"
    )
