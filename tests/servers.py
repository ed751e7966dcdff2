"""PostgreSQL of Debian and npm, as a server elsewhere would be met: by TCP, TLS and a password."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

from sqlalchemy import Engine

from chalicelib.db import engine
from chalicelib.settings import DatabaseAddress, Settings
from scripts import postgres
from tests import older_postgres, tools
from tests.certificates import Certificates, make_certificates
from tests.database import PEPPER, TIMEOUT, Server

_PASSWORD = "it's secret"
_SETTINGS = postgres.THROWAWAY_SETTINGS | {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "ssl": "on",
    "max_prepared_transactions": "2",
}


@dataclass(frozen=True)
class TlsServer(Server):
    """A server with a certificate, whose URL asks to verify it."""

    certificates: Certificates


@contextmanager
def debian_server(directory: Path) -> Iterator[TlsServer]:
    """Run the newest PostgreSQL that Debian has installed here, in an empty directory.

    Raises Missing.
    """
    with _server(tools.program("postgresql").parent, directory) as started:
        yield started


@contextmanager
def npm_server(version: str, directory: Path) -> Iterator[TlsServer]:
    """Run a version of PostgreSQL that npm brings, in an empty directory. Raises Missing."""
    for needed in ("node", "npm"):
        tools.program(needed)
    with _server(older_postgres.programs(version), directory) as started:
        yield started


@contextmanager
def _server(programs: Path, directory: Path) -> Iterator[TlsServer]:
    certificates = make_certificates(directory)
    certificates.key.chmod(0o600)
    (directory / "password").write_text(_PASSWORD)
    port = free_port()
    settings = _SETTINGS | {
        "port": str(port),
        "ssl_cert_file": str(certificates.certificate),
        "ssl_key_file": str(certificates.key),
    }
    with (directory / "log").open("wb") as log:

        def start(program: str, *options: str) -> subprocess.Popen[bytes]:
            return unprivileged(
                [programs / program, "-D", directory / "data", *options], directory, log=log
            )

        start(
            "initdb",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={directory / 'password'}",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ).wait()
        process = start("postgres", *(f"--{name}={value}" for name, value in settings.items()))
        try:
            while process.poll() is None and postgres._postmaster(directory)[7:] != ["ready   "]:
                time.sleep(0.01)
            assert process.returncode is None, (directory / "log").read_text()
            user = f"postgres:{quote(_PASSWORD)}"
            tls = f"sslmode=verify-full&sslrootcert={quote(str(certificates.authority))}"
            yield TlsServer(f"postgresql://{user}@localhost:{port}/postgres?{tls}", certificates)
        finally:
            process.send_signal(signal.SIGINT)  # do not wait for clients
            process.wait()


def unprivileged(command: list[Any], directory: Path, *, log: Any) -> subprocess.Popen[bytes]:
    """Start a program that refuses to be root, in a directory that is to be its own."""

    def step_down() -> None:
        if os.geteuid() == 0:
            postgres._step_down(directory)
        postgres._end_with_the_keeper()

    return subprocess.Popen(
        command,
        stdout=log,
        stderr=log,
        preexec_fn=step_down,  # noqa: PLW1509 -- between tests there is a single thread
    )


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def arguments(url: str, **others: Any) -> dict[str, Any]:
    """Return what both drivers take to connect to a URL."""
    address = DatabaseAddress.parse(url)
    return {
        "user": address.user,
        "password": address.password,
        "host": address.host,
        "port": address.port,
        "database": address.database,
        "unix_sock": address.socket,
        "ssl_context": engine._ssl_context(address),
        "timeout": TIMEOUT,
        **others,
    }


@contextmanager
def serving(url: str, **others: Any) -> Iterator[Engine]:
    """Let the service have a new engine, on a URL and with these settings."""
    environment = {"DATABASE_URL": url, "INVITE_CODE_PEPPER": PEPPER}
    usual = {"pool_size": 1, "timeout_seconds": TIMEOUT}
    own = replace(Settings.from_environment(environment), **(usual | others))
    fresh = cache(engine.engine.__wrapped__)
    with mock.patch.multiple(engine, settings=lambda: own, engine=fresh):
        try:
            yield fresh()
        finally:
            fresh().dispose()
