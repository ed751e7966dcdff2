from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.settings import DatabaseAddress, settings
from tests.api import Api
from tests.releases.listed import releases

NOWHERE = "postgresql://draugar@127.0.0.1:1/draugar"


def test_the_process_is_healthy_with_its_database(api: Api) -> None:
    answer = api.get("/api/health")

    assert answer.status == 200
    assert answer.json.keys() == {"status", "timestamp", "version"}
    assert answer.json["status"] == "ok"
    assert answer.json["version"] == releases()[0].version
    age = datetime.now(UTC) - datetime.fromisoformat(answer.json["timestamp"])
    assert timedelta() <= age < timedelta(seconds=10)


def test_the_process_is_healthy_without_its_database(lonely: Api) -> None:
    answer = lonely.get("/api/health")

    assert (answer.status, answer.json["status"]) == (200, "ok")


def test_the_service_is_ready_on_its_schema(api: Api) -> None:
    answer = api.get("/api/health/ready")

    assert answer.status == 200
    assert answer.json.keys() == {"status", "timestamp"}


def test_a_newer_schema_is_one_the_former_release_works_on(api: Api, session: Session) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    session.commit()

    assert api.get("/api/health/ready").status == 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = lpad((version_num::int - 1)::text, 4, '0')",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
        "UPDATE alembic_version SET version_num = 'f00dcafe1234'",
    ],
    ids=["older", "taken back to nothing", "never migrated", "of another application"],
)
def test_the_service_is_not_ready_on_an_older_schema(
    api: Api, session: Session, change: str
) -> None:
    session.execute(text(change))
    session.commit()

    answer = api.get("/api/health/ready")

    assert (answer.status, answer.code) == (503, "schema_not_ready")
    assert answer.headers["Retry-After"] == "60"
    assert "make invoke FUNCTION=migrate" in answer.json["detail"]


@pytest.mark.parametrize("table", ["devices", "alembic_version"])
def test_the_service_is_not_ready_where_rows_are_hidden_from_its_role(
    api: Api, session: Session, table: str
) -> None:
    for change in (
        "CREATE ROLE sees_no_devices",
        "GRANT SELECT ON alembic_version TO sees_no_devices",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        "SET LOCAL ROLE sees_no_devices",
    ):
        session.execute(text(change))
    session.commit()

    answer = api.get("/api/health/ready")

    assert (answer.status, answer.code) == (503, "rows_hidden")
    assert answer.headers["Retry-After"] == "60"


def test_the_service_is_not_ready_without_next_months_partition(api: Api, session: Session) -> None:
    next_month = session.scalar(
        text("SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')")
    )
    session.execute(text(f"DROP TABLE locations_{next_month}"))
    session.commit()

    answer = api.get("/api/health/ready")

    assert (answer.status, answer.code) == (503, "partition_missing")
    assert answer.headers["Retry-After"] == "60"
    assert "make invoke FUNCTION=maintain_locations" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/api/health/ready", "/api/auth/me", "/api/groups"])
def test_without_a_database_a_request_is_told_to_come_back(lonely: Api, path: str) -> None:
    answer = lonely.as_("draugar_" + "x" * 43).get(path)

    assert (answer.status, answer.code) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"


@pytest.fixture
def lonely(schema: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The app with a database that is not there: nobody listens on that port."""
    del schema  # it makes the other settings
    away = replace(settings(), database=DatabaseAddress.parse(NOWHERE))
    monkeypatch.setattr(engine, "settings", lambda: away)
    monkeypatch.setattr(engine, "engine", cache(engine.engine.__wrapped__))
    return Api()
