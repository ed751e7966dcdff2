"""A dump of one version of PostgreSQL works on another."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from alembic import command
from sqlalchemy.orm import Session

from chalicelib.db.engine import migration_engine
from chalicelib.jobs.migrate import configuration, migrate
from scripts.postgres import PROGRAMS
from tests import factories, older_postgres
from tests.client.dump import plain_dump
from tests.database import Server
from tests.faults.processes import Call, Processes, invoke, perform
from tests.servers import TlsServer, debian_server, npm_server


@contextmanager
def older(version: str, directory: Path) -> Iterator[TlsServer]:
    """Run a PostgreSQL that is older than ours: Debian's own, or one that npm brings."""
    if version == "debian":
        with debian_server(directory) as started:
            yield started
    else:
        with npm_server(version, directory) as started:
            with started.connect() as operator:
                ((number,),) = operator.run("SHOW server_version_num")
            assert number.startswith(version)
            yield started


def restore(dump: bytes, url: str) -> None:
    """Run a dump on another server; psql skips the settings that an older one does not know."""
    plain = (
        urlsplit(url)._replace(query="sslmode=disable").geturl()
    )  # all that the wheel's psql can
    subprocess.run(
        [PROGRAMS / "psql", "--quiet", plain],
        input=dump,
        capture_output=True,
        check=True,
    )


def founded(_: None) -> dict[str, Any]:
    return invoke("create_founding_invite", {})


def migrated(_: None) -> dict[str, Any]:
    return invoke("migrate", {})


@pytest.mark.parametrize(
    "version",
    [
        pytest.param("debian", marks=pytest.mark.tools("postgresql")),
        *(
            pytest.param(version, marks=pytest.mark.tools("node", "npm"))
            for version in older_postgres.VERSIONS
        ),
    ],
)
@pytest.mark.parametrize("revision", ["0014", "head"])
def test_the_service_works_after_a_dump_was_restored_on_an_older_server(
    server: Server, empty: str, tmp_path: Path, version: str, revision: str
) -> None:
    with migration_engine().connect() as connection:
        command.upgrade(configuration(connection), revision)
        with Session(connection) as session:
            una = factories.someone(session)
            factories.group(session, una)
            session.commit()
    dump = plain_dump(server.url_of(empty), "--no-owner")

    with older(version, tmp_path) as elsewhere, elsewhere.database() as name:
        url = elsewhere.url_of(name)
        restore(dump, url)
        with Processes(url, count=1) as processes:
            processes.each(migrated, [None])
            code = processes.each(founded, [None])[0]["code"]
            calls = [
                Call("GET", "/api/health/ready"),
                Call("POST", "/api/auth/join", {"code": code, "name": "Sif"}),
                Call("POST", "/api/invites", {}, token=una.token),
                Call("POST", "/api/locations", factories.plain_point(), token=una.token),
                Call("POST", "/api/groups", {"name": "Attic"}, token=una.token),
            ]
            statuses = [processes.each(perform, [call])[0].status for call in calls]

    assert statuses == [200, 201, 201, 200, 201]


def test_the_schema_calls_nothing_that_older_versions_do_not_have(
    server: Server, empty: str
) -> None:
    migrate({}, None)

    with server.connect(empty) as operator:
        bodies = operator.run(
            "SELECT proname FROM pg_proc WHERE prosrc LIKE '%uuidv7()%'"
            " AND pronamespace = 'public'::regnamespace"
        )

    assert bodies == []
