"""A run of the launcher as a person would start it, in a process of its own."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import IO, Any, cast

import pytest

from scripts.postgres import Postgres

PROJECT = Path(__file__).parents[2]
SERVE = (sys.executable, "-m", "scripts.serve")
HOST = (sys.executable, "-m", "scripts.host")
HANGS_AFTER = 60.0
"""Seconds: longer than whatever is waited for takes on a busy machine."""

# What a person's environment or the make above this run may say to make and to the launcher.
FOREIGN = {"DATABASE_URL", "DATABASE_URL_FILE", "PUBLIC_URL", "TRUSTED_PROXIES", "STAGE"}
FOREIGN |= {"INVITE_CODE_PEPPER", "MAKELEVEL", "MAKEFLAGS", "MFLAGS"}


class Run:
    """A launcher on a free port."""

    def __init__(self, data_dir: Path, *command: str, **environment: str | int) -> None:
        self.data_dir = data_dir
        self.errors = ""
        self.port = _free_port()
        listen = {"PORT": self.port, "LISTEN": f"127.0.0.1:{self.port}"}  # one for each server
        given = listen | {"DATA_DIR": data_dir} | environment
        self.environment = {
            name: value for name, value in os.environ.items() if name not in FOREIGN
        } | {name: str(value) for name, value in given.items()}
        self.process = subprocess.Popen(
            command or SERVE,
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def postgres(self) -> Postgres:
        """The database of this run, seen from outside."""
        return Postgres(self.data_dir / "postgres")

    def printed_until_serving(self) -> str:
        """What it printed up to the line that says where it serves."""
        printed = ""
        for line in cast("IO[str]", self.process.stdout):
            printed += line
            if line.startswith("Serving on"):
                return printed
        pytest.fail(printed + cast("IO[str]", self.process.stderr).read())

    def ended(self) -> tuple[int, str]:
        """Its exit status and what it wrote to standard error, once it has ended by itself."""
        _, errors = self.process.communicate(timeout=HANGS_AFTER)
        return self.process.returncode, errors

    def request(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> tuple[HTTPResponse, Any]:
        """Send JSON; the response, and its JSON."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=HANGS_AFTER)
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            response = connection.getresponse()
            return response, json.loads(response.read() or "null")
        finally:
            connection.close()

    def kill(self) -> None:
        """End it and all of its process group, whatever state it is in."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(ValueError):  # it was read to its end before
            _, self.errors = self.process.communicate()


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait until the condition is true. Return whether it was before this counts as a hang."""
    deadline = time.monotonic() + HANGS_AFTER
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_free(port: int) -> bool:
    """Whether nobody listens on the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def is_deserted(postgres: Postgres) -> bool:
    """Whether no process of the server is left: each of them holds the lock on its directory."""
    handle = os.open(postgres.data_dir, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
