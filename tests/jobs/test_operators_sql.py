"""The SQL of docs/operations.md works for an operator who is no superuser, as on RDS."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from chalicelib.health.service import REVISION
from scripts.postgres import Postgres
from tests import factories
from tests.database import Server, connect
from tests.faults.processes import Call, Processes, invoke, perform
from tests.servers import debian_server

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
BLOCKS = re.findall(r"^```sql\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
PASSWORD = "..."
"""As the document has it."""


@pytest.fixture(params=["wheel", pytest.param("debian", marks=pytest.mark.tools("postgresql"))])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server without roles of ours."""
    if request.param == "wheel":
        with Postgres(tmp_path, durable=False) as postgres:
            yield Server(postgres.url("postgres"))
    else:
        with debian_server(tmp_path) as debian:
            yield debian


def as_role(server: Server, role: str, database: str) -> str:
    parts = urlsplit(server.url_of(database))
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{quote(PASSWORD)}@{place}").geturl()


def job(name: str) -> dict[str, Any]:
    return invoke(name, {} if name in ("migrate", "create_founding_invite") else None)


def test_the_documents_sql_makes_roles_that_work(fresh: Server) -> None:
    with fresh.connect() as superuser:
        superuser.run(f"CREATE ROLE master LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'")
    with connect(as_role(fresh, "master", "postgres")) as master:
        for block in BLOCKS:
            for statement in filter(str.strip, block.split(";")):
                master.run(statement)

    answers: dict[str, dict[str, Any]] = {}
    for role, names in {
        "draugar_owner": ["migrate"],
        "draugar_api": ["create_founding_invite"],
        "draugar_purge": ["purge_expired_invites"],
        "draugar_maintenance": ["maintain_locations"],
    }.items():
        with Processes(as_role(fresh, role, "draugar"), count=1) as processes:
            answers |= {name: processes.each(job, [name])[0] for name in names}
    with Processes(as_role(fresh, "draugar_api", "draugar"), count=1) as api:
        code = answers["create_founding_invite"]["code"]
        joined = api.each(perform, [Call("POST", "/api/auth/join", {"code": code, "name": "Una"})])
        calls = [
            Call("GET", "/api/health/ready"),
            Call("POST", "/api/locations", factories.plain_point(), token=joined[0].json["token"]),
        ]
        statuses = [
            reply.status for reply in (*joined, *(api.each(perform, [c])[0] for c in calls))
        ]

    assert len(BLOCKS) == 1
    assert answers["migrate"] == {"from": None, "to": REVISION}
    assert answers["purge_expired_invites"] == {"deleted": 0}
    assert statuses == [201, 200, 409]
