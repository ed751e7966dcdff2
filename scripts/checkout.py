"""Whether the directory of the checkout can hold .venv.

Runs in the user's Python, before there is one. venv refuses a colon. The file that says where the
client is holds one path a line, in UTF-8; the first line of a command, one without control
characters.
"""

import os
import sys
from pathlib import Path


def obstacle(path: str) -> str:
    """Return what of a path keeps a virtual environment from working there; "" where nothing."""
    if os.pathsep in path:
        return f"a {os.pathsep!r}"
    if any(character < " " for character in path) or len(path.splitlines()) > 1:
        return "a line break or another control character"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "a character that is not in UTF-8"
    return ""


if __name__ == "__main__":
    if found := obstacle(str(Path.cwd())):
        sys.exit(
            f"Python can make no virtual environment here, because the path of this directory has"
            f" {found} in it: move it, and run make there, as in:"
            ' mv "$PWD" ~/draugar && cd ~/draugar && make run'
        )
