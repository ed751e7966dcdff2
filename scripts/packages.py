"""What is installed into .venv: the pinned packages, the client, and nothing else.

    .venv/bin/python scripts/packages.py
    .venv/bin/python scripts/packages.py requirements-lock.txt   (what make lock needs besides)

Runs before there is any package, so it imports the standard library alone. Of the user's
configuration of pip it keeps what says where packages come from. Everything else of it may put them
elsewhere (`user`, `target`, `prefix`, `root`) or install others (`requirement`, `no-binary`,
`constraint`), so it is left out, whether it is in PIP_ variables or in a file.
"""

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

SOURCE = (
    *("index-url", "extra-index-url", "no-index", "find-links", "keyring-provider"),
    *("proxy", "cert", "client-cert", "trusted-host", "use-feature", "use-deprecated"),
    *("timeout", "default-timeout", "retries", "resume-retries", "cache-dir", "no-cache-dir"),
)
"""The options of pip that say where packages come from and how they are reached."""

# The configuration may say of pip's own list that it shows one file alone, or nothing.
ALL = {"PIP_USER": "0", "PIP_GLOBAL": "0", "PIP_SITE": "0", "PIP_QUIET": "0", "PIP_VERBOSE": "0"}

# Isolated: no variable of Python's, no directory of the user's, not the current directory.
PIP = (sys.executable, "-I", "-m", "pip", "--disable-pip-version-check")


def environment(command: str) -> dict[str, str]:
    """Return the environment for a command of pip, such as `install`. Raises SystemExit."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "PYTHON")) or name == "PIP_CONFIG_FILE"
    }
    listed = subprocess.run(
        [*PIP, "config", "list"], env=clean | ALL, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        sys.exit(f"pip cannot read its configuration: {listed.stderr.strip()}")
    said = dict(line.split("=", 1) for line in listed.stdout.splitlines() if "=" in line)
    for option in SOURCE:
        name = f"PIP_{option.upper().replace('-', '_')}"
        # As pip ranks them: the variable, the command's section, the section for all.
        for section in (command, "global"):
            if (value := said.get(f"{section}.{option}")) is not None:
                clean.setdefault(name, str(ast.literal_eval(value)))
        if name in os.environ:
            clean[name] = os.environ[name]
    return clean | {"PIP_CONFIG_FILE": os.devnull}


def main() -> None:
    """Install into the virtual environment whose Python runs this."""
    variables = environment("install")
    for arguments in [["-r", name] for name in sys.argv[1:]] or [
        ["-r", "requirements-dev.txt"],
        ["--no-build-isolation", "--editable", "client"],
    ]:
        checked = ["--require-hashes", "--no-compile"] if "-r" in arguments else []
        done = subprocess.run(
            [*PIP, "install", "-qq", "--no-deps", *checked, *arguments],
            cwd=PROJECT,
            env=variables,
            check=False,
        )
        if done.returncode:
            sys.exit(done.returncode)
    quote_the_path()


def quote_the_path() -> None:
    """Quote the path of Python in the commands of .venv/bin, where a shell reads it.

    A path with blanks cannot stand behind #!, so pip has a shell start Python. It puts the path
    between double quotes, in which a shell reads $, ` and ", and which Python reads as a string.
    """
    python = Path(sys.executable)
    for command in python.parent.iterdir():
        if command.is_file() and not command.is_symlink():
            lines = command.read_bytes().split(b"\n", 2)
            if lines[0] == b"#!/bin/sh" and lines[1].startswith(b"'''exec' "):
                lines[1] = f"'''exec' {shlex.quote(str(python))} \"$0\" \"$@\"".encode()
                command.write_bytes(b"\n".join(lines))


if __name__ == "__main__":
    main()
